//! The engine: durable facts, one writer, effects in worker processes, recovery at start.
//!
//! [`engine::Engine`] is the resident part; it runs effects through a [`runner::Runner`], in earnest a
//! [`process::ProcessRunner`]. A worker executable is a [`backend::Backend`] given to [`worker::serve`], confined by
//! [`confine`]; [`host`] runs programs for it. [`sim`] is a device in memory, and [`conformance`] the suite for every backend.
//!
//! This crate knows no concrete backend, no bus and no protocol.

pub mod backend;
pub mod boot;
pub mod confine;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(feature = "engine")]
pub mod engine;
pub mod host;
#[cfg(feature = "engine")]
pub mod process;
#[cfg(any(test, feature = "engine", feature = "sim"))]
pub mod runner;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
#[cfg(feature = "engine")]
pub mod store;
pub mod worker;
