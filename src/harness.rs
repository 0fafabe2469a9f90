//! One subject tested in one session: apply a patch, run a script, run a suite.
//!
//! Mechanism only, shared by the stages that reproduce and execute and by the grader of
//! predictions, so that none of them imports another.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::artifact::{LogFormat, TestCommand};
use crate::sandbox::{ExecOutput, ExecRequest, ExecStatus, SandboxError, Session, Upload};
use crate::testlog::{self, Status};

/// What a reproduction script says, by the three sentinels of Agentless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptVerdict {
    /// `Issue reproduced`, and no other sentinel.
    Reproduced,
    /// `Issue resolved`, and no other sentinel.
    Resolved,
    /// `Other issues`, several sentinels, or none.
    Other,
    /// Past its time or output limit; the session is spent.
    Timeout,
}

/// One run of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptRun {
    /// What it says.
    pub verdict: ScriptVerdict,
    /// Wall time.
    pub duration: Duration,
    /// The last lines of its output, for people.
    pub tail: String,
    /// Whether a process of it was ended because the session's memory was used up.
    pub out_of_memory: bool,
}

/// The sentinels, in the order of [`ScriptVerdict`]'s first three variants.
const SENTINELS: [&str; 3] = ["Issue reproduced", "Issue resolved", "Other issues"];

/// Whether a script could ever say anything: it must hold at least one sentinel literally.
#[must_use]
pub fn has_sentinel(source: &str) -> bool {
    SENTINELS.iter().any(|sentinel| source.contains(sentinel))
}

/// Marks every sentinel of `source` with `nonce`.
///
/// Only text that comes out of the script itself then counts: a sentinel printed by the patched
/// code, by a traceback that quotes the issue or by a diff in the log carries no nonce (E68).
fn mark(source: &str, nonce: &str) -> String {
    SENTINELS.iter().fold(source.to_owned(), |text, sentinel| {
        text.replace(sentinel, &format!("{sentinel} {nonce}"))
    })
}

fn verdict(output: &ExecOutput, nonce: &str) -> ScriptVerdict {
    if !matches!(output.status, ExecStatus::Exited(_)) {
        return ScriptVerdict::Timeout;
    }
    let text = output.text();
    let said = SENTINELS.map(|sentinel| text.contains(&format!("{sentinel} {nonce}")));
    match said {
        [true, false, false] => ScriptVerdict::Reproduced,
        [false, true, false] => ScriptVerdict::Resolved,
        _ => ScriptVerdict::Other,
    }
}

/// 64 random bits as text. Not a secret against a patch that reads the script, only against text
/// that happens to be printed.
pub(crate) fn nonce() -> String {
    format!("#{:016x}", RandomState::new().build_hasher().finish())
}

/// Runs one reproduction script from the repository's root.
///
/// # Errors
/// [`SandboxError`] when it could not be run at all.
pub async fn run_script(
    session: &dyn Session,
    name: &str,
    source: &str,
    timeout: Duration,
) -> Result<ScriptRun, SandboxError> {
    let nonce = nonce();
    let path = format!("reproduce/{name}.py");
    let marked = mark(source, &nonce);
    let folder = quote(&format!("{}/reproduce", session.scratch()));
    let file = quote(&format!("{}/{path}", session.scratch()));
    let put = if marked.len() <= MAX_WRITTEN && !marked.contains('\0') {
        let text = quote(&marked);
        format!("[ -d {folder} ] || mkdir -p {folder}; printf %s {text} >{file} || exit\n")
    } else {
        let content = marked.into_bytes();
        session.upload(&[Upload { path, content, executable: false }]).await?;
        String::new()
    };
    // Emptied, so that a script that comes later does not find this one.
    let run = format!("python -B {file}\nagent_status=$?\n: >{file}\nexit $agent_status");
    let script = format!("{put}{}{run}", import_from_the_tree(session.workdir()));
    let output = session.exec_next(&ExecRequest { script, timeout }).await?;
    Ok(ScriptRun {
        verdict: verdict(&output, &nonce),
        duration: output.duration,
        tail: tail(&output.text().replace(&format!(" {nonce}"), ""), 12),
        out_of_memory: output.out_of_memory,
    })
}

/// A longer script is uploaded; a shorter one is written by the shell's own means, which saves the
/// call. Bash reads what comes through a pipe byte by byte.
const MAX_WRITTEN: usize = 200 << 10;

/// Imports come from the work tree even where the image holds an installed copy (requests), and
/// from `src/` where a project keeps its packages there without being installed.
fn import_from_the_tree(workdir: &str) -> String {
    let root = quote(workdir);
    format!("export PYTHONPATH={root}:{root}/src${{PYTHONPATH:+:$PYTHONPATH}}\n")
}

