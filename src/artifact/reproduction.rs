//! Reproduction tests: scripts that show whether the issue is still there.

use serde::{Deserialize, Serialize};

use crate::artifact::TestId;

/// One sampled script and how it behaves on the base commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReproductionTest {
    /// `t` and the sample's index.
    pub id: TestId,
    /// Index of the model sample, from 0.
    pub sample: u32,
    /// The script; empty when the sample held none.
    pub source: String,
    /// What the script says about the base commit. Only [`BaseVerdict::Reproduced`] counts.
    pub base: BaseVerdict,
    /// Digest of the script's normal form; tests of one class are the same script.
    pub class: String,
    /// Detail for verdicts other than `reproduced`; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A script's verdict about the unpatched repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseVerdict {
    /// It printed `Issue reproduced` alone.
    Reproduced,
    /// It printed `Issue resolved` alone, so it does not show the issue.
    Resolved,
    /// It printed `Other issues`, several sentinels, or none.
    Other,
    /// The sample held no script, or the script could not be run.
    Error,
    /// It ran past its time limit.
    Timeout,
}

impl ReproductionTest {
    /// Whether the test shows the issue on the base commit and so may judge candidates.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.base == BaseVerdict::Reproduced
    }
}
