//! A command in a container: bounded in time and output, and never held up by what it leaves
//! behind.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bollard::errors::Error as ClientError;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt;
use tokio::io::AsyncWrite;

use crate::sandbox::capture::Capture;
use crate::sandbox::docker::Container;
use crate::sandbox::script::{ACTIVATE, RUNNER, TESTBED, script_environment};
use crate::sandbox::{ExecOutput, ExecStatus, SandboxError};

/// How often a command that is still connected is looked at: its main process may have ended while
/// a daemon that it started holds the pipe.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// How long output is still read after the main process has ended.
pub(super) const GRACE: Duration = Duration::from_millis(300);

/// How long a killed container may take to end.
pub(super) const ENDING: Duration = Duration::from_secs(10);

/// How long a container is watched whose command was killed by somebody else.
const DOUBT: Duration = Duration::from_millis(400);

/// Gets output as it comes.
pub type OnOutput = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// A command to run in a container.
#[derive(Clone)]
pub struct ExecSpec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables on top of the image's.
    pub env: Vec<(String, String)>,
    /// Directory to start in.
    pub directory: String,
    /// User; root if absent.
    pub user: Option<String>,
    /// Wall time after which the container is killed.
    pub timeout: Duration,
    /// Bytes of output kept; the container is killed when more comes.
    pub output_bytes: usize,
    /// Gets output as it comes.
    pub on_output: Option<OnOutput>,
}

impl ExecSpec {
    /// A program with arguments, in `/`, for ten minutes and 16 MiB of output.
    #[must_use]
    pub fn command(command: &[&str]) -> Self {
        Self {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            env: Vec::new(),
            directory: "/".to_owned(),
            user: None,
            timeout: Duration::from_secs(600),
            output_bytes: 16 << 20,
            on_output: None,
        }
    }

    /// A bash script of up to about a megabyte, run in `/testbed` without the environment
    /// activated, with standard error joined to standard output and no standard input.
    #[must_use]
    pub fn script(script: &str) -> Self {
        Self {
            env: script_environment(script),
            ..Self::command(&["bash", "-c", RUNNER, "bash", TESTBED, ""])
        }
    }

    /// The script runs in the environment `testbed`, if the image has it. Only for
    /// [`ExecSpec::script`].
    #[must_use]
    pub fn activated(mut self) -> Self {
        self.set_word(5, ACTIVATE);
        self
    }

    /// The script starts in this directory. Only for [`ExecSpec::script`].
    #[must_use]
    pub fn in_directory(mut self, directory: &str) -> Self {
        self.set_word(4, directory);
        self
    }

    fn set_word(&mut self, index: usize, value: &str) {
        if let Some(word) = self.command.get_mut(index) {
            value.clone_into(word);
        }
    }

    /// With a time limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With a further variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What a reader of output makes of the next bytes.
pub(super) enum Took {
    /// It takes more.
    More,
    /// More than the output limit has come.
    TooMuch,
    /// Nothing that follows matters.
    Enough,
}

impl Container {
    /// Runs a command to its end or its limit. A limit kills the whole container.
    ///
    /// # Errors
    /// [`SandboxError::Ended`] if the container is gone, [`SandboxError::Engine`] if the engine
    /// is; [`SandboxError::Call`] if the program cannot be started.
    pub async fn exec(&self, spec: &ExecSpec) -> Result<ExecOutput, SandboxError> {
        let begin = Instant::now();
        let (exec, stream, _) = self.start(spec, false).await?;
        let mut capture = Capture::new(spec.output_bytes);
        let limit = self.read(&exec, stream, begin + spec.timeout, |bytes, _| {
            capture.push(bytes);
            if let Some(on_output) = &spec.on_output {
                on_output(bytes);
            }
            if capture.exceeded() { Took::TooMuch } else { Took::More }
        });
        let limit = limit.await?;
        let duration = begin.elapsed();
        let status = match limit {
            Some(status) => {
                self.ends_within(ENDING).await?;
                status
            }
            None => ExecStatus::Exited(self.exit_code(&exec).await?),
        };
        let output = capture.finish();
        let out_of_memory = self.ran_out_of_memory(status, &output).await;
        Ok(ExecOutput { status, output, duration, out_of_memory })
    }

