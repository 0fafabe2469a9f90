//! The client against real HTTP servers on port 0.
