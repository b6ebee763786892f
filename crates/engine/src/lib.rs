//! The engine: durable facts, one writer, effects in worker processes, recovery at start.
//!
//! This crate knows no concrete backend, no bus and no protocol.

pub mod backend;
pub mod boot;
pub mod confine;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
#[cfg(feature = "engine")]
pub mod store;
pub mod worker;
