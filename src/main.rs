//! The `agent` binary: parses the command line and runs the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::cli::main()
}
