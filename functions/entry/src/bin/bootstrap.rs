//! bootstrap.
fn main() {}
