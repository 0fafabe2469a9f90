//! The bash around a script: how it is passed so that no quoting can break it, how the environment
//! is activated, and how a tree becomes a repository with one commit.

use std::io;

use crate::sandbox::SandboxError;

/// Where SWE-bench's images keep the repository.
pub(crate) const TESTBED: &str = "/testbed";

/// A single string of an environment may have at most 128 KiB (Linux, `MAX_ARG_STRLEN`).
const CHUNK_BYTES: usize = 100_000;

/// Runs the script that [`script_environment`] passed. It travels in the environment and not in
/// the arguments, so that a `pkill -f` inside cannot hit the shell that runs it.
///
/// `$1` is the work tree; `$2` is a file to source before `conda activate testbed`, if it exists. A
/// sourced file sees the arguments of its caller, and conda's activates what they name.
pub(crate) const RUNNER: &str = r#"
exec </dev/null 2>&1
__agent_script=
for __agent_part in ${!AGENT_SCRIPT_*}; do
    __agent_script+=${!__agent_part}
    unset "$__agent_part"
done
unset __agent_part
cd "$1" || exit 1
__agent_activate=$2
set --
if [ -n "$__agent_activate" ] && [ -f "$__agent_activate" ]; then
    source "$__agent_activate" && conda activate testbed ||
        echo "agent: cannot activate the environment testbed"
fi
unset __agent_activate
eval "$__agent_script"
"#;

/// Runs scripts that come on standard input, each after its mark and both ended by a NUL, one after
/// the other. The arguments are [`RUNNER`]'s.
pub(crate) const SHELL: &str = r#"
exec 9<&0 </dev/null 2>&1
cd "$1"
__agent_directory=$1
__agent_activate=$2
set --
if [ -n "$__agent_activate" ] && [ -f "$__agent_activate" ]; then
    source "$__agent_activate" && conda activate testbed ||
        echo "agent: cannot activate the environment testbed"
fi
while IFS= read -r -u 9 -d '' __agent_mark && IFS= read -r -u 9 -d '' __agent_script; do
    printf '\n%s begin\n' "$__agent_mark"
    (
        exec 9<&-
        cd "$__agent_directory" || exit 1
        unset __agent_mark __agent_directory __agent_activate
        eval "$__agent_script"
    )
    printf '\n%s end %d\n' "$__agent_mark" "$?"
done
"#;

/// The activation script of SWE-bench's images.
pub(crate) const ACTIVATE: &str = "/opt/miniconda3/bin/activate";

/// The variables that carry `script` to [`RUNNER`], in pieces that the kernel accepts. Their names
/// sort in the order of the pieces.
pub(crate) fn script_environment(script: &str) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    let mut rest = script;
    while !rest.is_empty() {
        let cut = rest.floor_char_boundary(CHUNK_BYTES);
        let (part, tail) = rest.split_at(cut);
        parts.push((format!("AGENT_SCRIPT_{:04}", parts.len()), part.to_owned()));
        rest = tail;
    }
    parts
}

/// Longer scripts do not fit into a process's environment.
const MAX_SCRIPT_BYTES: usize = 1 << 20;

/// Refuses a script that could not be passed whole: its command would fail and look like a failing
/// test.
pub(crate) fn check_script(script: &str) -> Result<(), SandboxError> {
    let reason = if script.len() > MAX_SCRIPT_BYTES {
        "it is longer than 1 MiB; upload the long part as a file"
    } else if script.contains('\0') {
        "it holds a NUL byte"
    } else {
        return Ok(());
    };
    Err(SandboxError::Io {
        action: format!("pass on a script of {} bytes", script.len()),
        source: io::Error::new(io::ErrorKind::InvalidInput, reason),
    })
}

