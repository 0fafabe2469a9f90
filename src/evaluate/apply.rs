//! Applies a prediction as the harness does: four commands of growing tolerance, with a clean
//! tree before each, and at last the question whether the change is there already.

use crate::evaluate::paths::names_git_folder;
use crate::evaluate::script::quoted;

/// Exit status of [`chain`] when no command took the patch.
pub(super) const NOT_APPLIED: i32 = 100;

/// Name of the uploaded patch in the scratch folder.
pub(super) const PATCH_FILE: &str = "patch.diff";

/// A bash script that applies the patch file in the work tree. It exits with 0 or
/// [`NOT_APPLIED`].
///
/// GNU `patch`, the last and most tolerant command, would also write into `.git`, where hooks
/// lie; it is left out for patches that name such a path.
pub(super) fn chain(scratch: &str, patch: &str) -> String {
    let file = quoted(&format!("{scratch}/{PATCH_FILE}"));
    let tolerant = if names_git_folder(patch) {
        "echo 'a path inside .git is not written'".to_owned()
    } else {
        format!("attempt patch --batch --forward --fuzz=5 -p1 -i {file}")
    };
    format!(
        r#"git() {{ command git -c core.hooksPath=/dev/null -c core.fsmonitor=false "$@"; }}
attempt() {{ echo "> $*"; "$@" && exit 0; }}
pristine() {{ git checkout -q -- . ; git clean -q -f -d; }}
attempt git apply --verbose {file}
pristine
attempt git apply --verbose --3way {file}
pristine
attempt git apply --verbose --reject {file}
pristine
{tolerant}
attempt git apply --check --reverse {file}
exit {NOT_APPLIED}
"#
    )
}
