//! The engine: durable facts, one writer, effects in worker processes, recovery at start.
//!
//! This crate knows no concrete backend, no bus and no protocol.

pub mod backend;
pub mod boot;
pub mod confine;
pub mod worker;
