//! Tests through the crate's public door.

mod api;
mod fixtures;
mod list;
mod samples;
mod server;
mod source;
