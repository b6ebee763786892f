//! The whole client in virtual time, against servers that are played by the tests.
// The exemption of tests from these lints does not reach helper functions.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod blocks;
mod bootstrap;
mod hostile;
mod network;
mod observe;
mod operations;
mod registration;
mod reliability;
mod tree;
mod vectors;
mod wire;
mod world;
