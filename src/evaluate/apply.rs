//! Applies a prediction as the harness does: commands of growing tolerance, until one takes it.

use std::fmt::Write as _;

use crate::artifact::Rules;
use crate::evaluate::paths::names_git_folder;
use crate::evaluate::script::quoted;

/// Exit status of [`chain`] when no command took the patch.
pub(super) const NOT_APPLIED: i32 = 100;

/// Name of the uploaded patch in the scratch folder.
pub(super) const PATCH_FILE: &str = "patch.diff";

/// A bash script that applies the uploaded patch in the work tree. It exits with 0 or
/// [`NOT_APPLIED`].
///
/// GNU `patch`, the last and most tolerant command, would also write into `.git`, where hooks
/// lie; it is left out for patches that name such a path.
pub(super) fn chain(scratch: &str, patch: &str) -> String {
    let file = quoted(&format!("{scratch}/{PATCH_FILE}"));
    let tolerant = if Rules::Ours.guards_git_folder() && names_git_folder(patch) {
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

/// [`chain`] as a harness has it: nothing guards the repository, and what is printed is what the
/// harness logs, the output of the command that took the patch or else of the last one.
pub(super) fn harness_chain(rules: Rules, scratch: &str, file: &str) -> String {
    let said = quoted(&format!("{scratch}/said"));
    let file = quoted(file);
    let attempts: &[&str] = if rules.resets_between_attempts() {
        &[
            "git apply --verbose",
            "git apply --verbose --3way",
            "git apply --verbose --reject",
            "patch --batch --forward --fuzz=5 -p1 -i",
        ]
    } else {
        &["git apply --verbose", "git apply --verbose --reject", "patch --batch --fuzz=5 -p1 -i"]
    };
    let mut script = format!(
        r#"pristine() {{ git checkout -- . ; git clean -fd; }} >/dev/null 2>&1
attempt() {{
    if "$@" >{said} 2>&1; then echo '>>>>> Applied Patch:'; cat {said}; exit 0; fi
    echo "Failed to apply patch to container: $*"
}}
"#
    );
    for (index, attempt) in attempts.iter().enumerate() {
        if index > 0 && rules.resets_between_attempts() {
            script.push_str("pristine\n");
        }
        let _ = writeln!(script, "attempt {attempt} {file}");
    }
    if rules.resets_between_attempts() {
        let _ = writeln!(
            script,
            "if git apply --check --reverse {file} >/dev/null 2>&1; then
    echo '>>>>> Applied Patch: verified already applied'; exit 0
fi"
        );
    }
    let _ = writeln!(script, "echo '>>>>> Patch Apply Failed:'; cat {said}; exit {NOT_APPLIED}");
    script
}
