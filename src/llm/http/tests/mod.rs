//! The client against real HTTP servers.

mod attempts;
mod failures;
mod fit;
mod probe;
mod recorded;
mod samples;
