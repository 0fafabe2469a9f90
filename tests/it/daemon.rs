//! A Docker daemon and a disk of a test's own, which it may break.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Place, docker};

/// A Docker daemon of this test's own, without a bridge, with the base image.
pub(crate) struct Daemon {
    place: tempfile::TempDir,
    process: Child,
}

impl Daemon {
    /// Nothing where this machine cannot run one; says so.
    pub(crate) fn start() -> Option<Self> {
        if !docker() {
            return None;
        }
        // Sockets have short paths; layers do not fit into a memory file system.
        let place = tempfile::Builder::new().prefix("agd-").tempdir_in("/var/tmp").unwrap();
        let process = spawn(place.path());
        let mut daemon = Self { place, process };
        if !daemon.answers() {
            eprintln!("skipped: no second Docker daemon can be started here (it needs root)");
            return None;
        }
        let pipe = format!(
            "set -o pipefail; env -u DOCKER_HOST docker save agent-base:bookworm | docker -H {} load",
            daemon.host()
        );
        let loaded = Command::new("bash").args(["-c", &pipe]).output().unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        Some(daemon)
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.place.path().join("s").display())
    }

    fn answers(&mut self) -> bool {
        for _ in 0..300 {
            // As a service manager does: one that was killed leaves a dying containerd, with which
            // the next one cannot work.
            if self.process.try_wait().unwrap().is_some() {
                let _ = std::fs::remove_file(self.place.path().join("pid"));
                self.process = spawn(self.place.path());
            }
            let version =
                Command::new("docker").args(["-H", &self.host(), "version"]).output().unwrap();
            if version.status.success() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        false
    }

    pub(crate) fn restart(&mut self, signal: &str) {
        let pid = self.process.id().to_string();
        Command::new("kill").args([signal, &pid]).status().unwrap();
        self.process.wait().unwrap();
        let _ = std::fs::remove_file(self.place.path().join("pid"));
        self.process = spawn(self.place.path());
        let log = self.place.path().join("log");
        let log = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(self.answers(), "the daemon does not come back: {}", log());
    }

    /// What there is of one kind, such as `container`, by name.
    pub(crate) fn list(&self, kind: &str) -> Vec<String> {
        let all: &[&str] = if kind == "container" { &["-a"] } else { &[] };
        let output = Command::new("docker")
            .args(["-H", &self.host(), kind, "ls", "-q"])
            .args(all)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

fn spawn(place: &Path) -> Child {
    let path = |name: &str| place.join(name).display().to_string();
    // A daemon without a bridge takes away the bridge that is there, so it gets a network namespace.
    Command::new("unshare")
        .args(["--net", "dockerd"])
        .args(["--host", &format!("unix://{}", path("s"))])
        .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
        .args(["--pidfile", &path("pid"), "--bridge", "none", "--iptables=false"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(place.join("log")).unwrap())
        .spawn()
        .unwrap()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.process.wait();
        // Layers of containers may still be mounted below it.
        let unmount = "grep -o \"$0[^ ]*\" /proc/mounts | sort -ru | xargs -r -n1 umount -l";
        let root = self.place.path().display().to_string();
        let _ = Command::new("bash").args(["-c", unmount, &root]).status();
    }
}

/// A small disk of its own.
pub(crate) struct Disk(PathBuf);

impl Disk {
    pub(crate) fn mount(at: PathBuf) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "agent-test"])
            .arg(&at)
            .status()
            .unwrap();
        assert!(mounted.success());
        Self(at)
    }

    /// Nothing more fits from here on.
    pub(crate) fn fill(&self) {
        let filler = self.0.join(".filler");
        let written = Command::new("dd")
            .args(["if=/dev/zero", "bs=64k", &format!("of={}", filler.display())])
            .output()
            .unwrap();
        assert!(!written.status.success(), "the disk takes more than it has");
    }

    pub(crate) fn free(&self) {
        std::fs::remove_file(self.0.join(".filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What is left of ours: containers, volumes, temporary files.
fn left(daemon: &Daemon, place: &Place) -> Vec<String> {
    let mut left = daemon.list("container");
    left.extend(daemon.list("volume"));
    let mut dirs = vec![place.path("tmp"), place.path("disk"), place.path("repos")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = [".tmp-", ".clone-", ".export-", "agent-"];
            if ours.iter().any(|prefix| name.starts_with(prefix)) {
                left.push(entry.path().display().to_string());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) && name != "repos" {
                dirs.push(entry.path());
            }
        }
    }
    left
}

/// Waits for it, longer than a reaper looks again.
pub(crate) async fn nothing_is_left(daemon: &Daemon, place: &Place, after: &str) {
    for _ in 0..1000 {
        if left(daemon, place).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("after {after}: {:?}", left(daemon, place));
}
