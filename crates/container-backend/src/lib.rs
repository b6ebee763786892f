//! The container component backend: content store and crun.

pub mod store;
