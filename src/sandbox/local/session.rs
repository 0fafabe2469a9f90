//! A session on this machine: a directory of its own, and commands in process groups.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Component, Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};

use crate::artifact::InstanceId;
use crate::sandbox::capture::Capture;
use crate::sandbox::local::processes::{MARK, kill_group, kill_marked, running};
use crate::sandbox::local::template;
use crate::sandbox::script::{RUNNER, check_script, script_environment};
use crate::sandbox::{ExecOutput, ExecRequest, ExecStatus, Limits, SandboxError, Session, Upload};

/// How long output is still read after the main process has ended: a daemon that it started may
/// hold the pipe for ever.
const GRACE: Duration = Duration::from_millis(300);

/// The `timeout` around a command, for the case that we are killed, acts this much later.
const WATCHDOG_SLACK: Duration = Duration::from_secs(10);

/// Largest file that a command may write, in KiB.
const FILE_KIB: u64 = 4 << 20;

/// Sets the limits and becomes the script's runner. `$1` address space in KiB, `$2` processes or
/// empty, `$3` file size in KiB; the rest is the command.
const LIMITER: &str = r#"
ulimit -c 0
ulimit -v "$1"
[ -z "$2" ] || ulimit -u "$2"
ulimit -f "$3"
shift 3
exec "$@"
"#;

/// The directory of a session or a template.
#[derive(Debug, Clone)]
pub(super) struct Place {
    dir: PathBuf,
    /// Directories of programs that come first on `PATH`, if they exist.
    shims: PathBuf,
}

impl Place {
    pub(super) fn new(dir: PathBuf, shims: PathBuf) -> Self {
        Self { dir, shims }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn work(&self) -> PathBuf {
        self.dir.join("testbed")
    }

    pub(super) fn env(&self) -> PathBuf {
        self.dir.join("env")
    }

    fn scratch(&self) -> PathBuf {
        self.dir.join("scratch")
    }

    pub(super) fn make_directories(&self) -> Result<(), SandboxError> {
        for dir in [self.work(), self.scratch(), self.dir.join("home"), self.dir.join("tmp")] {
            fs::create_dir_all(&dir).map_err(|source| SandboxError::Io {
                action: format!("make the directory {}", dir.display()),
                source,
            })?;
        }
        Ok(())
    }

    /// The environment of commands: nothing of ours but `PATH`.
    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let venv = self.env();
        let own = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let mut directories = vec![self.shims.clone()];
        let mut variables = vec![
            ("HOME", self.dir.join("home").into()),
            ("TMPDIR", self.dir.join("tmp").into()),
            ("LANG", "C.UTF-8".into()),
            ("TERM", "dumb".into()),
            (MARK, self.dir.clone().into()),
        ];
        if venv.is_dir() {
            directories.insert(0, venv.join("bin"));
            variables.push(("VIRTUAL_ENV", venv.into()));
        }
        directories.extend(std::env::split_paths(&own));
        variables.push(("PATH", std::env::join_paths(directories).unwrap_or(own)));
        variables
    }
}

/// One directory and the processes in it.
pub(super) struct LocalSession {
    place: Place,
    workdir: String,
    scratch: String,
    instance: InstanceId,
    limits: Limits,
    begin: Instant,
    spent: AtomicBool,
    kept: AtomicBool,
    closed: AtomicBool,
}

impl LocalSession {
    pub(super) fn new(place: Place, instance: InstanceId, limits: Limits) -> Self {
        Self {
            workdir: place.work().to_string_lossy().into_owned(),
            scratch: place.scratch().to_string_lossy().into_owned(),
            place,
            instance,
            limits,
            begin: Instant::now(),
            spent: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// The directory outlives the session: it has become a template.
    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Release);
    }

    fn ended(&self, detail: &str) -> SandboxError {
        SandboxError::Ended { instance: self.instance.clone(), detail: detail.to_owned() }
    }

    fn check(&self) -> Result<(), SandboxError> {
        if self.spent.load(Ordering::Acquire) {
            return Err(
                self.ended("a command ran into its limit, and the sandbox was ended with it")
            );
        }
        if self.begin.elapsed() >= self.limits.lifetime {
            return Err(self.ended("its life is over"));
        }
        Ok(())
    }

    /// Runs a script with further variables.
    pub(super) async fn run(
        &self,
        script: &str,
        env: &[(String, String)],
        timeout: Duration,
    ) -> Result<ExecOutput, SandboxError> {
        self.check()?;
        check_script(script)?;
        let left = self.limits.lifetime.saturating_sub(self.begin.elapsed());
        let begin = Instant::now();
        let mut child = self.spawn(script, env, timeout.min(left))?;
        let mut capture = Capture::new(self.limits.output_bytes);
        let status = self.follow(&mut child, timeout.min(left), &mut capture).await;
        let duration = begin.elapsed();
        let status = status.map_err(|source| SandboxError::Io {
            action: format!("run a command in the sandbox of {}", self.instance),
            source,
        })?;
        if status == ExecStatus::TimedOut && left < timeout {
            return Err(self.ended("its life ended while a command ran"));
        }
        Ok(ExecOutput { status, output: capture.finish(), duration, out_of_memory: false })
    }

