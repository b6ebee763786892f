//! The protocol of an LwM2M client.

pub mod access;
mod account;
mod args;
mod attributes;
mod client;
mod coap;
pub mod format;
pub mod limits;
pub mod model;
mod objects;
pub mod path;
pub mod time;
pub mod value;

pub use args::{Arguments, InvalidArguments};
pub use client::*;
pub use objects::*;
