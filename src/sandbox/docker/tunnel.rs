//! An engine's socket on another machine, brought here by the system's ssh.
//!
//! One ssh process forwards the socket for all calls: a call costs a channel, not a login (which
//! servers limit when many come at a time), and the other side needs no docker client. What ssh
//! knows of hosts, keys and agents holds, because it is ssh that connects.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::sandbox::docker::address::SshTarget;
use crate::sandbox::process;

/// Prefix of the directories that hold a forwarded socket.
const PREFIX: &str = "agent-ssh-";

/// How long a login may take.
const LOGIN: Duration = Duration::from_secs(30);

/// Wait before a broken connection is made again.
const AGAIN: Duration = Duration::from_secs(2);

/// What the far `cat` says back once the forwarding stands.
const READY: &str = "agent-tunnel-ready";

/// Bytes kept of what ssh says.
const SAID: usize = 2000;

/// A forwarded socket. The connection is made again when it breaks, and ends with this value.
pub(super) struct Tunnel {
    socket: PathBuf,
    /// What ssh said last on standard error.
    said: Said,
    keeper: JoinHandle<()>,
    _dir: TempDir,
}

type Said = Arc<Mutex<String>>;

impl Tunnel {
    /// Connects and forwards.
    ///
    /// # Errors
    /// With ssh's own words.
    pub(super) async fn open(target: &SshTarget) -> io::Result<Self> {
        let parent = std::env::temp_dir();
        for stale in process::stale(&parent, PREFIX) {
            // Another process may be at it.
            let _ = std::fs::remove_dir_all(stale);
        }
        // Only its owner may enter: who reaches an engine's socket is root over there.
        let dir = process::owned_dir(&parent, PREFIX)?;
        let socket = dir.path().join("s");
        let said = Said::default();
        let child = connect(target, &socket, &said).await?;
        let (target, path, heard) = (target.clone(), socket.clone(), Arc::clone(&said));
        let keeper = tokio::spawn(async move { keep(child, &target, &path, &heard).await });
        Ok(Self { socket, said, keeper, _dir: dir })
    }

    /// The socket here.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// As [`Tunnel::said`]; ssh may speak a moment after a connection through it broke.
    pub(super) async fn last_words(&self) -> Option<String> {
        for _ in 0..50 {
            if let Some(said) = self.said() {
                return Some(said);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// The end of what ssh said, if it said anything.
    pub(super) fn said(&self) -> Option<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        Some(said.trim().to_owned()).filter(|said| !said.is_empty())
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Waits for the end of the connection and makes it again, for ever.
async fn keep(mut child: Child, target: &SshTarget, socket: &Path, said: &Said) {
    loop {
        // Waiting closes standard input otherwise, which would end the connection.
        let stdin = child.stdin.take();
        let _ = child.wait().await;
        drop(stdin);
        child = loop {
            tokio::time::sleep(AGAIN).await;
            if let Ok(child) = connect(target, socket, said).await {
                break child;
            }
        };
    }
}

/// An ssh process whose forwarding stands.
async fn connect(target: &SshTarget, socket: &Path, said: &Said) -> io::Result<Child> {
    let mut command = Command::new("ssh");
    for option in [
        // Nobody is there to answer a question.
        "BatchMode=yes",
        "ExitOnForwardFailure=yes",
        "StreamLocalBindUnlink=yes",
        "ConnectTimeout=15",
        // A peer that is silently gone is noticed within 20 seconds.
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
        // A shared connection would keep the forwarding after our end.
        "ControlMaster=no",
        "ControlPath=none",
        "PermitLocalCommand=no",
    ] {
        command.args(["-o", option]);
    }
    command.args(["-a", "-x", "-T", "-L"]).arg(format!("{}:{}", socket.display(), target.socket));
    if let Some(port) = target.port {
        command.args(["-p", &port.to_string()]);
    }
    // It ends when its input does: with this process, however that ends.
    command.args(["--", &target.destination, "cat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run ssh: {error}")))?;
    if let Some(stderr) = child.stderr.take() {
        let said = Arc::clone(said);
        tokio::spawn(async move { listen(stderr, &said).await });
    }
    let ready = tokio::time::timeout(LOGIN, answers(&mut child)).await;
    match ready {
        Ok(Ok(true)) => Ok(child),
        Ok(Ok(false)) => {
            let _ = child.wait().await;
            // The last words come a moment after the end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let said = said.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned();
            Err(io::Error::other(format!("ssh {}: {said}", target.destination)))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let why = format!("ssh {}: no login within {} s", target.destination, LOGIN.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        }
    }
}

/// Whether the far side repeats what it is sent; what a login script prints comes before.
async fn answers(child: &mut Child) -> io::Result<bool> {
    let (Some(stdin), Some(stdout)) = (&mut child.stdin, child.stdout.take()) else {
        return Ok(false);
    };
    if stdin.write_all(format!("{READY}\n").as_bytes()).await.is_err() {
        return Ok(false);
    }
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if line == READY {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Keeps the end of what ssh says.
async fn listen(mut stderr: impl tokio::io::AsyncRead + Unpin, said: &Said) {
    let mut buffer = [0; 512];
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_str(&String::from_utf8_lossy(&buffer[..length]));
        let surplus = said.ceil_char_boundary(said.len().saturating_sub(SAID));
        said.drain(..surplus);
    }
}
