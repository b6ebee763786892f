//! The backend on real repositories and real sysroots, both made by the `ostree` command.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod adopt;
mod boot;
mod common;
mod conform;
mod crash;
mod deploy;
mod disk;
mod pull;
mod signatures;
