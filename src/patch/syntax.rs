//! Whether a patch leaves Python files that parse.

use crate::patch::python::{SyntaxError, decode, first_error};
use crate::patch::{FileChange, FileMode, FileState, ReasonCode, Rejection};

/// Rejects changes that give a Python file a syntax error that it did not have before.
///
/// `python` is the version whose grammar counts, such as `(3, 9)`; without it any version's does.
/// Versions before 3.7 are judged as 3.7. Files that are not `.py` or `.pyi` pass, and so do files
/// whose old state has errors already (templates, Python 2).
///
/// # Errors
/// `syntax` with path, line and message of the first error.
pub fn check_syntax(changes: &[FileChange], python: Option<(u8, u8)>) -> Result<(), Rejection> {
    for change in changes {
        let error = |state: &Option<FileState>| {
            let state = state.as_ref().filter(|state| is_source(&change.path, state))?;
            first_error(&decode(&state.content), python)
        };
        let Some(found) = error(&change.new) else { continue };
        if error(&change.old).is_none() {
            return Err(rejection(&change.path, &found));
        }
    }
    Ok(())
}

pub(crate) fn rejection(path: &str, error: &SyntaxError) -> Rejection {
    let detail = format!("`{path}` line {}: {}", error.line, error.message);
    Rejection::new(ReasonCode::Syntax, detail)
}

/// Whether a file is Python source.
pub(crate) fn is_source(path: &str, state: &FileState) -> bool {
    state.mode != FileMode::Symlink && is_python(path)
}

fn is_python(path: &str) -> bool {
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    extension.is_some_and(|(_, extension)| matches!(extension, "py" | "pyi"))
}
