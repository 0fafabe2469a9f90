//! The integration tests: one binary.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "this is how tests fail and talk")]

mod adaptive;
mod architecture;
mod cli_errors;
mod daemon;
mod faults;
mod grading;
mod harness;
#[cfg(unix)]
mod hosts;
mod hub;
mod index;
mod leftovers;
mod localizer;
mod outside;
mod pack;
mod packages;
mod parquet_rows;
mod recipe;
mod report;
mod reward;
mod reward_serve;
mod runs;
mod schedule;
mod seeing;
mod servers;
mod shards;
mod solve;
#[path = "../standin/server.rs"]
mod standin;
mod survival;
