//! [`Sandbox`] over directories: environments are templates, a session is a copy of one.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::event::Events;
use crate::sandbox::local::processes::kill_marked;
use crate::sandbox::local::session::{LocalSession, Place, on_path};
use crate::sandbox::local::template;
use crate::sandbox::process::{owned_dir, stale};
use crate::sandbox::{
    Environment, EnvironmentSpec, Limits, Sandbox, SandboxConfig, SandboxError, Session,
};

const PREFIX: &str = "agent-local-";

/// Sessions in throw-away directories below the system's temporary directory.
pub struct LocalSandbox {
    config: SandboxConfig,
    root: TempDir,
    next: AtomicU64,
    /// One cell an environment, so that calls at the same time share the work.
    prepared: Mutex<HashMap<String, Arc<OnceCell<PathBuf>>>>,
}

impl LocalSandbox {
    /// Directories and processes that sandboxes of ended processes left are removed first.
    ///
    /// # Errors
    /// [`SandboxError::Io`] if no directory can be made.
    pub fn new(config: SandboxConfig, events: Events) -> Result<Self, SandboxError> {
        Self::new_in(&std::env::temp_dir(), config, &events)
    }

    /// Ends and removes what sandboxes of ended processes left. Answers how many there were.
    #[must_use]
    pub fn remove_leftovers() -> usize {
        remove_stale(&std::env::temp_dir())
    }

    fn new_in(parent: &Path, config: SandboxConfig, events: &Events) -> Result<Self, SandboxError> {
        let removed = remove_stale(parent);
        if removed > 0 {
            events.notice(format!("removed {removed} directories that an ended process had left"));
        }
        let root = make_root(parent).map_err(|source| SandboxError::Io {
            action: format!("make a directory for sandboxes in {}", parent.display()),
            source,
        })?;
        Ok(Self { config, root, next: AtomicU64::new(0), prepared: Mutex::default() })
    }

    /// A place for a template (`t`) or a session (`s`). All have paths of one length.
    fn place(&self, kind: char) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let root = self.root.path();
        Place::new(root.join(format!("{kind}{number:08}")), root.join("bin"))
    }

    async fn prepare_once(&self, spec: &EnvironmentSpec) -> Result<PathBuf, SandboxError> {
        let place = self.place('t');
        let limits = self.config.install_limits();
        let time = Duration::from_secs(self.config.install_seconds);
        template::lay_out(&place, spec, &limits, time).await?;
        Ok(place.dir().to_path_buf())
    }
}

/// Our directory, with our name in it and a `python` for machines that have only `python3`.
fn make_root(parent: &Path) -> io::Result<TempDir> {
    let root = owned_dir(parent, PREFIX)?;
    let bin = root.path().join("bin");
    fs::create_dir(&bin)?;
    if on_path("python").is_none()
        && let Some(python) = on_path("python3")
    {
        symlink(python, bin.join("python"))?;
    }
    Ok(root)
}

/// Ends and removes what sandboxes of ended processes left in `parent`.
fn remove_stale(parent: &Path) -> usize {
    let mut removed = 0;
    for dir in stale(parent, PREFIX) {
        kill_marked(&dir);
        template::remove(&dir);
        removed += usize::from(!dir.exists());
    }
    removed
}

#[async_trait]
impl Sandbox for LocalSandbox {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn prepare(&self, spec: &EnvironmentSpec) -> Result<Environment, SandboxError> {
        let key = format!("{} {}", spec.tree.id(), spec.install.as_deref().unwrap_or(""));
        let cell = {
            let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(prepared.entry(key).or_default())
        };
        let root = cell.get_or_try_init(|| self.prepare_once(spec)).await?;
        Ok(Environment {
            instance: spec.instance.clone(),
            image: None,
            digest: None,
            root: Some(root.clone()),
            origin: None,
            leaks: None,
        })
    }

    async fn start(
        &self,
        environment: &Environment,
        limits: &Limits,
    ) -> Result<Box<dyn Session>, SandboxError> {
        let instance = environment.instance.clone();
        let Some(root) = &environment.root else {
            return Err(environment.foreign());
        };
        let template = Place::new(root.clone(), self.root.path().join("bin"));
        let place = self.place('s');
        // Made first, so that a copy that fails half-way is removed with it.
        let session = LocalSession::new(place.clone(), instance, limits.clone());
        template::copy(&template, &place).await?;
        Ok(Box::new(session))
    }

