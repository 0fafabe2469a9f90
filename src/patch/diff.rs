//! Diffs in git's format.
use crate::patch::FileChange;

/// The changes as git writes them.
#[must_use]
pub fn diff(_changes: &[FileChange]) -> String {
    String::new()
}
