//! The pure SCOMO domain: commands come in, facts come out, facts make the state, the state says what should run.
//!
//! Start with [`state::State`], then read the three functions that are the whole of it:
//!
//! - [`decide::decide`]: an input and the state give facts, or a rejection;
//! - [`apply::apply`]: a fact changes the state, live and in replay;
//! - [`pending::pending`] and [`pending::next_deadline`]: what should run now, and when something is due next.
//!
//! Whoever drives it commits the facts durably, applies them, runs what is pending, and hands every outcome back as
//! an input. The first input of a process is [`command::Input::ProcessStarted`].
//!
//! This crate never sees a clock, randomness, a path, a socket or a thread: time and boot id are inputs.

pub mod apply;
pub mod code;
pub mod command;
pub mod decide;
pub mod effect;
pub mod fact;
pub mod failure;
pub mod id;
pub mod pending;
pub mod percent;
pub mod plan;
mod release;
pub mod requirement;
pub mod spec;
pub mod state;
pub mod status;
pub mod tree;

pub use apply::apply;
pub use decide::decide;
pub use pending::{next_deadline, pending};
