//! The order of candidates and the evidence for it.

use serde::{Deserialize, Serialize};

use crate::artifact::CandidateId;

/// The result of a selection policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// Name of the policy that made it.
    pub policy: String,
    /// The winner, or none when no candidate is valid.
    pub chosen: Option<CandidateId>,
    /// Best first: one entry a class, named by its first candidate.
    pub ranked: Vec<RankedCandidate>,
}

/// One class of candidates with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedCandidate {
    /// The class's candidate with the lowest sample index.
    pub candidate: CandidateId,
    /// What the policy looked at; keys depend on the policy.
    pub evidence: serde_json::Map<String, serde_json::Value>,
}
