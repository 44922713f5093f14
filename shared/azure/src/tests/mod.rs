//! Tests through the crate's public door.

mod api;
mod carried;
mod expected;
mod fixtures;
mod list;
mod mutations;
mod posture;
mod samples;
mod server;
mod source;
mod states;
