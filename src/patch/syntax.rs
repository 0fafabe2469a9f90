//! Whether a patch leaves Python files that parse.

use crate::patch::python::{decode, first_error};
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
        let Some(new) = change.new.as_ref().filter(|_| is_python(&change.path)) else { continue };
        if new.mode == FileMode::Symlink {
            continue;
        }
        let error = |state: &FileState| first_error(&decode(&state.content), python);
        let Some(found) = error(new) else { continue };
        if change.old.as_ref().is_some_and(|old| error(old).is_some()) {
            continue;
        }
        let detail = format!("`{}` line {}: {}", change.path, found.line, found.message);
        return Err(Rejection::new(ReasonCode::Syntax, detail));
    }
    Ok(())
}

/// Whether a path names Python source.
pub(crate) fn is_python(path: &str) -> bool {
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    extension.is_some_and(|(_, extension)| matches!(extension, "py" | "pyi"))
}
