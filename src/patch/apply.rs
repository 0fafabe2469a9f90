//! Applying an answer's edits.
use crate::patch::{BaseTree, FileChange, ReasonCode, Rejection};

/// How edits are placed.
#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// Replace every exact occurrence of a search text instead of rejecting the edit as ambiguous.
    pub replace_all: bool,
}

/// What an answer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The files that really changed, sorted by path.
    pub changes: Vec<FileChange>,
    /// For each accepted edit, the rule that placed it.
    pub rules: Vec<String>,
}

/// From a model's answer to file changes.
///
/// # Errors
/// A [`Rejection`] when any edit fails.
pub fn apply_answer(
    _answer: &str,
    _shown: &[String],
    _base: &dyn BaseTree,
    _options: &ApplyOptions,
) -> Result<Applied, Rejection> {
    Err(Rejection::new(ReasonCode::NoEdit, "the answer holds no edit"))
}
