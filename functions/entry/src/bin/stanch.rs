//! The command line and the local server.

use std::process::ExitCode;

fn main() -> ExitCode {
    stanch_entry::cli::main()
}
