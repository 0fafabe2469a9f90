//! Finding and killing the processes of a session, also those that left its process group.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// The variable that marks a session's processes; its value is the session's directory.
pub(super) const MARK: &str = "AGENT_SANDBOX";

/// Kills a process group; one that has ended is no error.
pub(super) fn kill_group(leader: u32) {
    if let Ok(leader) = i32::try_from(leader) {
        // `ESRCH`: it has ended. `EPERM` would mean that the id is another's by now.
        let _: Result<(), Errno> = killpg(Pid::from_raw(leader), Signal::SIGKILL);
    }
}

/// Kills every process that is marked with `dir` or a directory below it, or works there, until
/// none is left: while one is being killed another may fork. May block for a second.
pub(super) fn kill_marked(dir: &Path) {
    for _ in 0..50 {
        let found = marked(dir);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _: Result<(), Errno> = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Processes marked with `dir` or working in it. Empty where there is no `/proc`.
fn marked(dir: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own && *pid > 1 && belongs(*pid, dir))
        .collect()
}

fn belongs(pid: i32, dir: &Path) -> bool {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    if fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir)) {
        return true;
    }
    let Ok(environment) = fs::read(proc.join("environ")) else { return false };
    let prefix = format!("{MARK}=");
    environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| variable.strip_prefix(prefix.as_bytes()))
        .any(|value| PathBuf::from(OsString::from_vec(value.to_vec())).starts_with(dir))
}

/// Processes and threads of this user, for a limit that is counted over all of them. `None` where
/// the system does not say, or for root, whom the kernel exempts from it.
pub(super) fn running() -> Option<u64> {
    let own = status_field(Path::new("/proc/self/status"), "Uid:")?;
    if own == 0 {
        return None;
    }
    let entries = fs::read_dir("/proc").ok()?;
    let threads = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        path.file_name()?.as_bytes().first()?.is_ascii_digit().then_some(())?;
        let status = path.join("status");
        (status_field(&status, "Uid:")? == own).then(|| status_field(&status, "Threads:"))?
    });
    Some(threads.sum())
}

fn status_field(path: &Path, name: &str) -> Option<u64> {
    let status = fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
