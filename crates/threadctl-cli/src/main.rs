//! The `threadctl` command.
fn main() {}
