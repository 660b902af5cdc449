//! The lab's commands.
fn main() {}
