//! The scomo update daemon.
fn main() {}
