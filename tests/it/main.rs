//! The integration tests: one binary.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod architecture;
mod cli_errors;
mod harness;
mod solve;
