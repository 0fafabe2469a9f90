//! What happened when a test ran on the base commit or on a candidate.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::artifact::CandidateId;

/// All executions of one instance.
pub type Executions = Vec<Execution>;

/// One test run on one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// The base commit, or the candidate that stands for its class.
    #[serde(rename = "candidate")]
    pub subject: Subject,
    /// `t000` for a reproduction test, the test's own name for a regression test.
    pub test: String,
    /// Which family the test belongs to.
    pub kind: TestKind,
    /// The result.
    pub outcome: Outcome,
    /// Wall time of the test in seconds; 0 where the log gives no time for the single test.
    pub seconds: f64,
}

/// What a test ran on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// The unpatched repository.
    Base,
    /// The repository with a candidate's patch.
    Candidate(CandidateId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::Candidate(id) => id.fmt(f),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = crate::artifact::InvalidId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "base" { Ok(Self::Base) } else { text.parse().map(Self::Candidate) }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

/// Which family a test belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestKind {
    /// A sampled script; `pass` means that it says the issue is resolved.
    Reproduction,
    /// A test of the repository that passes on the base commit.
    Regression,
}

/// The result of one test run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The test passed, or the script printed `Issue resolved` alone.
    Pass,
    /// The test failed, or the script printed `Issue reproduced` alone.
    Fail,
    /// The test could not be judged: another sentinel, several, none, or a crash.
    Error,
    /// It ran past its limit.
    Timeout,
    /// It was never run: the patch did not apply or the container died. Ranks below any failure.
    NotRun,
}
