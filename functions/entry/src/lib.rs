//! What the three programs share: settings, the wiring of ports to implementations, and the doors (command line, local
//! server, Functions host, Lambda). The only crate that names implementations and reads the environment.

pub mod cli;
pub mod clouds;
mod demo;
pub mod functions;
pub mod host;
pub mod lambda;
pub mod local;
pub mod log;
mod parked;
pub mod recognize;
pub mod server;
pub mod settings;
mod signal;
mod sweep;
pub mod telemetry;
mod times;
pub mod wiring;
