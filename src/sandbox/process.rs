//! Telling living owners of containers and directories from dead ones, across restarts and reused
//! process ids.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// File in a directory of ours that names the process it belongs to.
pub(crate) const OWNER: &str = "owner";

/// A new directory in `parent` with our name in it.
pub(crate) fn owned_dir(parent: &Path, prefix: &str) -> io::Result<TempDir> {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(parent)?;
    fs::write(dir.path().join(OWNER), process_label(std::process::id()))?;
    Ok(dir)
}

/// Directories that processes which have ended left in `parent`.
pub(crate) fn stale(parent: &Path, prefix: &str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let stale = entries.filter(move |entry| {
        entry.file_name().to_string_lossy().starts_with(prefix)
            && fs::read_to_string(entry.path().join(OWNER)).is_ok_and(|owner| is_gone(&owner))
    });
    stale.map(|entry| entry.path())
}

/// `PID.START@BOOT/NAMESPACE`: the start time tells a process from a later one with the same id;
/// process ids mean nothing on another machine, after a reboot or in another pid namespace.
pub(crate) fn process_label(pid: u32) -> String {
    let start = start_time(pid).unwrap_or_default();
    format!("{pid}.{start}@{}", machine().unwrap_or_default())
}

/// Where process ids have the meaning that they have here; `None` where the system does not say.
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let namespace: String = namespace.to_str()?.chars().filter(char::is_ascii_digit).collect();
    Some(format!("{}/{namespace}", boot.trim()))
}

/// Field 22 of `/proc/PID/stat`: clock ticks after boot. `None` if there is no such process.
fn start_time(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A zombie has ended; whoever should wait for it may never do so.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

/// Whether the process that a label names has certainly ended.
pub(crate) fn is_gone(label: &str) -> bool {
    let Some((process, place)) = label.split_once('@') else { return false };
    let Some((pid, start)) = process.split_once('.') else { return false };
    let Ok(pid) = pid.parse() else { return false };
    machine().is_some_and(|here| here == place) && start_time(pid).as_deref() != Some(start)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_gone_when_it_ended_and_only_then() {
        let mut child = Command::new("sleep").arg("30").spawn().unwrap();
        let label = process_label(child.id());
        assert!(!is_gone(&label));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_gone(&label));
    }

    #[test]
    fn a_reused_process_id_is_another_process() {
        let label = process_label(std::process::id());
        let (process, place) = label.split_once('@').unwrap();
        let (pid, _) = process.split_once('.').unwrap();
        assert!(!is_gone(&label));
        assert!(is_gone(&format!("{pid}.1@{place}")));
    }

    #[test]
    fn processes_elsewhere_and_unreadable_labels_are_left_alone() {
        for label in ["", "x", "4194305.1@", "4194305.1@another-boot/1", "a.b@c", "7@x"] {
            assert!(!is_gone(label), "{label}");
        }
    }
}
