//! The container component backend: images from the content store, run by crun.
//!
//! [`ContainerBackend`] is a [`scomo_engine::backend::Backend`] for components that are OCI images. The crate
//! `scomo-store` keeps their files; `runtime` runs them under `crun`, as units of systemd or below a supervisor of our
//! own.
//!
//! Not here: which release should run (the engine), and where packages come from (`scomo-package`).

mod backend;
mod config;
mod error;
mod fetch;
mod runtime;

pub use backend::ContainerBackend;
pub use config::{Config, Settings, Supervisor};
pub use error::Error;
pub use runtime::run_role;
