//! The evaluation script of a row, in the shape that SWE-bench 5 gives it.
//!
//! Two differences, both on purpose: standard error is joined to standard output at the start, so
//! that the markers (traced by `set -x`) and the results keep their order, and `git show` leaves
//! out the patch, because in a repository with one commit it would print the whole tree.

use std::fmt::Write as _;

use crate::artifact::LogFormat;
use crate::testlog::directive;
use crate::testlog::markers::{END, START};

/// Ends the test patch in the script.
const HEREDOC: &str = "EOF_114329324912";

/// What an evaluation script is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EvalScript<'a> {
    /// Full id of the base commit.
    pub(crate) base_commit: &'a str,
    /// Installs the tree again; must work without network.
    pub(crate) install: &'a str,
    /// The tests, in git's format.
    pub(crate) test_patch: &'a str,
    /// Test command; the directives are appended.
    pub(crate) test_command: &'a str,
    /// Decides what the runner calls a test file.
    pub(crate) log_format: LogFormat,
}

/// Why no script can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalScriptError {
    /// The patch would end the script's own quotation, or fake its markers.
    #[error("the test patch holds {0:?}, which the evaluation script uses itself")]
    Reserved(&'static str),
    /// No runner can be called.
    #[error("the test patch changes no file that a test runner takes")]
    NoTests,
}

impl EvalScript<'_> {
    /// The whole script.
    ///
    /// # Errors
    /// [`EvalScriptError`] if the test patch cannot be quoted or names no tests.
    pub(crate) fn compose(&self) -> Result<String, EvalScriptError> {
        for reserved in [HEREDOC, START, END] {
            if self.test_patch.contains(reserved) {
                return Err(EvalScriptError::Reserved(reserved));
            }
        }
        let touched = touched(self.test_patch);
        let directives = directive::of_patch(self.log_format, self.test_patch);
        if directives.is_empty() {
            return Err(EvalScriptError::NoTests);
        }
        let known: Vec<String> =
            touched.iter().filter(|(_, in_base)| *in_base).map(|(path, _)| word(path)).collect();
        let added: Vec<String> =
            touched.iter().filter(|(_, in_base)| !in_base).map(|(path, _)| word(path)).collect();
        let mut restore = String::new();
        if !known.is_empty() {
            let _ = writeln!(restore, "git checkout {} {}", self.base_commit, known.join(" "));
        }
        if !added.is_empty() {
            let _ = writeln!(restore, "rm -f {}", added.join(" "));
        }
        let restore = restore.trim_end();
        let Self { base_commit, install, test_patch, test_command, .. } = self;
        let newline = if test_patch.ends_with('\n') { "" } else { "\n" };
        Ok(format!(
            "#!/bin/bash\n\
             exec 2>&1\n\
             set -uxo pipefail\n\
             source /opt/miniconda3/bin/activate\n\
             conda activate testbed\n\
             cd /testbed\n\
             git config --global --add safe.directory /testbed\n\
             cd /testbed\n\
             git status\n\
             git show --no-patch\n\
             git -c core.fileMode=false diff {base_commit}\n\
             source /opt/miniconda3/bin/activate\n\
             conda activate testbed\n\
             export PIP_NO_INDEX=1\n\
             {install}\n\
             {restore}\n\
             git apply -v - <<'{HEREDOC}'\n\
             {test_patch}{newline}{HEREDOC}\n\
             : '{START}'\n\
             {test_command} {directives}\n\
             : '{END}'\n\
             {restore}\n",
            directives = directives.iter().map(word).collect::<Vec<_>>().join(" "),
        ))
    }
}

/// The files of a patch with whether the base commit has them.
fn touched(patch: &str) -> Vec<(&str, bool)> {
    let mut files: Vec<(&str, bool)> = Vec::new();
    for line in patch.lines() {
        if let Some(path) = directive::patched_paths(line).next() {
            files.push((path, true));
        } else if line.starts_with("new file mode ")
            && let Some(last) = files.last_mut()
        {
            last.1 = false;
        }
    }
    files
}

/// `text` as one word of a shell command, bare where that is safe.
fn word(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+/=:@".contains(c))
    {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "diff --git a/tests/test_a.py b/tests/test_a.py\n\
        index 1..2 100644\n--- a/tests/test_a.py\n+++ b/tests/test_a.py\n@@ -1 +1 @@\n-a\n+b\n\
        diff --git a/tests/data.json b/tests/data.json\nindex 1..2 100644\n\
        --- a/tests/data.json\n+++ b/tests/data.json\n@@ -1 +1 @@\n-a\n+b\n\
        diff --git a/tests/test b.py b/tests/test b.py\nnew file mode 100644\nindex 0..2\n\
        --- /dev/null\n+++ b/tests/test b.py\n@@ -0,0 +1 @@\n+b\n";

    fn script(test_patch: &str) -> Result<String, EvalScriptError> {
        EvalScript {
            base_commit: "0123456789abcdef0123456789abcdef01234567",
            install: "python -m pip install -e .",
            test_patch,
            test_command: "pytest -rA",
            log_format: LogFormat::Pytest,
        }
        .compose()
    }

    fn position(script: &str, line: &str) -> usize {
        script
            .lines()
            .position(|found| found == line)
            .unwrap_or_else(|| panic!("{line:?} missing in\n{script}"))
    }

    #[test]
    fn the_steps_come_in_the_official_order() {
        let script = script(PATCH).unwrap();
        let restore =
            "git checkout 0123456789abcdef0123456789abcdef01234567 tests/test_a.py tests/data.json";
        let order = [
            "#!/bin/bash",
            "set -uxo pipefail",
            "conda activate testbed",
            "git status",
            "python -m pip install -e .",
            restore,
            "rm -f 'tests/test b.py'",
            "git apply -v - <<'EOF_114329324912'",
            "EOF_114329324912",
            ": '>>>>> Start Test Output'",
            "pytest -rA tests/test_a.py 'tests/test b.py'",
            ": '>>>>> End Test Output'",
        ];
        let positions: Vec<usize> = order.iter().map(|line| position(&script, line)).collect();
        assert!(positions.is_sorted(), "{positions:?}");
        assert!(script.ends_with(&format!("{restore}\nrm -f 'tests/test b.py'\n")));
    }

    #[test]
    fn bash_takes_the_script_and_the_patch_arrives_unchanged() {
        let script = script(PATCH).unwrap();
        let checked =
            std::process::Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
        assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
        let (_, rest) = script.split_once("<<'EOF_114329324912'\n").unwrap();
        assert_eq!(rest.split_once("EOF_114329324912\n").unwrap().0, PATCH);
    }

    #[test]
    fn a_patch_that_breaks_the_script_is_refused() {
        assert_eq!(
            script(&format!("{PATCH}+EOF_114329324912\n")),
            Err(EvalScriptError::Reserved(HEREDOC))
        );
        assert_eq!(script(&format!("{PATCH}+{START}\n")), Err(EvalScriptError::Reserved(START)));
        let data = "diff --git a/tests/x.csv b/tests/x.csv\n";
        assert_eq!(script(data), Err(EvalScriptError::NoTests));
    }
}
