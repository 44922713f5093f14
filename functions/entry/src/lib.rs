//! What the three programs share: settings, the wiring of ports to implementations, and the doors (command line, local
//! server, Functions host, Lambda). The only crate that names implementations and reads the environment.

pub mod clouds;
pub mod settings;
pub mod wiring;
