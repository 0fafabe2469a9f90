//! What a log says of one test.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Tests in the order of their first mention. The order matters where a cut id stands for
/// several tests.
pub type Statuses = IndexMap<String, Status>;

/// The last word of a log about a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It was not run.
    Skipped,
    /// It, or what it needs, broke.
    Error,
    /// It failed, as it should.
    Xfail,
    /// A word that only begins or ends like a status (`PASSED_count 3`). The official parsers
    /// record such lines; they count neither as passed nor as failed.
    Other,
}

impl Status {
    /// The status words of pytest's summary.
    pub(super) const WORDS: [(&'static str, Self); 5] = [
        ("FAILED", Self::Failed),
        ("PASSED", Self::Passed),
        ("SKIPPED", Self::Skipped),
        ("ERROR", Self::Error),
        ("XFAIL", Self::Xfail),
    ];

    /// The status that a whole word stands for.
    pub(super) fn of_word(word: &str) -> Self {
        Self::WORDS
            .iter()
            .find(|(name, _)| *name == word)
            .map_or(Self::Other, |(_, status)| *status)
    }

    /// Whether the test did what it should: it passed, or failed as expected.
    #[must_use]
    pub fn is_pass(self) -> bool {
        matches!(self, Self::Passed | Self::Xfail)
    }

    /// Whether the test surely did not: it failed or broke.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }
}
