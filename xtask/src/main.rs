//! Project tasks: set-up, demo, tests.
fn main() {}
