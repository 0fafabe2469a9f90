//! The process that outlives a killed one: it waits until the process that started it has ended, in
//! whatever way, and removes what that one could not: temporary files, containers, local sandboxes.
//!
//! It is this binary under a hidden command, in a session of its own, so that neither Ctrl-C nor a
//! kill of the process group reaches it. It learns of the end by the end of its standard input, which
//! no other process holds open. Where it is killed as well, containers still end themselves after
//! their lifetime, and the next command with a sandbox removes the rest.

use std::collections::BTreeSet;
use std::io::BufRead as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde::{Deserialize, Serialize};

use crate::cli::error::CliError;
use crate::sandbox::{self, Choice, SandboxConfig};
use crate::scratch::{self, Note};

/// Name of the hidden command.
pub(crate) const COMMAND: &str = "__reap";

/// Waits before each look for what is left. The engine may finish making a container after the
/// process that asked for it is gone, and may itself be starting again.
const LOOKS: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(20),
    Duration::from_secs(30),
];

/// How long the end of a process may lie behind the end of its files.
const DYING: Duration = Duration::from_secs(10);

/// The first line of a reaper's input.
#[derive(Serialize, Deserialize)]
struct Order {
    /// Who is watched.
    process: String,
    /// Where that one's code runs.
    sandbox: Choice,
    /// Of it, the engines' addresses count.
    config: SandboxConfig,
}

/// Starts a reaper for this process. Without one everything works, and less is certain.
pub(crate) fn start(sandbox: Choice, config: &SandboxConfig) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if let Err(error) = try_start(sandbox, config) {
            crate::cli::say(&format!(
                "note: what a killed process leaves is removed by the next one only: {error}"
            ));
        }
    });
}

fn try_start(sandbox: Choice, config: &SandboxConfig) -> std::io::Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(COMMAND)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let mut input = child.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
    let process = sandbox::process_label(std::process::id());
    let order = Order { process, sandbox, config: config.clone() };
    let order = serde_json::to_string(&order).map_err(std::io::Error::other)?;
    std::io::Write::write_all(&mut input, format!("{order}\n").as_bytes())?;
    fcntl(input.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    scratch::watch(Box::new(input));
    Ok(())
}

/// The hidden command.
pub(crate) async fn reap() -> Result<ExitCode, CliError> {
    // Fails only for the leader of a process group, which is as good.
    let _ = nix::unistd::setsid();
    let heard = tokio::task::spawn_blocking(listen).await;
    let Some((order, left, in_order)) = heard.ok().flatten() else {
        return Err(CliError::usage(format!("`{COMMAND}` is for the program itself")));
    };
    let begin = Instant::now();
    while !sandbox::is_gone(&order.process) && begin.elapsed() < DYING {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    left.iter().for_each(|path| remove(path));
    let looks = if in_order { &LOOKS[..1] } else { &LOOKS[..] };
    for wait in looks {
        tokio::time::sleep(*wait).await;
        // An engine that does not answer may do so at the next look.
        let _ = sandbox::remove_leftovers(order.sandbox, &order.config).await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Listens to the end: the order, the paths that exist then, and whether all is in order.
fn listen() -> Option<(Order, BTreeSet<PathBuf>, bool)> {
    let mut lines = std::io::stdin().lock().lines().map_while(Result::ok);
    let order = serde_json::from_str(&lines.next()?).ok()?;
    let mut left = BTreeSet::new();
    let mut in_order = false;
    for line in lines {
        match Note::read(&line) {
            Some(Note::Made(path)) => {
                left.insert(path);
            }
            Some(Note::Gone(path)) => {
                left.remove(&path);
            }
            Some(Note::Done) => in_order = true,
            // Half a line: the process ended while it wrote.
            None => {}
        }
    }
    Some((order, left, in_order))
}

/// Removes a file, or a directory with all below it, folders without permissions included.
fn remove(path: &Path) {
    let Ok(kind) = std::fs::symlink_metadata(path) else { return };
    if !kind.is_dir() {
        let _ = std::fs::remove_file(path);
        return;
    }
    if std::fs::remove_dir_all(path).is_err() {
        make_writable(path);
        let _ = std::fs::remove_dir_all(path);
    }
}

fn make_writable(dir: &Path) {
    let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}
