//! Hostile code against a real engine, through the sandbox's own interface: whatever it does is a
//! result of its own session, later sessions are as they should be, and nothing is left.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::ListContainersOptionsBuilder;
use futures_util::StreamExt;

use crate::event::Events;
use crate::harness::{self, ScriptVerdict};
use crate::sandbox::docker::{DockerSandbox, Engine, ExecSpec, trial};
use crate::sandbox::{
    Environment, EnvironmentSpec, ExecOutput, ExecRequest, ExecStatus, Limits, PullPolicy, Sandbox,
    SandboxConfig, SandboxError, Session, Upload,
};

const SECOND: Duration = Duration::from_secs(1);

/// A sandbox and an environment of a small package.
struct Ground {
    engine: Engine,
    sandbox: DockerSandbox,
    environment: Environment,
    run: String,
}

impl Ground {
    async fn new(name: &str) -> Option<Self> {
        let engine = trial::engine().await?;
        let run = format!("{name}-{}", std::process::id());
        let config =
            SandboxConfig { pull: PullPolicy::Never, file_mib: 100, ..SandboxConfig::default() };
        let engine = engine.for_run(&run);
        let sandbox = DockerSandbox::new(engine.clone(), config, Events::discard()).await.unwrap();
        let environment = sandbox.prepare(&trial::spec(&run, None)).await.unwrap();
        Some(Self { engine, sandbox, environment, run })
    }

    async fn session(&self) -> Box<dyn Session> {
        self.sandbox.start(&self.environment, &trial::limits()).await.unwrap()
    }

