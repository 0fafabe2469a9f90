//! What bounds the server, and how it can fail to start.

use std::io;
use std::time::Duration;

/// How an item is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// SWE-RL's reward: how much the change is like the reference's, from 0 to 1, or -1 for an
    /// answer in the wrong format.
    Similarity,
    /// 1 if the instance's hidden tests say that it is resolved, else 0.
    Tests,
}

impl Kind {
    /// The name in requests, options and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Similarity => "similarity",
            Self::Tests => "tests",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Similarity, Self::Tests].into_iter().find(|kind| kind.name() == name)
    }
}

/// What a client may take up. Everything that a request can make grow has a bound here.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// How items that name no kind are scored.
    pub kind: Kind,
    /// Items waiting or running; a request that would exceed it gets status 429.
    pub queue: usize,
    /// Time for one item, counted from the moment at which its request was read. It should be
    /// below the trainer's own: slime gives 120 seconds, OpenRLHF 180.
    pub deadline: Duration,
    /// Bytes of one body; more gets status 413.
    pub body_bytes: usize,
    /// Bytes of all bodies held at one time; more gets status 429.
    pub total_bytes: usize,
    /// Time for a request's head, and for its body beyond what the slowest accepted rate takes.
    pub read_timeout: Duration,
    /// Connections at one time; further ones wait to be accepted.
    pub connections: usize,
    /// Items scored at one time by similarity.
    pub workers: usize,
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is not one.
    #[error("cannot resolve {listen:?}: expected HOST:PORT, such as 127.0.0.1:8970")]
    Address {
        /// What was given.
        listen: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// What was given.
        listen: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