    /// Whether the kernel has ended a process for want of memory since the last such question. The
    /// engine does not say so of a container that lives on, so the container's control group is
    /// asked, where there is reason to.
    pub(super) async fn ran_out_of_memory(&self, status: ExecStatus, output: &[u8]) -> bool {
        let end = &output[output.len().saturating_sub(4096)..];
        let killed =
            status == ExecStatus::Exited(137) || memchr::memmem::find(end, b"Killed").is_some();
        if !killed || !matches!(status, ExecStatus::Exited(_)) {
            return false;
        }
        // Control groups of version 2, then 1.
        let files = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];
        for file in files {
            let spec = ExecSpec::command(&["cat", file]).timeout(ENDING);
            let Ok((exec, stream, _)) = self.start(&spec, false).await else { return false };
            let mut capture = Capture::new(4096);
            let read = self.read(&exec, stream, Instant::now() + ENDING, |bytes, _| {
                capture.push(bytes);
                if capture.exceeded() { Took::TooMuch } else { Took::More }
            });
            if !matches!(read.await, Ok(None)) {
                return false;
            }
            let text = capture.finish();
            if let Some(kills) = oom_kills(&String::from_utf8_lossy(&text)) {
                return kills > self.oom_kills.swap(kills, Ordering::AcqRel);
            }
        }
        false
    }

