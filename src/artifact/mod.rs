//! The nouns: plain serde data that stages hand to one another. No I/O, no async, no logic beyond
//! construction and validation. These types, [`crate::event`] and the resolved configuration are
//! the only things written in formats of our own; benchmark rows are converted at the edge.

mod candidate;
mod environment;
mod execution;
mod id;
mod instance;
mod localization;
mod message;
mod prediction;
mod ranking;
mod reproduction;
mod rules;
mod server;
mod usage;

pub use candidate::{Candidate, CandidateStatus};
pub use environment::{EnvironmentRecord, Leak, LeakAction, LeakReport};
pub use execution::{Execution, Executions, Outcome, Subject, TestKind};
pub use id::{CandidateId, InstanceId, InvalidId, TestId};
pub use instance::{Instance, LogFormat, TestCommand};
pub use localization::{Localization, Place, RankedFile};
pub use message::Message;
pub use prediction::{Cause, InstanceOutcome, Prediction, Stage};
pub use ranking::{RankedCandidate, Ranking};
pub use reproduction::{BaseVerdict, ReproductionTest};
pub use rules::{ExitStatusLine, Rules};
pub use server::Server;
pub use usage::Usage;
