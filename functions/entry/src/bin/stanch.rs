//! stanch.
fn main() {}
