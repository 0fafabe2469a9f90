//! The client against real HTTP servers.

mod attempts;
mod failures;
mod fit;
mod samples;