/// Puts a patch in git's format onto the session's tree.
///
/// Returns what git said when it does not apply.
///
/// # Errors
/// [`SandboxError`] when git could not be run at all.
pub async fn apply_patch(
    session: &dyn Session,
    patch: &str,
    timeout: Duration,
) -> Result<Result<(), String>, SandboxError> {
    let upload = Upload { path: "candidate.diff".into(), content: patch.into(), executable: false };
    session.upload(&[upload]).await?;
    // The repository's settings may name programs.
    let script = format!(
        "git -c core.fsmonitor=false -c core.hooksPath=/dev/null apply --whitespace=nowarn \
         {}/candidate.diff",
        quote(session.scratch())
    );
    let output = session.exec_next(&ExecRequest { script, timeout }).await?;
    Ok(if output.success() { Ok(()) } else { Err(tail(&output.text(), 5)) })
}

/// What a test suite did.
#[derive(Debug, Clone, PartialEq)]
pub struct SuiteRun {
    /// Status by test name, as the log parser reads it.
    pub statuses: BTreeMap<String, Status>,
    /// How the command ended.
    pub status: ExecStatus,
    /// Wall time of the whole command.
    pub duration: Duration,
    /// The last lines of the log, for people.
    pub tail: String,
    /// Whether a process of it was ended because the session's memory was used up.
    pub out_of_memory: bool,
}

/// Runs test files (or labels) with the repository's own test command.
///
/// # Errors
/// [`SandboxError`] when it could not be run at all.
pub async fn run_suite(
    session: &dyn Session,
    command: &TestCommand,
    directives: &[String],
    timeout: Duration,
) -> Result<SuiteRun, SandboxError> {
    let directives = directives.iter().map(|d| quote(d)).collect::<Vec<_>>().join(" ");
    let call = reported(command, &directives, session.scratch());
    let script = format!("{}{call}", import_from_the_tree(session.workdir()));
    let output = session.exec_next(&ExecRequest { script, timeout }).await?;
    let text = output.text();
    Ok(SuiteRun {
        statuses: testlog::parse(command.log_format, &text).into_iter().collect(),
        status: output.status,
        duration: output.duration,
        tail: tail(&text, 20),
        out_of_memory: output.out_of_memory,
    })
}

/// Bash that runs a test command on quoted `directives` and leaves what the log parser reads in its
/// output, with the command's own exit status. For JUnit's XML the command is told a file by the
/// variable `JUNIT_XML`; what it writes there follows its output.
pub(crate) fn reported(command: &TestCommand, directives: &str, scratch: &str) -> String {
    let TestCommand { command, log_format } = command;
    if *log_format != LogFormat::Junit {
        return format!("{command} {directives}");
    }
    let file = quote(&format!("{scratch}/junit.xml"));
    format!(
        "export JUNIT_XML={file}\nrm -f \"$JUNIT_XML\"\n(\n{command} {directives}\n)\nagent_code=$?\n\
         echo\ncat \"$JUNIT_XML\" 2>/dev/null\n(exit $agent_code)"
    )
}

/// One word for bash, whatever is in it.
pub(crate) fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(script: &str, printed: &str) -> ScriptVerdict {
        let marked = mark(script, "#n");
        assert!(marked.contains("#n") == has_sentinel(script));
        let output = ExecOutput {
            status: ExecStatus::Exited(0),
            output: printed.replace("<n>", "#n").into_bytes(),
            duration: Duration::ZERO,
            out_of_memory: false,
        };
        verdict(&output, "#n")
    }

    #[test]
    fn e68_only_sentinels_that_the_script_prints_itself_count() {
        let script = "print('Issue reproduced')";
        assert_eq!(says(script, "Issue reproduced <n>\n"), ScriptVerdict::Reproduced);
        assert_eq!(
            says(script, "+    print('Issue resolved')\nIssue reproduced <n>\n"),
            ScriptVerdict::Reproduced
        );
        assert_eq!(says(script, "Issue resolved\n"), ScriptVerdict::Other);
        assert_eq!(says(script, "Issue resolved <n>: ok\n"), ScriptVerdict::Resolved);
        assert_eq!(says(script, "Issue resolved <n>\nOther issues <n>"), ScriptVerdict::Other);
    }

    #[test]
    fn quoting_survives_bash() {
        for text in ["plain/path.py", "it's", "a b", "$(touch x)", "", "test_x.py::t[a-'b']"] {
            let script = format!("printf %s {}", quote(text));
            let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), text);
        }
    }
}