    fn spawn(
        &self,
        script: &str,
        env: &[(String, String)],
        timeout: Duration,
    ) -> Result<Group, SandboxError> {
        let watchdog = (timeout + WATCHDOG_SLACK).as_secs().to_string();
        let processes =
            running().map_or(String::new(), |now| (now + u64::from(self.limits.pids)).to_string());
        let mut command = Command::new("bash");
        command
            .args(["-c", LIMITER, "bash"])
            .arg((self.limits.memory_bytes >> 10).to_string())
            .arg(processes)
            .arg(FILE_KIB.to_string());
        if on_path("timeout").is_some() {
            command.args(["timeout", "-s", "KILL", &watchdog]);
        }
        let child = command
            .args(["bash", "-c", RUNNER, "bash", &self.workdir, ""])
            .env_clear()
            .envs(self.place.variables())
            .envs(env.iter().map(|(name, value)| (name, value)))
            .envs(script_environment(script))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| SandboxError::Io {
                action: format!("start bash in the sandbox of {}", self.instance),
                source,
            })?;
        Ok(Group { leader: child.id(), child })
    }

    async fn follow(
        &self,
        group: &mut Group,
        timeout: Duration,
        capture: &mut Capture,
    ) -> io::Result<ExecStatus> {
        let mut stdout: Option<ChildStdout> = group.child.stdout.take();
        let mut deadline = std::pin::pin!(tokio::time::sleep(timeout));
        let mut grace = std::pin::pin!(tokio::time::sleep(Duration::MAX));
        let mut buffer = vec![0; 64 << 10];
        let mut limit = None;
        let mut exit: Option<ExitStatus> = None;
        while exit.is_none() || stdout.is_some() {
            tokio::select! {
                biased;
                () = &mut deadline, if exit.is_none() && limit.is_none() => {
                    limit = Some(ExecStatus::TimedOut);
                    self.kill(group.leader).await;
                }
                () = &mut grace, if exit.is_some() => break,
                status = group.child.wait(), if exit.is_none() => {
                    exit = Some(status?);
                    grace.as_mut().reset(tokio::time::Instant::now() + GRACE);
                }
                read = read_some(&mut stdout, &mut buffer), if stdout.is_some() => match read? {
                    0 => stdout = None,
                    length => {
                        capture.push(&buffer[..length]);
                        if capture.exceeded() && limit.is_none() {
                            limit = Some(ExecStatus::OutputLimit);
                            self.kill(group.leader).await;
                        }
                    }
                },
            }
        }
        Ok(limit.unwrap_or_else(|| {
            let status = exit.unwrap_or_default();
            let killed = status.signal().map(|signal| 128 + signal);
            ExecStatus::Exited(status.code().or(killed).unwrap_or(-1))
        }))
    }

    /// Kills a command's group and all else of this session, and spends it.
    async fn kill(&self, leader: Option<u32>) {
        self.spent.store(true, Ordering::Release);
        if let Some(leader) = leader {
            kill_group(leader);
        }
        let dir = self.place.dir().to_path_buf();
        // It fails only if the runtime is being shut down, and then dropping does the same.
        let _ = tokio::task::spawn_blocking(move || kill_marked(&dir)).await;
    }

    /// Ends what still runs and removes the directory; blocks.
    fn clean_up(&self) -> impl FnOnce() + Send + 'static {
        let (dir, kept) = (self.place.dir().to_path_buf(), self.kept.load(Ordering::Acquire));
        move || {
            kill_marked(&dir);
            if !kept {
                template::remove(&dir);
            }
        }
    }

    fn place_of(&self, path: &str) -> io::Result<PathBuf> {
        let invalid = |why: &str| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("invalid upload path {path:?}: {why}"),
            )
        };
        let mut place = self.place.scratch();
        for part in Path::new(path).components() {
            let Component::Normal(name) = part else {
                return Err(invalid("it must be relative and without `..`"));
            };
            place.push(name);
            // Left by an earlier command; writing through it would leave the session.
            if place.is_symlink() {
                return Err(invalid("there is a symbolic link on it"));
            }
        }
        if place == self.place.scratch() {
            return Err(invalid("it is empty"));
        }
        Ok(place)
    }

    fn write(&self, file: &Upload) -> io::Result<()> {
        let place = self.place_of(&file.path)?;
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&place, &file.content)?;
        let mode = if file.executable { 0o755 } else { 0o644 };
        fs::set_permissions(&place, fs::Permissions::from_mode(mode))
    }
}

/// A command's leader. Dropping it kills the group: a cancelled call must not leave it running.
struct Group {
    child: Child,
    leader: Option<u32>,
}

impl Drop for Group {
    fn drop(&mut self) {
        // Once waited for, the id may be another's.
        if self.child.id().is_some()
            && let Some(leader) = self.leader
        {
            kill_group(leader);
        }
    }
}

async fn read_some(stdout: &mut Option<ChildStdout>, buffer: &mut [u8]) -> io::Result<usize> {
    match stdout {
        Some(stdout) => stdout.read(buffer).await,
        None => Ok(0),
    }
}

/// A program on our own `PATH`.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| {
        fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}

#[async_trait]
impl Session for LocalSession {
    fn workdir(&self) -> &str {
        &self.workdir
    }

    fn scratch(&self) -> &str {
        &self.scratch
    }

    async fn upload(&self, files: &[Upload]) -> Result<(), SandboxError> {
        self.check()?;
        for file in files {
            self.write(file).map_err(|source| SandboxError::Io {
                action: format!("upload {} to the sandbox of {}", file.path, self.instance),
                source,
            })?;
        }
        Ok(())
    }

    async fn exec(&self, request: &ExecRequest) -> Result<ExecOutput, SandboxError> {
        self.run(&request.script, &[], request.timeout).await
    }

    async fn close(self: Box<Self>) {
        self.closed.store(true, Ordering::Release);
        // It fails only if the runtime is being shut down; the sandbox's end removes the rest.
        let _ = tokio::task::spawn_blocking(self.clean_up()).await;
    }
}

impl Drop for LocalSession {
    fn drop(&mut self) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(self.clean_up())),
            Err(_) => self.clean_up()(),
        }
    }
}
