//! The client against real HTTP servers.

mod attempts;
mod failures;
mod fit;
mod gate;
mod probe;
mod recorded;
mod samples;
