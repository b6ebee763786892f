//! Tests of the crate from outside: messages, foreign tools, and whole sessions against a scripted server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod codec;
mod commands;
mod external;
mod flows;
mod groups;
mod inventory;
mod login;
mod mutation;
mod objects;
mod samples;
mod tnds;
mod tree;
mod world;
