//! Applies a prediction as the harness does: commands of growing tolerance, until one takes it.

use std::fmt::Write as _;

use crate::artifact::Rules;
use crate::evaluate::paths::names_git_folder;
use crate::harness::quote;

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
    let file = quote(&format!("{scratch}/{PATCH_FILE}"));
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

/// [`chain`] as a harness has it: nothing guards the repository, and what is printed is what the
/// harness logs, the output of the command that took the patch or else of the last one.
pub(super) fn harness_chain(rules: Rules, scratch: &str, file: &str) -> String {
    let said = quote(&format!("{scratch}/said"));
    let file = quote(file);
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

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::artifact::InstanceId;
    use crate::evaluate::trial::{Trial, diff, docker, environment, row};
    use crate::sandbox::{ExecRequest, Limits};

    /// A repository in `$dir`: a first commit with another `a.txt`, and HEAD.
    const REPOSITORY: &str = r#"
export HOME=$dir GIT_CONFIG_GLOBAL=/dev/null
git() { command git -c user.name=a -c user.email=a@b -c init.defaultBranch=main "$@"; }
mkdir -p "$dir/r" && cd "$dir/r" && git init -q .
printf 'ONE\ntwo\nthree\nFOUR\n\nsix\nseven\neight\nnine\n' >a.txt
git add . && git commit -qm first
printf 'one\ntwo\nthree\nfour\n\nsix\nseven\neight\nnine\n' >a.txt
printf 'here\n' >'b c.txt'; printf 'echo\n' >run.sh
git add . && git commit -qm base
unset -f git
"#;

    /// Adds the line `more` to `a.txt`.
    fn good() -> String {
        "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -2,6 +2,7 @@\n two\n three\n \
         four\n+more\n \n six\n seven\n"
            .to_owned()
    }

    fn created(path: &str, content: &str) -> String {
        format!(
            "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n\
             @@ -0,0 +1 @@\n+{content}\n"
        )
    }

    /// Case, patch, what is run before it, a command that shows what it did, and what that shows
    /// after our chain, the chain of 5.0.2 and that of 4.1; `!` where no command took the patch.
    type Case = (&'static str, String, &'static str, &'static str, [&'static str; 3]);

    /// Cases A1 to A21 of the specification.
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn cases() -> Vec<Case> {
        let good = good();
        let a =
            "[ -e a.txt ] || echo gone; [ \"$(sed -n 5p a.txt)\" = more ] && echo new || echo old";
        let git = |text: &str| format!("diff --git a/x b/x\n{text}");
        let known = "diff --git a/a.txt b/a.txt\nindex BEFORE..AFTER 100644\n--- a/a.txt\n\
                     +++ b/a.txt\n@@ -1,7 +1,7 @@\n-ONE\n+uno\n two\n three\n-FOUR\n+cuatro\n \n six\n seven\n";
        let known = known
            .replace("BEFORE", &blob("ONE\ntwo\nthree\nFOUR\n\nsix\nseven\neight\nnine\n"))
            .replace("AFTER", &blob("uno\ntwo\nthree\ncuatro\n\nsix\nseven\neight\nnine\n"));
        let hook = created(".git/hooks/x", "echo");
        vec![
            ("A1 clean", good.clone(), "", a, ["new"; 3]),
            ("A1 moved", good.replace("-2,6 +2,7", "-7,6 +7,7"), "", a, ["new"; 3]),
            ("A1 blanks", good.replace("+more", "+more  "), "", "sed -n 5p a.txt | tr ' ' _", ["more__"; 3]),
            ("A1 prose", format!("Here:\n```diff\n{good}```\nDone.\n"), "", a, ["new"; 3]),
            (
                "A1 bare header",
                good.replace("diff --git a/a.txt b/a.txt\n", ""),
                "",
                a,
                ["new"; 3],
            ),
            ("A2", good.trim_end().to_owned(), "", a, ["new"; 3]),
            (
                "A3",
                "--- a/a.txt\n+++ b/a.txt\n@@ -8,2 +8,3 @@\n eight\n nine\n+more".to_owned(),
                "",
                a,
                ["!old"; 3],
            ),
            ("A4", good.replace("-2,6 +2,7", "-2,7 +2,8"), "", a, ["new"; 3]),
            (
                "A5",
                good.replace(" two\n", " zwei\n"),
                "",
                "sed -n 5p a.txt",
                ["more"; 3],
            ),
            ("A6", good.replace(" \n six", " \n-sixx\n six"), "", a, ["!old"; 3]),
            ("A7", good.replace('\n', "\r\n"), "", a, ["new"; 3]),
            (
                "A8",
                good.replace("a/a.txt", "a.txt").replace("b/a.txt", "a.txt"),
                "",
                a,
                ["!old"; 3],
            ),
            ("A9", good.replace(" three\n", "three\n"), "", a, ["!old"; 3]),
            ("A10", good.replace(" \n", "\n"), "", a, ["new"; 3]),
            (
                "A11",
                created("run.sh", "echo"),
                "",
                "cat run.sh 2>/dev/null || echo deleted",
                ["echo", "echo", "deleted"],
            ),
            ("A12", good.clone(), "patch -s -p1 <\"$dir/patch.diff\"; git commit -qam x", a, [
                "new", "new", "old",
            ]),
            (
                "A13",
                "diff --git a/z.txt b/z.txt\ndeleted file mode 100644\n--- a/z.txt\n\
                 +++ /dev/null\n@@ -1 +0,0 @@\n-there\n"
                    .to_owned(),
                "",
                "cat z.txt 2>/dev/null || echo none",
                ["none", "none", "there"],
            ),
            // By 4.1 `patch` takes the file back that `--reject` has changed.
            (
                "A14",
                good.clone() + &diff("run.sh", "nothing\nlike it\n", "x\n"),
                "",
                a,
                ["!new", "!new", "!old"],
            ),
            ("A15", created("../out.txt", "x"), "", "ls ..; true", ["!patch.diff r s"; 3]),
            (
                "A16",
                hook,
                "",
                "cat .git/hooks/x 2>/dev/null || echo none",
                ["!none", "echo", "echo"],
            ),
            (
                "A17",
                format!(
                    "diff --git a/link b/link\nnew file mode 120000\n--- /dev/null\n+++ b/link\n\
                     @@ -0,0 +1 @@\n+..\n\\ No newline at end of file\n{}",
                    created("link/out.txt", "x")
                ),
                "",
                "ls ..; true",
                ["!patch.diff r s"; 3],
            ),
            (
                "A18",
                git("new file mode 100644\nindex 0000000..1111111\nBinary files /dev/null and b/x differ\n"),
                "",
                "wc -c <x",
                ["0"; 3],
            ),
            (
                "A19 rename",
                "diff --git a/run.sh b/go.sh\nsimilarity index 100%\nrename from run.sh\nrename to go.sh\n".to_owned(),
                "",
                "ls",
                ["a.txt b c.txt go.sh"; 3],
            ),
            (
                "A19 mode",
                "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n".to_owned(),
                "",
                "[ -x run.sh ] && echo x",
                ["x"; 3],
            ),
            (
                "A19 empty",
                git("new file mode 100644\nindex 0000000..e69de29\n"),
                "",
                "wc -c <x",
                ["0"; 3],
            ),
            ("A19 blanks", diff("b c.txt", "here\n", "there\n"), "", "cat 'b c.txt'", ["there"; 3]),
            (
                "A19 twice",
                good + "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -8,3 +8,4 @@\n seven\n eight\n nine\n+ten\n",
                "",
                "sed -n '5p;11p' a.txt",
                ["more ten"; 3],
            ),
            ("A20", "\n".to_owned(), "", a, ["!old"; 3]),
            ("A21", known, "", "grep -c uno a.txt; true", ["!1", "!1", "!0"]),
        ]
    }

    /// The id of a file's content.
    fn blob(content: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), content).unwrap();
        let git = Command::new("git").args(["hash-object", "x"]).current_dir(&dir).output();
        String::from_utf8(git.unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Runs a case by some rules and says what came of it.
    fn script(case: &Case, rules: Rules) -> String {
        let (_, patch, before, show, _) = case;
        let chain = match rules {
            Rules::Ours => chain("$dir/s", patch),
            _ => harness_chain(rules, "$dir/s", "$dir/s/patch.diff"),
        };
        // The directory is known inside only.
        let chain = chain.replace("'$dir/s", "\"$dir\"'/s");
        format!(
            "dir=$(mktemp -d); export dir\n{REPOSITORY}\nmkdir \"$dir/s\"\n\
             printf %s {patch} >\"$dir/patch.diff\"; cp \"$dir/patch.diff\" \"$dir/s/patch.diff\"\n\
             {{ :; {before}\n}} >/dev/null 2>&1\n\
             ( {chain}\n) >\"$dir/s/log\" 2>&1 </dev/null\ncode=$?\n\
             [ $code = 0 ] || printf '!'; [ $code = 0 ] || [ $code = {NOT_APPLIED} ] || echo \"odd $code\"\n\
             ( {show}\n) | tr '\\n' ' '; cd /; rm -rf \"$dir\"\n",
            patch = quote(patch),
        )
    }

    /// Every case by each rules, with what it shows and what it should.
    fn all() -> impl Iterator<Item = (String, String, &'static str)> {
        cases().into_iter().flat_map(|case| {
            Rules::ALL.into_iter().zip(case.4).map(move |(rules, expected)| {
                (format!("{} by {}", case.0, rules.name()), script(&case, rules), expected)
            })
        })
    }

    #[track_caller]
    fn check(shown: &[(String, String, &'static str)]) {
        let wrong: Vec<_> = shown.iter().filter(|(_, said, expected)| said != expected).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn patches_of_every_shape_by_each_rules_with_this_machines_tools() {
        let shown = all().map(|(case, script, expected)| {
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            (case, String::from_utf8_lossy(&output.stdout).trim_end().to_owned(), expected)
        });
        check(&shown.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn patches_of_every_shape_by_each_rules_in_a_container() {
        let Some(docker) = docker().await else { return };
        let trial = Trial::new(&[row("apply", |_| {})]);
        let id = InstanceId::new("apply").unwrap();
        let spec = environment(trial.dataset.instance(&id).unwrap()).unwrap();
        let prepared = docker.prepare(&spec).await.unwrap();
        let limits = Limits { lifetime: Duration::from_secs(600), ..trial.config.limits.clone() };
        let session = docker.start(&prepared, &limits).await.unwrap();
        let mut shown = Vec::new();
        for (case, script, expected) in all() {
            let request = ExecRequest { script, timeout: Duration::from_secs(120) };
            let output = session.exec(&request).await.unwrap();
            shown.push((case, output.text().trim_end().to_owned(), expected));
        }
        session.close().await;
        check(&shown);
    }
}
