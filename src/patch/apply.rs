//! From a model's answer to file changes: every edit finds its place, or the answer is rejected.

use serde::{Deserialize, Serialize};

use crate::patch::answer::{Step, final_part, parse};
use crate::patch::workspace::Workspace;
use crate::patch::{BaseTree, FileChange, ReasonCode, Rejection, strict};

/// How edits are read and placed. The default is tolerant, and rejects an edit whose search text is
/// at several places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApplyOptions {
    /// How answers are read.
    pub reading: Reading,
    /// Replace every exact occurrence of a search text instead of rejecting the edit as ambiguous;
    /// strict reading always does.
    pub replace_all: bool,
}

/// How an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// Whatever can be understood in one way only.
    #[default]
    Tolerant,
    /// Exactly as SWE-RL's reward reads and applies answers: what would be rewarded with −1 in
    /// training is rejected.
    Strict,
}

/// What an answer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The files that really changed, sorted by path.
    pub changes: Vec<FileChange>,
    /// For each accepted edit, in the answer's order, the rule that placed it: `exact`,
    /// `trailing_blanks`, `reindented`, `blank_lines`, `fuzzy`, `elided` (found without its
    /// `...` lines), `all` (several places, by [`ApplyOptions::replace_all`]), `create`, `fill`
    /// (an empty file got content), `delete`. By [`Reading::Strict`]: `strict`, once a file.
    pub rules: Vec<String>,
}

/// From a model's answer to file changes, all or nothing.
///
/// `shown` are the paths of the files that the model saw, in order; they decide where an edit
/// without a path belongs. Edits are applied in the answer's order, each to what the one before
/// left. An edit that equals an earlier one, or whose two sides are equal, is skipped. A
/// replacement that is empty or one blank line deletes the search lines. A whole file is deleted
/// only by a line `### DELETE path` outside of the edits. [`Reading::Strict`] replaces all of this by
/// the rules of [`crate::reward`].
///
/// # Errors
/// A [`Rejection`] that names the first edit that fails; no edit takes effect then.
pub fn apply_answer(
    answer: &str,
    shown: &[String],
    base: &dyn BaseTree,
    options: &ApplyOptions,
) -> Result<Applied, Rejection> {
    if options.reading == Reading::Strict {
        return strict::apply(answer, shown, base);
    }
    let text = final_part(answer)?;
    let steps = parse(text)?;
    let mut work = Workspace::new(shown, base, *options);
    let mut edits = 0;
    for step in steps {
        match step {
            Step::Edit(edit) => {
                edits += 1;
                work.edit(&edit)?;
            }
            // A heading that happens to begin with the word is not a request.
            Step::Delete { path, .. } if path.contains(' ') && !work.exists(path) => {}
            Step::Delete { line, path } => {
                edits += 1;
                work.delete(line, path)?;
            }
        }
    }
    if edits == 0 {
        return Err(Rejection::new(ReasonCode::NoEdit, "the answer holds no edit"));
    }
    work.finish()
}
