//! Repair candidates: one for each sample, valid or not.

use serde::{Deserialize, Serialize};

use crate::artifact::CandidateId;

/// What became of one repair sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// `c` and the sample's index.
    pub id: CandidateId,
    /// Index of the model sample, from 0.
    pub sample: u32,
    /// Whether `patch` can be judged.
    pub status: CandidateStatus,
    /// Why the sample is invalid: a reason code, then a colon and detail. Empty when valid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Paths that the patch changes, sorted.
    #[serde(default)]
    pub files: Vec<String>,
    /// Unified diff in git's format against the base tree; empty when invalid.
    #[serde(default)]
    pub patch: String,
    /// Digest of the patch's normal form; candidates of one class are the same change. Empty when
    /// the candidate is invalid.
    #[serde(default)]
    pub class: String,
    /// For each accepted edit, the rule that placed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Whether the change is more than comments, docstrings and blank lines. Cosmetic candidates
    /// are chosen only if nothing else exists.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub substantive: bool,
}

fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if takes a reference"
)]
fn is_true(value: &bool) -> bool {
    *value
}

/// Whether a sample gave a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CandidateStatus {
    /// The patch applies to the base tree and changes it.
    Ok,
    /// No usable patch came out of the sample.
    Invalid,
}

impl Candidate {
    /// Whether the candidate carries a patch.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == CandidateStatus::Ok
    }

    /// An invalid sample.
    #[must_use]
    pub fn invalid(sample: u32, reason: String) -> Self {
        Self {
            id: CandidateId(sample),
            sample,
            status: CandidateStatus::Invalid,
            reason,
            files: Vec::new(),
            patch: String::new(),
            class: String::new(),
            rules: Vec::new(),
            substantive: true,
        }
    }
}
