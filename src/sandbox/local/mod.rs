//! The sandbox without containers: a throw-away copy of the tree on this machine, for machines
//! where no engine answers.
//!
//! It bounds accidents, not malice: code runs as the user who started us, with the network and
//! with every file that the user can read. What it does bound:
//!
//! - each session works on a copy with a home and a temporary directory of its own, in a cleared
//!   environment;
//! - address space, file size, open files, core dumps and (unless we are root, whom the kernel
//!   exempts) processes are limited by `ulimit`;
//! - at a limit and at the end of a session its process group is killed, and every process that
//!   carries the session's mark in its environment or works in its directory, so that a `setsid`
//!   child goes too (Linux; elsewhere only the group);
//! - a `kill -9` of ourselves leaves at most what one command's time limit allows: `timeout` around
//!   it ends its group, and the next start ends and removes the rest.

mod processes;
mod sandbox;
mod session;
mod template;

pub use sandbox::LocalSandbox;
