//! The scomo command line client.
fn main() {}