    /// Fails if a container of this run exists; removes the image.
    async fn end(self) {
        let filters =
            HashMap::from([("label".to_owned(), vec![format!("agent.run={}", self.run)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let left = self.engine.docker.list_containers(Some(options)).await.unwrap();
        assert!(left.is_empty(), "{} containers are left", left.len());
        self.engine.remove_image(&self.environment.image.unwrap()).await.unwrap();
    }
}

async fn exec(session: &dyn Session, script: &str) -> Result<ExecOutput, SandboxError> {
    let request = ExecRequest { script: script.to_owned(), timeout: 60 * SECOND };
    session.exec_next(&request).await
}

async fn said(session: &dyn Session, script: &str) -> String {
    exec(session, script).await.unwrap().text().into_owned()
}

/// How a hostile command may end, and what is true of its session afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With this status, and the session goes on.
    Exit(i32),
    /// With this status, and what comes later fails in this session.
    Broken(i32),
    /// Past its time; the session has ended.
    Time,
    /// Past its output; the session has ended.
    Output,
    /// In any way; the next session alone counts.
    Any,
}

/// `(name, command, seconds it may take, end, what its output must hold)`.
const HOSTILE: &[(&str, &str, u64, End, &str)] = &[
    (
        "r20-daemon",
        "setsid sleep 300 & setsid bash -c 'while :; do echo noise; sleep 0.2; done' & echo done; exit 3",
        60,
        End::Exit(3),
        "done",
    ),
    ("r21-memory", "python3 -c 'x = bytearray(900 << 20); print(len(x))'", 60, End::Exit(137), ""),
    (
        "shared-memory",
        "dd if=/dev/zero of=/dev/shm/x bs=1M count=200 2>&1 | grep -o 'No space'; rm /dev/shm/x",
        60,
        End::Exit(0),
        "No space",
    ),
    ("r22-flood", "head -c 200000000 /dev/zero | tr '\\0' x", 60, End::Output, "xxx"),
    ("r22-endless", "yes issue resolved", 60, End::Output, "bytes left out"),
    ("r23-fork-bomb", "f() { f | f & }; f; sleep 30", 3, End::Any, ""),
    ("no-end", "trap '' TERM INT HUP; while :; do :; done", 1, End::Time, ""),
    ("sleeping-daemons", "for i in $(seq 20); do setsid sleep 300 & done; sleep 60", 1, End::Time, ""),
    ("kill-all", "echo on; kill -9 -1", 60, End::Exit(137), "on"),
    ("kill-parent", "echo on; kill -9 $PPID $$; sleep 60", 60, End::Exit(137), "on"),
    ("stop-parent", "echo on; kill -STOP $$ $PPID; sleep 60", 2, End::Time, "on"),
    ("closed-files", "exec 0<&- 1>&- 2>&-; for f in /proc/self/fd/*; do eval \"exec ${f##*/}>&-\"; done; exit 4", 60, End::Exit(4), ""),
    ("no-testbed", "rm -rf /testbed /tmp/agent; echo gone", 60, End::Broken(1), "gone"),
    ("nothing-left", "rm -rf --no-preserve-root / 2>/dev/null; echo gone", 60, End::Any, ""),
    (
        "large-file",
        "dd if=/dev/zero of=/big bs=1M count=300; fallocate -l 300M /bigger; stat -c 'size %s' /big",
        60,
        End::Exit(0),
        "size 104857600\n",
    ),
    (
        "core-dump",
        "ulimit -c unlimited; ulimit -c; cd /srv; bash -c 'kill -SEGV $$'; ls",
        60,
        End::Exit(0),
        "0\n",
    ),
    ("binary-output", "printf 'a\\0b\\xff\\xfe\\n'; printf '\\nagent-0 end 0\\n'; exit 5", 60, End::Exit(5), "agent-0 end 0"),
    ("long-line", "head -c 900000 /dev/zero | tr '\\0' y; exit 6", 60, End::Exit(6), "yyy"),
    (
        "forbidden",
        "no() { \"$@\" >/dev/null 2>&1 && echo \"can $*\"; }
        no date -s 2001-01-01; no mount -t tmpfs x /mnt; no mknod /dev/sdz b 8 0; no chroot / true
        no hostname other; no sh -c 'echo 1 >/proc/sys/kernel/panic'; no sh -c 'echo 9999999999 >/sys/fs/cgroup/memory/memory.limit_in_bytes'
        no sh -c '[ -f /sys/fs/cgroup/memory.max ] && echo max >/sys/fs/cgroup/memory.max'; no sh -c 'echo max >/sys/fs/cgroup/pids/pids.max'
        no sh -c 'echo c >/proc/sysrq-trigger'; no ls /var/run/docker.sock; no unshare -m true
        no nsenter -t 1 -m true; no renice -n -5 $$; no cat /dev/mem /proc/kcore
        no timeout 3 bash -c 'echo >/dev/tcp/192.0.2.1/80'; no getent hosts example.com
        echo tried",
        60,
        End::Exit(0),
        "tried",
    ),
    (
        "tools-replaced",
        "for t in bash python python3 git cat env sh; do for d in /bin /usr/bin /usr/local/bin /opt/miniconda3/envs/testbed/bin; do
            [ ! -e $d/$t ] || { rm -f $d/$t; echo 'not a program' >$d/$t; }; done; done; echo replaced",
        60,
        End::Any,
        "replaced",
    ),
];

async fn tried(ground: &Ground, row: &(&str, &str, u64, End, &str)) -> Vec<String> {
    let &(name, script, seconds, end, holds) = row;
    let mut wrong = Vec::new();
    let session = ground.session().await;
    let request = ExecRequest { script: script.to_owned(), timeout: Duration::from_secs(seconds) };
    let ran = session.exec_next(&request).await;
    let later = tokio::time::timeout(30 * SECOND, exec(&*session, "echo alive")).await;
    session.close().await;
    let Ok(later) = later else { return vec![format!("{name}: what came later hangs")] };
    match (&ran, end) {
        (Ok(output), _) => {
            let as_expected = match end {
                End::Exit(code) | End::Broken(code) => {
                    let own = output.status == ExecStatus::Exited(code);
                    own || (matches!(end, End::Broken(_)) && output.success())
                }
                End::Time => output.status == ExecStatus::TimedOut,
                End::Output => output.status == ExecStatus::OutputLimit,
                End::Any => true,
            };
            let text = output.text();
            if !as_expected || !text.contains(holds) || text.contains("can ") {
                let head: String = text.chars().take(500).collect();
                wrong.push(format!("{name}: {:?}: {head}", output.status));
            }
            if output.out_of_memory != (name == "r21-memory") && end != End::Any {
                wrong.push(format!("{name}: out of memory: {}", output.out_of_memory));
            }
        }
        (Err(_), End::Any) => {}
        (Err(error), _) => wrong.push(format!("{name}: {error}")),
    }
    let fine = match end {
        End::Exit(_) => later.as_ref().is_ok_and(|l| l.success() && l.text().contains("alive\n")),
        End::Broken(code) => later.as_ref().is_ok_and(|l| l.status == ExecStatus::Exited(code)),
        End::Time | End::Output => matches!(later, Err(SandboxError::Ended { .. })),
        End::Any => true,
    };
    if !fine {
        wrong.push(format!("{name}: later: {later:?}"));
    }
    wrong
}

#[tokio::test]
async fn hostile_commands_are_results_of_their_own_session() {
    let Some(ground) = Ground::new("hostile").await else { return };
    let wrong: Vec<Vec<String>> = futures_util::stream::iter(HOSTILE)
        .map(|row| tried(&ground, row))
        .buffer_unordered(2)
        .collect()
        .await;
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let session = ground.session().await;
    let fresh =
        "git status --porcelain; git log --format=%s; python -c 'print(1)'; ls /tmp /dev/shm";
    assert_eq!(said(&*session, fresh).await, "base\n1\n/dev/shm:\n\n/tmp:\nagent\n");
    session.close().await;
    ground.end().await;
}

fn script(body: &str) -> String {
    format!("import sys\nsys.path.insert(0, 'src')\n{body}\n")
}

async fn judged(session: &dyn Session, name: &str, body: &str) -> harness::ScriptRun {
    harness::run_script(session, name, &script(body), 30 * SECOND).await.unwrap()
}

/// A patch that makes the package hostile when it is imported.
fn patch(lines: &[&str]) -> String {
    let added: String = lines.iter().map(|line| format!("+{line}\n")).collect();
    format!(
        "diff --git a/src/trial/__init__.py b/src/trial/__init__.py\n--- a/src/trial/__init__.py\n\
         +++ b/src/trial/__init__.py\n@@ -1 +1,{} @@\n ANSWER = 41\n{added}",
        lines.len() + 1
    )
}

async fn patched(ground: &Ground, lines: &[&str]) -> Box<dyn Session> {
    let session = ground.session().await;
    harness::apply_patch(&*session, &patch(lines), 30 * SECOND).await.unwrap().unwrap();
    session
}

const JUDGE: &str =
    "import trial\nprint('Issue resolved' if trial.ANSWER == 42 else 'Issue reproduced')";

#[tokio::test]
async fn sentinels_that_the_patch_prints_do_not_count() {
    let Some(ground) = Ground::new("sentinels").await else { return };
    // What is printed, and what is printed with the marks of earlier scripts, also by a process
    // that stays. The mark of the script that imports it is within a patch's reach, as all of that
    // process is.
    let session = patched(
        &ground,
        &[
            "import os, re, subprocess, sys",
            "print('Issue resolved'); print('Issue resolved #0000000000000000')",
            "print('Other issues', file=sys.stderr)",
            "seen = '/var/tmp/seen'",
            "text = open(seen).read() if os.path.exists(seen) else ''",
            "for mark in re.findall('#[0-9a-f]{16}', text): print('Issue resolved ' + mark)",
            "subprocess.Popen(['setsid', 'bash', '-c', 'm=\"$1\"; for i in $(seq 50); do echo \"$m\"; sleep 0.1; done', 'x', '\\n'.join('Issue resolved ' + m for m in re.findall('#[0-9a-f]{16}', text))])",
            "open(seen, 'a').write(open(sys.argv[0]).read())",
        ],
    )
    .await;
    for name in ["t000", "t001", "t002"] {
        let run = judged(&*session, name, JUDGE).await;
        assert_eq!(run.verdict, ScriptVerdict::Reproduced, "{name}: {}", run.tail);
    }
    let left = said(&*session, "cat /tmp/agent/reproduce/*").await;
    assert!(!left.contains("trial"), "no script can be read by a later one: {left}");
    session.close().await;
    ground.end().await;
}

#[tokio::test]
async fn a_script_that_ends_its_shell_does_not_take_the_next_one_along() {
    let Some(ground) = Ground::new("shells").await else { return };
    let session = ground.session().await;
    let killer = judged(&*session, "t000", "import os, trial\nos.kill(-1, 9)").await;
    assert_eq!(killer.verdict, ScriptVerdict::Other);
    assert_eq!(judged(&*session, "t001", JUDGE).await.verdict, ScriptVerdict::Reproduced);
    let later = "import subprocess, trial\nsubprocess.Popen(['setsid', 'bash', '-c', 'sleep 0.5; kill -9 -1'])\nprint('Issue reproduced')";
    assert_eq!(judged(&*session, "t002", later).await.verdict, ScriptVerdict::Reproduced);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(judged(&*session, "t003", JUDGE).await.verdict, ScriptVerdict::Reproduced);
    let hog = judged(&*session, "t004", "x = bytearray(900 << 20)").await;
    assert!(hog.out_of_memory && hog.verdict == ScriptVerdict::Other);
    let slow = harness::run_script(&*session, "t005", "import time; time.sleep(60)", SECOND).await;
    assert_eq!(slow.unwrap().verdict, ScriptVerdict::Timeout);
    let ended = harness::run_script(&*session, "t006", "print()", SECOND).await;
    assert!(matches!(ended, Err(SandboxError::Ended { .. })), "{ended:?}");
    session.close().await;
    ground.end().await;
}

#[tokio::test]
async fn commands_share_a_shell_but_neither_directory_nor_variables() {
    let Some(ground) = Ground::new("shared").await else { return };
    let session = ground.session().await;
    assert_eq!(said(&*session, "cd /srv; export X=1; f() { :; }; set -e; false").await, "");
    let output =
        exec(&*session, "pwd; echo \"$X|$-|$#\"; type -t f; cat; false; which python").await;
    let text = output.unwrap().text().into_owned();
    let python = "/opt/miniconda3/envs/testbed/bin/python\n";
    assert!(text.starts_with("/testbed\n|") && text.ends_with(&format!("|0\n{python}")), "{text}");
    let long = format!("x='{}'; echo ${{#x}}", "é".repeat(60_000));
    assert_eq!(said(&*session, &long).await.trim().parse::<usize>().unwrap(), 60_000);
    let nul = ExecRequest { script: "a\0b".to_owned(), timeout: SECOND };
    assert!(matches!(session.exec_next(&nul).await, Err(SandboxError::Io { .. })));
    session.close().await;
    ground.end().await;
}

#[tokio::test]
async fn what_a_patch_writes_into_git_is_not_run_by_our_later_calls() {
    let Some(ground) = Ground::new("git").await else { return };
    let session = ground.session().await;
    let plant = "printf '#!/bin/sh\\ntouch /srv/ran\\n' >/srv/evil; chmod +x /srv/evil
        git config core.fsmonitor /srv/evil; git config core.hooksPath /srv/hooks; mkdir /srv/hooks
        for h in post-checkout post-index-change applypatch-msg pre-applypatch; do cp /srv/evil /srv/hooks/$h; done
        git config alias.apply '!/srv/evil'; git config core.pager /srv/evil; git config core.editor /srv/evil
        git config filter.x.clean /srv/evil; git config filter.x.smudge /srv/evil; git config diff.external /srv/evil
        echo '* filter=x diff=x' >.git/info/attributes; git config diff.x.textconv /srv/evil; rm -f /srv/ran";
    said(&*session, plant).await;
    harness::apply_patch(&*session, &patch(&["X = 1"]), 30 * SECOND).await.unwrap().unwrap();
    assert_eq!(
        said(&*session, "ls /srv/ran 2>&1 | grep -c cannot; tail -n 1 src/trial/__init__.py").await,
        "1\nX = 1\n"
    );
    // A patch itself cannot write there.
    let inside = "diff --git a/.git/hooks/x b/.git/hooks/x\nnew file mode 100755\n--- /dev/null\n+++ b/.git/hooks/x\n@@ -0,0 +1 @@\n+x\n";
    let refused = harness::apply_patch(&*session, inside, 30 * SECOND).await.unwrap();
    assert!(refused.unwrap_err().contains(".git/hooks/x"));
    session.close().await;
    ground.end().await;
}

#[tokio::test]
async fn links_lead_nowhere_outside_of_the_container() {
    let Some(ground) = Ground::new("links").await else { return };
    let session = ground.session().await;
    let own = format!("agent-link-{}", std::process::id());
    for target in ["/", "/etc", "/proc/1/root", "../../../../../..", "/proc/self/cwd"] {
        said(&*session, &format!("rm -rf /tmp/agent; ln -s {target} /tmp/agent")).await;
        let file = Upload { path: own.clone(), content: b"x".to_vec(), executable: false };
        // Into the container or refused; the engine resolves links below the container's root.
        let _ = session.upload(std::slice::from_ref(&file)).await;
        for outside in ["/", "/etc/", "/tmp/", "/var/lib/docker/"] {
            assert!(!std::path::Path::new(outside).join(&own).exists(), "{target} leads outside");
        }
    }
    session.close().await;

    // Through a directory that a patch made a link.
    let session = ground.session().await;
    said(
        &*session,
        "rm -rf src; ln -s /srv src; mkdir /srv/trial; echo 'ANSWER = 41' >/srv/trial/__init__.py",
    )
    .await;
    let refused = harness::apply_patch(&*session, &patch(&["X = 1"]), 30 * SECOND).await.unwrap();
    assert!(refused.unwrap_err().contains("symbolic link"));
    let link = "diff --git a/out b/out\nnew file mode 120000\n--- /dev/null\n+++ b/out\n@@ -0,0 +1 @@\n+/srv\n\\ No newline at end of file\n\
                diff --git a/out/x b/out/x\nnew file mode 100644\n--- /dev/null\n+++ b/out/x\n@@ -0,0 +1 @@\n+x\n";
    let refused = harness::apply_patch(&*session, link, 30 * SECOND).await.unwrap();
    assert!(refused.is_err());
    assert_eq!(said(&*session, "ls /srv").await, "trial\n");
    session.close().await;
    ground.end().await;
}

#[tokio::test]
async fn processes_and_variables_tell_nothing_of_us() {
    let Some(ground) = Ground::new("proc").await else { return };
    let session = ground.session().await;
    let first = judged(&*session, "t000", "SECRET_OF_FIRST = 1\nprint('Issue reproduced')").await;
    assert_eq!(first.verdict, ScriptVerdict::Reproduced);
    let spy = "import glob, re
text = b''
for f in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):
    try:
        text += open(f, 'rb').read()
    except OSError:
        pass
print('marks', len(re.findall(b'#[0-9a-f]{16}|agent-[0-9a-f]{32}', text)))
print('scripts', text.count(b'SECRET_OF_FIRST'), text.count(b'AGENT_SCRIPT'))
names = set(re.findall(b'([A-Za-z_]+)=', text))
print('names', sorted(n for n in names if re.search(b'KEY|TOKEN|SECRET|PASS|OPENAI|DOCKER', n)))";
    let run = judged(&*session, "t001", spy).await;
    assert_eq!(run.tail, "marks 0\nscripts 0 0\nnames []");
    session.close().await;
    ground.end().await;
}

#[tokio::test]
async fn r27_a_patch_goes_onto_the_image_and_its_set_up_edits_stay() {
    let Some(engine) = trial::engine().await else { return };
    let image = format!("agent-trial:r27-{}", std::process::id());
    let container = trial::container(&engine).await;
    let made = "set -e; git init -q -b main .; git config user.name a; git config user.email a@b
        mkdir -p src/trial; echo 'ANSWER = 41' >src/trial/__init__.py; echo old >tox.ini; git add .; git commit -qm base
        echo new >tox.ini; git commit -qam SWE-bench; rm -rf .git/logs; git rev-parse HEAD~1";
    let output = container.exec(&ExecSpec::script(made)).await.unwrap();
    let base = output.text().trim().to_owned();
    engine.commit(&container, &image, &[]).await.unwrap();
    container.remove().await;
    let config = SandboxConfig { pull: PullPolicy::Never, ..SandboxConfig::default() };
    let sandbox = DockerSandbox::new(engine.clone(), config, Events::discard()).await.unwrap();
    let spec = EnvironmentSpec {
        image: Some(image.clone()),
        base_commit: Some(base),
        ..trial::spec("r27", None)
    };
    let environment = sandbox.prepare(&spec).await.unwrap();
    let session = sandbox.start(&environment, &trial::limits()).await.unwrap();
    harness::apply_patch(&*session, &patch(&["X = 1"]), 30 * SECOND).await.unwrap().unwrap();
    assert_eq!(
        said(&*session, "git diff --name-only HEAD; cat tox.ini").await,
        "src/trial/__init__.py\nnew\n"
    );
    session.close().await;
    engine.remove_image(&environment.image.unwrap()).await.unwrap();
    engine.remove_image(&image).await.unwrap();
}

#[tokio::test]
async fn a_container_without_programs_waits_without_work() {
    let Some(ground) = Ground::new("idle").await else { return };
    let limits = Limits { lifetime: 8 * SECOND, ..trial::limits() };
    let session = ground.sandbox.start(&ground.environment, &limits).await.unwrap();
    let used = "rm -f /bin/sleep /usr/bin/sleep; cut -d' ' -f14 /proc/1/stat; read -rt 3 < <(:); for i in 1 2 3; do read -rt 1 -u 9 9<> <(:); done; cut -d' ' -f14 /proc/1/stat";
    let text = said(&*session, used).await;
    let ticks: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert!(ticks[1] - ticks[0] < 50, "process 1 spins: {text}");
    session.close().await;
    ground.end().await;
}