/// Makes the current directory a repository with exactly one commit and nothing else: no parent,
/// tag, remote, reflog or hook. Author and date are fixed, so equal trees give equal commits.
/// Ignored files are added too: the tree is the base commit's, and there they are tracked.
pub(crate) const ONE_COMMIT: &str = r#"
set -eu
rm -rf .git
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
git_=(git -c init.defaultBranch=main -c core.logAllRefUpdates=false -c core.autocrlf=false
      -c core.safecrlf=false -c gc.auto=0 -c core.fileMode=true -c commit.gpgSign=false
      -c core.hooksPath=/dev/null -c safe.directory=*)
"${git_[@]}" init -q --template=
"${git_[@]}" add --all --force .
export GIT_AUTHOR_NAME=agent GIT_AUTHOR_EMAIL=agent@localhost GIT_AUTHOR_DATE='2000-01-01T00:00:00Z'
export GIT_COMMITTER_NAME=agent GIT_COMMITTER_EMAIL=agent@localhost
export GIT_COMMITTER_DATE='2000-01-01T00:00:00Z'
"${git_[@]}" commit -q --allow-empty --no-verify -m base
"${git_[@]}" config core.logAllRefUpdates false
"#;

/// Puts changes of tracked files into the only commit, so that `git diff HEAD` stays empty.
pub(crate) const AMEND_COMMIT: &str = r#"
set -eu
git diff --quiet HEAD && exit 0
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_COMMITTER_NAME=agent GIT_COMMITTER_EMAIL=agent@localhost
export GIT_COMMITTER_DATE='2000-01-01T00:00:00Z'
git_=(git -c safe.directory=* -c commit.gpgSign=false -c core.hooksPath=/dev/null -c gc.auto=0)
"${git_[@]}" commit -q --all --amend --no-edit --no-verify
"${git_[@]}" prune --expire=now
"#;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn run(script: &str) -> (i32, String) {
        let output = Command::new("bash")
            .args(["-c", RUNNER, "bash", "/", ""])
            .envs(script_environment(script))
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "standard error is joined to standard output");
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn no_quoting_can_break_a_script() {
        let script = "cat <<'E'\n$HOME `id` \" ' \\ é €\nE\nprintf '%s|' \"$#\" \"$@\"\nenv | grep -c AGENT_SCRIPT\nexit 7";
        let (status, output) = run(script);
        assert_eq!(status, 7);
        assert_eq!(output, "$HOME `id` \" ' \\ é €\n0|0\n");
    }

    #[test]
    fn a_script_longer_than_one_string_may_be_arrives_whole() {
        let body = "é".repeat(300_000);
        let (status, output) = run(&format!("x='{body}'; echo ${{#x}}; echo err >&2"));
        assert_eq!((status, output.as_str()), (0, "300000\nerr\n"));
    }

    #[test]
    fn the_file_that_activates_sees_no_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("activate");
        std::fs::write(&file, "echo \"$#\"; conda() { echo \"conda $*\"; }").unwrap();
        for (program, input) in [(RUNNER, ""), (SHELL, "m\0echo on\0")] {
            let mut child = Command::new("bash")
                .args(["-c", program, "bash", "/", file.to_str().unwrap()])
                .envs(script_environment("echo on"))
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            std::io::Write::write_all(&mut stdin, input.as_bytes()).unwrap();
            drop(stdin);
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.starts_with("0\nconda activate testbed\n"), "{text}");
            assert!(text.contains("on\n"), "{text}");
        }
    }

    #[test]
    fn a_script_that_cannot_be_passed_whole_is_refused() {
        assert!(check_script(&"x".repeat(MAX_SCRIPT_BYTES)).is_ok());
        assert!(check_script(&"x".repeat(MAX_SCRIPT_BYTES + 1)).is_err());
        assert!(check_script("a\0b").is_err());
    }

    #[test]
    fn standard_input_is_empty_and_the_status_is_the_scripts() {
        assert_eq!(run("cat; false"), (1, String::new()));
        assert_eq!(run("bash -c 'kill -9 $$'").0, 137);
    }
}
