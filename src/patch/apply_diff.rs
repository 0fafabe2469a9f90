//! Applying a unified diff.
use crate::patch::{BaseTree, FileChange, ReasonCode, Rejection};

/// From a git diff to file changes.
///
/// # Errors
/// A [`Rejection`] when the diff cannot be read or does not apply.
pub fn apply_diff(_diff: &str, _base: &dyn BaseTree) -> Result<Vec<FileChange>, Rejection> {
    Err(Rejection::new(ReasonCode::BadDiff, "the diff is empty"))
}