    async fn sweep(&self) {
        let root = self.root.path().to_path_buf();
        let swept = tokio::task::spawn_blocking(move || {
            kill_marked(&root);
            for entry in fs::read_dir(&root).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with('s') {
                    template::remove(&entry.path());
                }
            }
        });
        // It fails only when the runtime is being shut down; the next start removes the rest.
        let _ = swept.await;
    }
}

impl Drop for LocalSandbox {
    fn drop(&mut self) {
        kill_marked(self.root.path());
        template::remove(self.root.path());
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;
    use crate::sandbox::docker::trial;
    use crate::sandbox::process::{OWNER, process_label};
    use crate::sandbox::{EnvironmentSpec, ExecRequest, ExecStatus, Upload};

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        Limits { memory_bytes: 2 << 30, ..trial::limits() }
    }

    struct Bench {
        sandbox: LocalSandbox,
        _parent: TempDir,
    }

    fn bench() -> Bench {
        let parent = tempfile::tempdir().unwrap();
        let sandbox =
            LocalSandbox::new_in(parent.path(), SandboxConfig::default(), &Events::discard());
        Bench { sandbox: sandbox.unwrap(), _parent: parent }
    }

    async fn session(bench: &Bench, spec: &EnvironmentSpec) -> Box<dyn Session> {
        let environment = bench.sandbox.prepare(spec).await.unwrap();
        bench.sandbox.start(&environment, &limits()).await.unwrap()
    }

    async fn run(session: &dyn Session, script: &str, timeout: Duration) -> (ExecStatus, String) {
        let request = ExecRequest { script: script.to_owned(), timeout };
        let output = session.exec(&request).await.unwrap();
        (output.status, output.text().into_owned())
    }

    async fn said(session: &dyn Session, script: &str) -> String {
        run(session, script, 60 * SECOND).await.1
    }

    fn runs(mark: &str) -> bool {
        let found = Command::new("pgrep").args(["-f", mark]).output().unwrap();
        found.status.success()
    }

    #[tokio::test]
    async fn sessions_do_not_see_one_another_and_the_template_stays() {
        let bench = bench();
        let spec = trial::spec("apart", None);
        let one = session(&bench, &spec).await;
        let git = "git rev-list --all --count; git log -1 --format='%an %at %P'; git status --porcelain; cat kept.log";
        let git = said(&*one, git).await;
        assert_eq!(git, "1\nagent 946684800 \ntracked although ignored\n");
        let spoil = "echo changed > setup.py; rm -rf docs .git; echo x > \"$HOME/x\"; mkdir -p a/b; chmod 000 a";
        said(&*one, spoil).await;
        let two = session(&bench, &spec).await;
        assert_eq!(said(&*two, "git status --porcelain; ls $HOME; cat docs/odd*").await, "apart");
        let places = [one.workdir().to_owned(), two.workdir().to_owned()];
        assert!(Path::new(&places[0]).exists());
        one.close().await;
        two.close().await;
        assert!(places.iter().all(|place| !Path::new(place).exists()));
    }

    #[tokio::test]
    async fn the_environment_is_cleared_and_python_is_there() {
        let bench = bench();
        let session = session(&bench, &trial::spec("env", None)).await;
        let names =
            said(&*session, "compgen -e | sort | tr '\\n' ' '; python -c 'print(6*7)'").await;
        // bash adds PWD, OLDPWD and SHLVL itself.
        assert_eq!(names, "AGENT_SANDBOX HOME LANG OLDPWD PATH PWD SHLVL TERM TMPDIR 42\n");
        let upload =
            Upload { path: "a/b.sh".to_owned(), content: b"echo hi".to_vec(), executable: true };
        session.upload(&[upload]).await.unwrap();
        assert_eq!(said(&*session, &format!("{}/a/b.sh", session.scratch())).await, "hi\n");
        for bad in ["../x", "/etc/x", "", "a/../../x"] {
            let upload = Upload { path: bad.to_owned(), content: vec![], executable: false };
            assert!(session.upload(&[upload]).await.is_err(), "{bad}");
        }
        said(&*session, &format!("ln -s /nonexistent {}/link", session.scratch())).await;
        let through = Upload { path: "link/x".to_owned(), content: vec![], executable: false };
        assert!(session.upload(&[through]).await.is_err());
        session.close().await;
    }

