//! Candidates and executions to a choice: pure, synchronous, deterministic.
//!
//! Every policy sees classes of candidates (equal normal forms) with the evidence that their
//! executions give. The result does not depend on the order of either input, and needs nothing but
//! `candidates.jsonl` and `executions.jsonl`, so candidates of another system can be ranked too.

mod agentless;
mod classes;
pub mod evidence;
mod majority;
mod matrix;
mod mini;
mod self_play;
mod stop;

use serde::{Deserialize, Serialize};

use crate::artifact::{Candidate, Execution, Ranking};

pub use classes::{CandidateClass, classes};
pub use stop::{AdaptiveConfig, Decision, GAIN, SIGNS, should_stop, signs};

/// How candidates are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Candidates and tests judged together: tests are witnesses of unknown reliability.
    #[default]
    Evidence,
    /// Agentless Mini's rule (SWE-RL): fewest regression failures, then the best group of
    /// candidates that pass the same reproduction tests, then majority vote.
    Mini,
    /// Agentless 1.5's rule, with its quirks: for comparison.
    Agentless,
    /// Kimi-Dev's score: share of scripts resolved plus share of regression tests kept.
    SelfPlay,
    /// The class with most samples; executions are not looked at.
    Majority,
}

impl Policy {
    /// Every policy, the default first.
    pub const ALL: [Self; 5] =
        [Self::Evidence, Self::Mini, Self::Agentless, Self::SelfPlay, Self::Majority];

    /// The name used in settings and in `ranking.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::Mini => "mini",
            Self::Agentless => "agentless",
            Self::SelfPlay => "self-play",
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
    let matrix = || matrix::Matrix::new(&classes, executions);
    let ranked = match config.policy {
        Policy::Evidence => evidence::rank(&classes, &matrix()),
        Policy::Mini => mini::rank(&classes),
        Policy::Agentless => agentless::rank(&classes, candidates, &matrix()),
        Policy::SelfPlay => self_play::rank(&classes, &matrix()),
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
