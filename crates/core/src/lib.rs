//! The pure SCOMO domain.
//!
//! Commands come in, facts come out; facts make the state; the state says which effects should run. There is no
//! clock, no randomness, no path and no I/O in this crate.

pub mod effect;
pub mod failure;
pub mod id;
pub mod spec;
