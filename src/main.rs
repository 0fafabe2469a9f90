//! The `agent` binary: parses the command line and runs the library.

use std::process::ExitCode;

/// Also for what is written in C (tree-sitter, libgit2): a sixth less processor time for an index.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    agent::cli::main()
}
