//! An answer read and applied as SWE-RL's reward does it, by the reward's own code; what it leads to
//! must still be a tree that git can hold.

use crate::patch::answer::check_length;
use crate::patch::paths::{check_new_paths, check_parents, check_path, contains, is_directory};
use crate::patch::{Applied, BaseTree, FileChange, FileMode, FileState, ReasonCode, Rejection};
use crate::reward::{AnswerError, Files, FormatError, Text, strict_contents};

/// Reads and applies an answer; the files shown are the reward's code context.
///
/// # Errors
/// A [`Rejection`] where the reward would be −1, and for what no reward looks at: unsafe paths, files
/// that exist but were not shown, changes that are none.
pub(super) fn apply(
    answer: &str,
    shown: &[String],
    base: &dyn BaseTree,
) -> Result<Applied, Rejection> {
    check_length(answer)?;
    let mut context = Files::new();
    for path in shown {
        // A prompt shows text; what is not UTF-8 cannot be quoted exactly, so nothing is found in it.
        if let Some(text) = base.read(path).and_then(|state| String::from_utf8(state.content).ok())
        {
            context.insert(Text::from(path.as_str()), Text::from(text.as_str()));
        }
    }
    let contents = strict_contents(&Text::from(answer), &context).map_err(rejection)?;
    let mut changes = Vec::new();
    for (path, content) in &contents {
        let path = path.to_str_lossy().into_owned();
        check_path(&path)?;
        check_parents(&path, base)?;
        if is_directory(&path, base) {
            let detail = format!("`{path}` is a directory");
            return Err(Rejection::new(ReasonCode::PathConflict, detail));
        }
        if contains(base.paths(), &path) && !context.contains_key(&Text::from(path.as_str())) {
            let detail = format!("`{path}` exists and was not shown as text");
            return Err(Rejection::new(ReasonCode::EmptySearchOnExisting, detail));
        }
        let old = base.read(&path);
        if old.as_ref().is_some_and(|state| state.mode == FileMode::Symlink) {
            let detail = format!("`{path}` is a symbolic link");
            return Err(Rejection::new(ReasonCode::UnsafePath, detail));
        }
        let mode = old.as_ref().map_or(FileMode::Regular, |state| state.mode);
        let new = Some(FileState { content: content.as_bytes().to_vec(), mode });
        changes.push(FileChange { path, old, new });
    }
    changes.retain(|change| !change.is_unchanged());
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    check_new_paths(&changes)?;
    if changes.is_empty() {
        let detail = "the edits leave every file as it was";
        return Err(Rejection::new(ReasonCode::Unchanged, detail));
    }
    let rules = vec!["strict".to_owned(); changes.len()];
    Ok(Applied { changes, rules })
}

fn rejection(error: AnswerError) -> Rejection {
    let code = match &error {
        AnswerError::Format(FormatError::Tag(..) | FormatError::NoThought) => {
            ReasonCode::NoSolution
        }
        AnswerError::Format(FormatError::NoEdit) => ReasonCode::NoEdit,
        AnswerError::Format(FormatError::NoChange(_)) => ReasonCode::Noop,
        AnswerError::Format(FormatError::NotFound(_)) => ReasonCode::NotFound,
        AnswerError::Refused(_) => ReasonCode::TooLarge,
    };
    Rejection::new(code, error.to_string())
}