    #[tokio::test]
    async fn statuses_and_signals_come_back() {
        let bench = bench();
        let session = session(&bench, &trial::spec("status", None)).await;
        for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("false", 1), ("no-such", 127)] {
            assert_eq!(
                run(&*session, script, 9 * SECOND).await.0,
                ExecStatus::Exited(code),
                "{script}"
            );
        }
        let hog = "python -c 'x = bytearray(4 << 30)'";
        let (status, output) = run(&*session, hog, 30 * SECOND).await;
        assert_eq!(status, ExecStatus::Exited(1));
        assert!(output.contains("MemoryError"), "{output}");
        session.close().await;
    }

    #[tokio::test]
    async fn running_out_of_time_kills_a_setsid_child_too() {
        let bench = bench();
        let session = session(&bench, &trial::spec("time", None)).await;
        let mark = format!("301.{}", std::process::id());
        let script = format!(
            "setsid sleep {mark} & cd /; setsid env -u AGENT_SANDBOX sleep {mark}1 & sleep {mark}2"
        );
        let begin = Instant::now();
        let (status, _) = run(&*session, &script, SECOND).await;
        assert_eq!(status, ExecStatus::TimedOut);
        assert!(begin.elapsed() < 5 * SECOND);
        assert!(!runs(&format!("sleep {mark}$")) && !runs(&format!("sleep {mark}2")));
        let request = ExecRequest { script: "true".to_owned(), timeout: SECOND };
        assert!(matches!(session.exec(&request).await, Err(SandboxError::Ended { .. })));
        session.close().await;
        // Without mark and outside of the directory nothing names it as ours: the known gap.
        Command::new("pkill").args(["-f", &format!("sleep {mark}1")]).output().unwrap();
    }

    #[tokio::test]
    async fn a_daemon_does_not_hold_a_command_and_ends_with_the_session() {
        let bench = bench();
        let session = session(&bench, &trial::spec("daemon", None)).await;
        let mark = format!("302.{}", std::process::id());
        let begin = Instant::now();
        let (status, output) =
            run(&*session, &format!("setsid sleep {mark} & echo done"), 30 * SECOND).await;
        assert_eq!((status, output.as_str()), (ExecStatus::Exited(0), "done\n"));
        assert!(begin.elapsed() < 5 * SECOND);
        assert!(runs(&format!("sleep {mark}")));
        session.close().await;
        assert!(!runs(&format!("sleep {mark}")));
    }

    #[tokio::test]
    async fn a_flood_of_output_is_cut() {
        let bench = bench();
        let session = session(&bench, &trial::spec("flood", None)).await;
        let (status, output) = run(&*session, "echo first; yes", 30 * SECOND).await;
        assert_eq!(status, ExecStatus::OutputLimit);
        assert!(output.starts_with("first\ny\n") && output.len() < (1 << 20) + 100);
        session.close().await;
    }

    #[tokio::test]
    async fn an_editable_install_imports_the_sessions_own_copy() {
        let bench = bench();
        let install =
            "python setup.py -q develop 2>/dev/null || pip install -q --no-build-isolation -e .";
        let spec = trial::spec("editable", Some(install));
        let one = session(&bench, &spec).await;
        let two = session(&bench, &spec).await;
        said(&*one, "sed -i s/41/42/ src/trial/__init__.py").await;
        let ask = "cd /; python -c 'import trial; print(trial.ANSWER, trial.__file__)'";
        let place = |session: &dyn Session| format!("{}/src/trial/__init__.py", session.workdir());
        assert_eq!(said(&*one, ask).await, format!("42 {}\n", place(&*one)));
        assert_eq!(said(&*two, ask).await, format!("41 {}\n", place(&*two)));
        let script = said(&*two, "head -1 \"$VIRTUAL_ENV/bin/pip\"; git status --porcelain").await;
        assert!(
            script.starts_with(&format!("#!{}", two.workdir().replace("testbed", "env"))),
            "{script}"
        );
        assert_eq!(script.lines().count(), 1);
        one.close().await;
        two.close().await;
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_removed_at_the_next_start() {
        let parent = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let label = process_label(child.id());
        let make = |name: &str, owner: &str| {
            let dir = parent.path().join(format!("{PREFIX}{name}"));
            fs::create_dir_all(dir.join("s00000001/testbed")).unwrap();
            fs::write(dir.join(OWNER), owner).unwrap();
            dir
        };
        let (dead, living) =
            (make("dead", &label), make("living", &process_label(std::process::id())));
        let mark = format!("303.{}", std::process::id());
        let orphan = Command::new("setsid")
            .args(["sleep", &mark])
            .env("AGENT_SANDBOX", dead.join("s00000001"))
            .spawn();
        child.kill().unwrap();
        child.wait().unwrap();
        let sandbox =
            LocalSandbox::new_in(parent.path(), SandboxConfig::default(), &Events::discard());
        assert!(!dead.exists() && living.exists());
        orphan.unwrap().wait().unwrap();
        assert!(!runs(&format!("sleep {mark}")));
        drop(sandbox);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "only the living one's");
    }
}