    pub(super) async fn start(
        &self,
        spec: &ExecSpec,
        stdin: bool,
    ) -> Result<Started<impl futures_util::Stream<Item = Chunk> + Unpin + use<>>, SandboxError>
    {
        let options = CreateExecOptions {
            cmd: Some(spec.command.clone()),
            env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            working_dir: Some(spec.directory.clone()),
            user: spec.user.clone(),
            attach_stdin: Some(stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            ..CreateExecOptions::default()
        };
        let docker = &self.engine.docker;
        let action = "run a command";
        let exec = match docker.create_exec(self.id(), options).await {
            Ok(created) => created.id,
            Err(error) => return Err(self.error(action, error).await),
        };
        let options = StartExecOptions { output_capacity: Some(64 << 10), ..Default::default() };
        let started = match docker.start_exec(&exec, Some(options)).await {
            Ok(started) => started,
            Err(error) => return Err(self.error(action, error).await),
        };
        match started {
            StartExecResults::Attached { output, input } => Ok((exec, output, input)),
            StartExecResults::Detached => Err(SandboxError::Ended {
                instance: self.instance().clone(),
                detail: "the engine did not attach to the command".to_owned(),
            }),
        }
    }

    /// Reads an exec's output to its end or a limit, which is the answer; a limit kills the container.
    /// `take` also hears whether a limit has been reached before.
    pub(super) async fn read(
        &self,
        exec: &str,
        mut stream: impl futures_util::Stream<Item = Chunk> + Unpin,
        deadline: Instant,
        mut take: impl FnMut(&[u8], bool) -> Took,
    ) -> Result<Option<ExecStatus>, SandboxError> {
        let mut deadline = std::pin::pin!(tokio::time::sleep_until(deadline.into()));
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        look.tick().await;
        let mut limit = None;
        let mut ended_at: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                () = &mut deadline, if limit.is_none() && ended_at.is_none() => {
                    limit = Some(ExecStatus::TimedOut);
                    self.kill_aside();
                }
                _ = look.tick() => {
                    if ended_at.is_some_and(|at| at.elapsed() >= GRACE) {
                        break;
                    }
                    if ended_at.is_none() && (limit.is_some() || !self.exec_runs(exec).await?) {
                        ended_at = Some(Instant::now());
                    }
                }
                chunk = stream.next() => match chunk {
                    Some(Ok(bytes)) => match take(bytes.as_ref(), limit.is_some()) {
                        Took::Enough => return Ok(None),
                        Took::TooMuch if limit.is_none() => {
                            limit = Some(ExecStatus::OutputLimit);
                            self.kill_aside();
                        }
                        Took::TooMuch | Took::More => {}
                    },
                    // A connection that breaks says nothing: the container may have been killed,
                    // or the engine be gone. Asking how the command ended tells them apart.
                    None | Some(Err(_)) => break,
                },
            }
        }
        Ok(limit)
    }

    /// Kills the container while its output is still read: an engine whose reader waits for the
    /// kill takes ten seconds over it (20.10).
    pub(super) fn kill_aside(&self) {
        let container = self.clone();
        tokio::spawn(async move { container.kill().await });
    }

    /// Whether the main process of a command still runs.
    pub(super) async fn exec_runs(&self, exec: &str) -> Result<bool, SandboxError> {
        match self.engine.docker.inspect_exec(exec).await {
            Ok(state) => Ok(state.running.unwrap_or(false)),
            // The engine forgets commands with their container.
            Err(ClientError::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) => Err(self.error("look at a command", error).await),
        }
    }

    /// The exit status of a command that has ended.
    pub(super) async fn exit_code(&self, exec: &str) -> Result<i32, SandboxError> {
        // The engine closes the stream a moment before it notes the status.
        for _ in 0..100 {
            match self.engine.docker.inspect_exec(exec).await {
                Ok(state) if state.running == Some(false) && state.exit_code.is_some() => {
                    let code = state.exit_code.and_then(|code| i32::try_from(code).ok());
                    let code = code.unwrap_or(-1);
                    // 137 is an out-of-memory kill inside a living container, or the container's
                    // own end, which says nothing about the command; 126 is what the engine
                    // reports where it could not start it any more.
                    if matches!(code, 126 | 137) && self.ends_within(DOUBT).await? {
                        break;
                    }
                    return Ok(code);
                }
                Ok(_) => {}
                Err(ClientError::DockerResponseServerError { status_code: 404, .. }) => break,
                Err(error) => return Err(self.error("ask how a command ended", error).await),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(SandboxError::Ended {
            instance: self.instance().clone(),
            detail: "its container ended while a command ran".to_owned(),
        })
    }
}

/// Processes that the kernel has ended, as a control group's file says.
fn oom_kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// An exec's id, its output and its input.
pub(super) type Started<S> = (String, S, Pin<Box<dyn AsyncWrite + Send>>);

pub(super) type Chunk = Result<bollard::container::LogOutput, ClientError>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::docker::trial;

    fn script(text: &str) -> ExecSpec {
        let mut spec = ExecSpec::script(text).in_directory("/");
        spec.output_bytes = 1 << 20;
        spec.timeout(Duration::from_secs(60))
    }

    #[tokio::test]
    async fn exit_statuses_and_output_come_back() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let output = container.exec(&script("echo out; echo err >&2; exit 7")).await.unwrap();
        assert_eq!((output.status, output.text().as_ref()), (ExecStatus::Exited(7), "out\nerr\n"));
        for (text, code) in [("true", 0), ("kill -TERM $$; sleep 1", 143), ("no-such", 127)] {
            let output = container.exec(&script(text)).await.unwrap();
            assert_eq!(output.status, ExecStatus::Exited(code), "{text}");
        }
        let output = container.exec(&script("printf '\\xff\\x00\\x01z'")).await.unwrap();
        assert_eq!(output.output, b"\xff\x00\x01z");
        container.remove().await;
        assert!(!container.is_running().await.unwrap());
    }

    #[tokio::test]
    async fn memory_beyond_the_limit_is_137_in_a_living_container() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let hog = "python3 -c \"x = bytearray(900 << 20); print(len(x))\"";
        let output = container.exec(&script(hog)).await.unwrap();
        assert_eq!(output.status, ExecStatus::Exited(137), "{}", output.text());
        assert!(output.out_of_memory);
        let killed = container.exec(&script("kill -9 $BASHPID")).await.unwrap();
        assert_eq!((killed.status, killed.out_of_memory), (ExecStatus::Exited(137), false));
        let child = container.exec(&script(&format!("{hog} & wait $!; echo on"))).await.unwrap();
        assert!(child.out_of_memory, "{}", child.text());
        let output = container.exec(&script("echo alive")).await.unwrap();
        assert_eq!(output.text(), "alive\n");
        container.remove().await;
    }

    #[tokio::test]
    async fn a_fork_bomb_meets_the_process_limit_and_dies_with_the_container() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let count = "import os, time
n = 0
try:
    while n < 1000:
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
        n += 1
