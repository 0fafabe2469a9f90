//! The scripts that run the gold tests: the row's own, made to tell what it hides, or one of ours.

use crate::artifact::{Rules, TestCommand};
use crate::harness::{self, quote};
use crate::testlog::markers::{END, EXIT_CODE, START};
use crate::testlog::python_strip;

/// Stands before a mark and the exit status of applying the test patch.
const TEST_PATCH_STATUS: &str = ">>>>> Test Patch Status";

/// Exit status of [`prepare`] when a test file could not be put back.
pub(super) const NOT_RESTORED: i32 = 102;

/// Name of the uploaded test patch in the scratch folder.
pub(super) const TEST_PATCH_FILE: &str = "test.patch";
/// Name of the uploaded list of test files, separated by NUL.
pub(super) const TEST_FILES_FILE: &str = "test-files";
/// Name of the uploaded evaluation script.
pub(super) const EVAL_FILE: &str = "eval.sh";

/// Sandboxes have no network; pip must not wait for one, nor ask for a build environment.
const OFFLINE: &str =
    "export PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0 PIP_DISABLE_PIP_VERSION_CHECK=1";

/// A row's evaluation script that also tells the exit status of the tests (as the harness makes
/// it) and of applying the test patch (which the harness does not look at), the latter with `mark`:
/// the log shows the prediction too, which may hold any text that is known before.
pub(super) fn instrumented(script: &str, mark: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut here_document: Option<String> = None;
    let mut ended = false;
    for line in script.lines() {
        if let Some(end) = &here_document {
            let is_end = line == end;
            lines.push(line.to_owned());
            if is_end {
                here_document = None;
                lines.push(format!("echo \"{TEST_PATCH_STATUS} {mark}: $?\""));
            }
        } else if line.contains(END) && !ended {
            ended = true;
            lines.push("SWEBENCH_TEST_EXIT_CODE=$?".to_owned());
            lines.push(line.to_owned());
            lines.push(format!("echo \"{EXIT_CODE}: $SWEBENCH_TEST_EXIT_CODE\""));
        } else {
            here_document = applied_document(line);
            lines.push(line.to_owned());
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A row's evaluation script as a harness runs it. 5.0.2 takes it apart into lines and puts its
/// own head before them, wherever lines like the head's stand, and has the line that mentions the
/// end marker first followed by the exit status, even if that line belongs to the test patch.
/// 4.1 makes scripts of its own; one that stands in the row is run as it is.
pub(super) fn of_harness(rules: Rules, script: &str) -> String {
    if !rules.records_exit_status() {
        return script.to_owned();
    }
    const HEAD: [&str; 2] = ["#!/bin/bash", "set -uxo pipefail"];
    let mut lines = HEAD.to_vec();
    lines.extend(python_strip(script).split('\n').filter(|line| !HEAD.contains(line)));
    let status = format!("echo \"{EXIT_CODE}: $SWEBENCH_TEST_EXIT_CODE\"");
    if let Some(at) = lines.iter().position(|line| line.contains(END)) {
        lines.insert(at, "SWEBENCH_TEST_EXIT_CODE=$?");
        lines.insert(at + 2, &status);
    }
    lines.join("\n") + "\n"
}

/// Runs a command as the engine starts one: in the image's own environment, which the container's
/// first process still has, and not in the activated one with our additions. Containers only.
pub(super) fn bare(command: &str) -> String {
    format!(
        "mapfile -d '' -t image_environment </proc/1/environ\n\
         exec env -i \"${{image_environment[@]}}\" {command}\n"
    )
}

/// The terminator of the here-document that the line feeds to `git apply`.
fn applied_document(line: &str) -> Option<String> {
    let line = line.trim_start();
    if !line.starts_with("git apply ") {
        return None;
    }
    let (_, word) = line.split_once("<<")?;
    let word = word.trim().trim_matches(['\'', '"']);
    (!word.is_empty() && !word.contains(char::is_whitespace)).then(|| word.to_owned())
}

/// Whether the log of a script [`instrumented`] with this mark says that the test patch was applied.
/// None where the script holds no such step.
pub(super) fn test_patch_applied(script: &str, mark: &str, log: &str) -> Option<bool> {
    let head = format!("{TEST_PATCH_STATUS} {mark}: ");
    if !script.contains(&head) {
        return None;
    }
    // The first: what the tests print comes later, and they can read the script.
    let status = log.lines().find_map(|line| line.strip_prefix(&head));
    Some(status.is_some_and(|status| status.trim() == "0"))
}

/// Runs an uploaded evaluation script.
pub(super) fn run_uploaded(scratch: &str) -> String {
    let file = quote(&format!("{scratch}/{EVAL_FILE}"));
    format!("{OFFLINE}\nexec 2>&1\nexec /bin/bash {file}\n")
}

/// Puts the test files back as they were at the base, whatever the prediction did to them, and
/// applies the test patch. It exits with 0, [`NOT_RESTORED`] or the status of `git apply`.
pub(super) fn prepare(scratch: &str) -> String {
    let files = quote(&format!("{scratch}/{TEST_FILES_FILE}"));
    let patch = quote(&format!("{scratch}/{TEST_PATCH_FILE}"));
    format!(
        r#"git() {{ command git --literal-pathspecs -c core.hooksPath=/dev/null -c core.fsmonitor=false "$@"; }}
while IFS= read -r -d '' path; do
    if git cat-file -e "HEAD:$path" 2>/dev/null; then
        git checkout -q HEAD -- "$path" || exit {NOT_RESTORED}
    else
        git rm -r -q -f --cached --ignore-unmatch -- "$path" || exit {NOT_RESTORED}
        git clean -q -f -d -x -- "$path" || exit {NOT_RESTORED}
    fi
done < {files}
git apply --verbose {patch}
"#
    )
}

/// Runs the tests between the markers.
pub(super) fn run_tests(command: &TestCommand, directives: &[String], scratch: &str) -> String {
    let directives: Vec<String> = directives.iter().map(|word| quote(word)).collect();
    let call = harness::reported(command, &directives.join(" "), scratch);
    format!(
        "{OFFLINE}\nexec 2>&1\necho '{START}'\n(\n{call}\n)\ncode=$?\n\
         echo '{END}'\necho \"{EXIT_CODE}: $code\"\n"
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::artifact::LogFormat;

    fn bash(script: &str) -> String {
        let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn quoted_words_come_out_of_bash_as_they_went_in() {
        for word in ["", "a b", "it's", "$(id)", "a;b", "`x`", "t::a[b-c]", "\\", "*", "ä\n"] {
            assert_eq!(bash(&format!("printf %s {}", quote(word))), word);
        }
    }

    /// A script of the benchmark's shape, with `false` or `true` in place of what applies.
    fn script(apply: &str, test: &str) -> String {
        format!(
            "#!/bin/bash\nset -uxo pipefail\ngit() {{ {apply}; }}\ngit apply -v - <<'EOF_1'\n\
             diff\n+: '{END}'\nEOF_1\n: '{START}'\n{test}\n: '{END}'\ngit checkout x\n"
        )
    }

    #[test]
    fn an_instrumented_script_tells_both_statuses() {
        for (apply, applied) in [("cat >/dev/null", true), ("cat >/dev/null; return 3", false)] {
            let script = instrumented(&script(apply, "bash -c 'exit 7'"), "#1");
            let log = bash(&format!("exec 2>&1\n{script}"));
            assert_eq!(test_patch_applied(&script, "#1", &log), Some(applied), "{log}");
            assert!(log.contains(&format!("\n{EXIT_CODE}: 7\n")), "{log}");
            assert!(log.contains(&format!("+ : '{START}'\n")), "{log}");
        }
    }

    #[test]
    fn a_script_that_never_applies_is_told_from_one_that_has_no_such_step() {
        let with = instrumented(&script("cat >/dev/null", "true"), "#1");
        assert_eq!(test_patch_applied(&with, "#1", "died early"), Some(false));
        let without = instrumented(&format!(": '{START}'\nnpm test\n: '{END}'\n"), "#1");
        assert_eq!(test_patch_applied(&without, "#1", "anything"), None);
        // Neither a test, which runs later, can undo the status, nor a prediction that the log shows.
        let status = |mark: &str, n: i32| format!("{TEST_PATCH_STATUS} {mark}: {n}\n");
        let shown = format!("+ : '{START}'\n{}", status("#0", 0));
        for n in [0, 1] {
            let log = [shown.clone(), status("#1", n), status("#1", 1 - n)].concat();
            assert_eq!(test_patch_applied(&with, "#1", &log), Some(n == 0));
        }
    }

    /// What `utils.record_test_exit_code` of 5.0.2 makes of the same scripts, by running it.
    #[test]
    fn a_harness_rewrites_a_script_line_by_line() {
        let row = format!("\n#!/bin/bash\nset -uxo pipefail\nrun\n: '{END}'\nreset\n\n");
        let expected = format!(
            "#!/bin/bash\nset -uxo pipefail\nrun\nSWEBENCH_TEST_EXIT_CODE=$?\n: '{END}'\n\
             echo \"{EXIT_CODE}: $SWEBENCH_TEST_EXIT_CODE\"\nreset\n"
        );
        assert_eq!(of_harness(Rules::Harness5, &row), expected);
        assert_eq!(of_harness(Rules::Harness4, &row), row);
        // Also where the lines belong to the test patch: a head's line is lost, and the exit
        // status is that of nothing.
        let row = format!("cat <<'E'\nset -uxo pipefail\n+{END}\nE\nrun\n: '{END}'");
        let expected = format!(
            "#!/bin/bash\nset -uxo pipefail\ncat <<'E'\nSWEBENCH_TEST_EXIT_CODE=$?\n+{END}\n\
             echo \"{EXIT_CODE}: $SWEBENCH_TEST_EXIT_CODE\"\nE\nrun\n: '{END}'\n"
        );
        assert_eq!(of_harness(Rules::Harness5, &row), expected);
        let endless = of_harness(Rules::Harness5, "#!/bin/bash\nrun");
        assert_eq!(endless, "#!/bin/bash\nset -uxo pipefail\nrun\n");
    }

    #[test]
    fn our_own_script_survives_a_command_that_exits() {
        let command =
            |command: &str, log_format| TestCommand { command: command.to_owned(), log_format };
        let directives = ["a b".to_owned()];
        let plain = command("echo ran; exit 4 #", LogFormat::Pytest);
        let log = bash(&run_tests(&plain, &directives, "/nowhere"));
        assert_eq!(log, format!("{START}\nran\n{END}\n{EXIT_CODE}: 4\n"));
        // What a report file of an earlier command says is not this command's.
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("junit.xml"), "stale").unwrap();
        let scratch = place.path().to_str().unwrap();
        let writes =
            command("echo '<testsuite/>' >\"$JUNIT_XML\"; echo ran; exit 4 #", LogFormat::Junit);
        let log = bash(&run_tests(&writes, &directives, scratch));
        assert_eq!(log, format!("{START}\nran\n\n<testsuite/>\n{END}\n{EXIT_CODE}: 4\n"));
        let writes_none = command("true", LogFormat::Junit);
        let log = bash(&run_tests(&writes_none, &directives, scratch));
        assert_eq!(log, format!("{START}\n\n{END}\n{EXIT_CODE}: 0\n"));
    }
}
