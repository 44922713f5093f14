//! handler.
fn main() {}