except BlockingIOError:
    print(n)";
        let output = container.exec(&script(&format!("python3 -c '{count}'"))).await.unwrap();
        let forked: u32 = output.text().trim().parse().unwrap();
        assert!((30..64).contains(&forked), "{forked}");

        let bomb = "f() { f | f & }; f; sleep 30";
        let begin = Instant::now();
        let output = container.exec(&script(bomb).timeout(Duration::from_secs(3))).await.unwrap();
        assert!(
            matches!(
                output.status,
                ExecStatus::TimedOut | ExecStatus::OutputLimit | ExecStatus::Exited(_)
            ),
            "{:?}",
            output.status
        );
        container.remove().await;
        assert!(begin.elapsed() < Duration::from_secs(30));
        assert!(!container.is_running().await.unwrap());
    }

    #[tokio::test]
    async fn a_flood_of_output_is_cut_and_ends_the_container() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let flood = "echo first; head -c 200000000 /dev/zero | tr '\\0' x";
        let begin = Instant::now();
        let output = container.exec(&script(flood)).await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
        assert_eq!(output.status, ExecStatus::OutputLimit);
        assert!(output.output.len() < (1 << 20) + 100);
        assert!(output.text().starts_with("first\nxxx"));
        assert!(output.text().contains(" bytes left out ..."));
        let later = container.exec(&script("true")).await;
        assert!(matches!(later, Err(SandboxError::Ended { .. })), "{later:?}");
        container.remove().await;
    }

    #[tokio::test]
    async fn a_daemon_that_holds_the_pipe_does_not_hold_the_command() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let daemon = "setsid sleep 50 & setsid bash -c 'while :; do echo noise; sleep 0.1; done' & echo done; exit 3";
        let begin = Instant::now();
        let output = container.exec(&script(daemon)).await.unwrap();
        assert_eq!(output.status, ExecStatus::Exited(3));
        assert!(output.text().contains("done\n"));
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        container.remove().await;
    }

    #[tokio::test]
    async fn running_out_of_time_kills_what_was_started() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let begin = Instant::now();
        let slow = script("echo begun; setsid sleep 77 & sleep 60").timeout(Duration::from_secs(1));
        let output = container.exec(&slow).await.unwrap();
        assert_eq!((output.status, output.text().as_ref()), (ExecStatus::TimedOut, "begun\n"));
        assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
        assert!(!container.is_running().await.unwrap());
        container.remove().await;
    }

    #[tokio::test]
    async fn killing_everything_inside_is_a_result_and_not_the_end_of_the_container() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let output = container.exec(&script("python3 -c 'import os; os.kill(-1, 9)'")).await;
        assert_eq!(output.unwrap().status, ExecStatus::Exited(137));
        assert_eq!(container.exec(&script("echo alive")).await.unwrap().text(), "alive\n");
        container.remove().await;
    }

    #[tokio::test]
    async fn a_container_that_is_taken_away_is_an_infrastructure_failure() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let other = container.clone();
        let killer = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(700)).await;
            other.remove().await;
        });
        let output = container.exec(&script("sleep 30")).await;
        assert!(matches!(output, Err(SandboxError::Ended { .. })), "{output:?}");
        killer.await.unwrap();
        assert!(matches!(container.exec(&script("true")).await, Err(SandboxError::Ended { .. })));
    }

    #[tokio::test]
    async fn there_is_no_network_but_localhost_and_the_own_name() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let probe = "python3 -c \"
import socket
for name in ['localhost', socket.gethostname()]:
    print(socket.gethostbyname(name))
try:
    socket.create_connection(('192.0.2.1', 80), 3)
except OSError as e:
    print(type(e).__name__, e.errno)
\"; ls /sys/class/net";
        let output = container.exec(&script(probe)).await.unwrap();
        assert_eq!(output.text(), "127.0.0.1\n127.0.0.1\nOSError 101\nlo\n");
        container.remove().await;
    }

    /// An engine's address that can be made to go away.
    fn proxy(dir: &std::path::Path) -> (String, tokio::task::JoinHandle<()>) {
        let path = dir.join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let serve = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut far = tokio::net::UnixStream::connect("/var/run/docker.sock").await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
        (format!("unix://{}", path.display()), serve)
    }

    #[tokio::test]
    async fn an_engine_that_goes_away_in_mid_call_is_named() {
        let Some(engine) = trial::engine().await else { return };
        if !engine.host().ends_with("/var/run/docker.sock") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (host, serve) = proxy(dir.path());
        let behind = crate::sandbox::docker::Engine::connect_to(&host).await.unwrap();
        let container = trial::container(&behind).await;
        let killer = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(700)).await;
            serve.abort();
        });
        let output = container.exec(&script("sleep 30")).await;
        assert!(
            matches!(&output, Err(SandboxError::Engine { host: h, .. }) if *h == host),
            "{output:?}"
        );
        killer.await.unwrap();
        let id = container.id().to_owned();
        std::process::Command::new("docker").args(["rm", "-f", &id]).output().unwrap();
    }
}
