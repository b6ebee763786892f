//! The real daemon, workers and client against a real registry: what users do, and what goes wrong.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod bad_input;
mod bad_transfer;
mod files;
mod harness;
mod os;
mod sick_device;
mod updates;
