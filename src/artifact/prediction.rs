//! What a benchmark wants of an instance, and what happened to it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::artifact::InstanceId;

/// A row of `predictions.jsonl`, as the SWE-bench harness reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// The instance solved.
    pub instance_id: InstanceId,
    /// One name for a whole file: it names the harness's report.
    pub model_name_or_path: String,
    /// Unified diff; empty when there is no candidate.
    pub model_patch: String,
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum InstanceOutcome {
    /// A candidate was chosen. Whether it is right is for `evaluate` to say.
    Solved,
    /// Every stage ran, and no sample gave a usable patch.
    NoCandidate,
    /// A stage could not be finished.
    Failed {
        /// The stage that failed.
        stage: Stage,
        /// Whose fault it was.
        cause: Cause,
        /// For people: the error and its causes.
        message: String,
        /// What the user can do about it; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        hint: String,
    },
    /// The user stopped the run; the instance is taken up again by the next one.
    Cancelled,
}

/// The five stages, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Issue to files.
    Localize,
    /// Files to candidates.
    Repair,
    /// Issue to reproduction tests.
    Reproduce,
    /// Candidates and tests to outcomes.
    Execute,
    /// Outcomes to a choice.
    Rerank,
}

impl Stage {
    /// All stages, in the order in which they run.
    pub const ALL: [Self; 5] =
        [Self::Localize, Self::Repair, Self::Reproduce, Self::Execute, Self::Rerank];

    /// The name used in files, headers and commands.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Localize => "localize",
            Self::Repair => "repair",
            Self::Reproduce => "reproduce",
            Self::Execute => "execute",
            Self::Rerank => "rerank",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose fault a failure is. Infrastructure failures are retried and never scored as the model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The model's answers could not be used.
    Model,
    /// Endpoint, containers, disk, repository: anything around the model.
    Infra,
    /// A limit that the user set was reached.
    Budget,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Infra => "infra",
            Self::Budget => "budget",
        })
    }
}
