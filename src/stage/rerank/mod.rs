//! Candidates and executions to a choice: pure, synchronous, deterministic.
//!
//! Every policy sees classes of candidates (equal normal forms) with the evidence that their
//! executions give. The result does not depend on the order of either input, and needs nothing but
//! `candidates.jsonl` and `executions.jsonl`, so candidates of another system can be ranked too.

mod classes;
mod majority;
mod mini;

use serde::{Deserialize, Serialize};

use crate::artifact::{Candidate, Execution, Ranking};

pub use classes::{CandidateClass, classes};

/// How candidates are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Agentless Mini's rule (SWE-RL): fewest regression failures, then the best group of
    /// candidates that pass the same reproduction tests, then majority vote.
    #[default]
    Mini,
    /// The class with most samples; executions are not looked at.
    Majority,
}

impl Policy {
    /// The name used in settings and in `ranking.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mini => "mini",
            Self::Majority => "majority",
        }
    }
}

/// Settings of the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RerankConfig {
    /// Which rule chooses.
    pub policy: Policy,
}

/// Ranks the classes of valid candidates. Invalid candidates never count; cosmetic ones (comments,
/// docstrings, blanks) are ranked after all others.
#[must_use]
pub fn rerank(
    config: &RerankConfig,
    candidates: &[Candidate],
    executions: &[Execution],
) -> Ranking {
    let classes = classes(candidates, executions);
    let ranked = match config.policy {
        Policy::Mini => mini::rank(&classes),
        Policy::Majority => majority::rank(&classes),
    };
    Ranking {
        policy: config.policy.name().to_owned(),
        chosen: ranked.first().map(|first| first.candidate),
        ranked,
    }
}

#[cfg(test)]
mod tests;
