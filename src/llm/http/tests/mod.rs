//! The client against real HTTP servers.

mod attempts;
mod failures;
mod gate;
mod samples;
