//! Automation: the only entry for building, testing and measuring.
fn main() {}
