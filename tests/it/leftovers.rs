//! Nothing of ours is left behind: a run in containers that is killed thirty times, loses its daemon
//! twice and its disk once, on a daemon of its own, where every container is ours.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Place, docker};
use crate::standin::{Standin, StandinConfig};
use crate::survival::{dataset, progress, repeated_executions, results, scripts, spread};

/// A Docker daemon of this test's own, without a bridge, with the base image.
struct Daemon {
    place: tempfile::TempDir,
    process: Child,
}

impl Daemon {
    /// Nothing where this machine cannot run one; says so.
    fn start() -> Option<Self> {
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

    fn host(&self) -> String {
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

    fn restart(&mut self, signal: &str) {
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
    fn list(&self, kind: &str) -> Vec<String> {
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
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Self {
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
    fn fill(&self) {
        let filler = self.0.join(".filler");
        let written = Command::new("dd")
            .args(["if=/dev/zero", "bs=64k", &format!("of={}", filler.display())])
            .output()
            .unwrap();
        assert!(!written.status.success(), "the disk takes more than it has");
    }

    fn free(&self) {
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
async fn nothing_is_left(daemon: &Daemon, place: &Place, after: &str) {
    for _ in 0..1000 {
        if left(daemon, place).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("after {after}: {:?}", left(daemon, place));
}

enum Blow {
    Kill,
    Stop(&'static str),
    Full,
}

fn blows() -> Vec<Blow> {
    let mut blows: Vec<Blow> = (0..30).map(|_| Blow::Kill).collect();
    blows.insert(24, Blow::Stop("-KILL"));
    blows.insert(16, Blow::Full);
    blows.insert(8, Blow::Stop("-TERM"));
    blows
}

/// The stand-in for both runs.
async fn model(place: &Place) -> Standin {
    let datasets = vec![dataset(place)];
    scripts(place);
    let scripts = Some(place.path("scripts"));
    let latency = Duration::from_millis(30);
    let config = StandinConfig { datasets, scripts, latency, seed: 3, ..StandinConfig::default() };
    Standin::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_thirty_kills_two_restarts_and_a_full_disk_all_is_done_once_and_nothing_is_left() {
    let Some(mut daemon) = Daemon::start() else { return };
    let place = Place::new();
    std::fs::create_dir(place.path("tmp")).unwrap();
    let disk = Disk::mount(place.path("disk"));
    let standin = model(&place).await;
    let url = standin.base_url();
    let command = |run: &str, daemon: &Daemon| {
        let mut command = place.command(&["run", "rows.jsonl", "--repos", "repos", "-o", run]);
        command
            .args(["--sandbox", "docker", "--base-url", &url, "--samples", "6", "--tests", "4"])
            .args(["-j", "2", "--set", "model.concurrency=1"])
            .env("DOCKER_HOST", daemon.host())
            .env("TMPDIR", place.path("tmp"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    assert!(command("calm", &daemon).status().unwrap().success());
    nothing_is_left(&daemon, &place, "a whole run").await;
    let whole = progress(&place, "calm");
    let networks = daemon.list("network").len();

    let blows = blows();
    let count = blows.len();
    // A run that is through before all blows have fallen is judged, and another one begun.
    let (mut runs, mut failures) = (0, 0);
    let judge = |run: &str, daemon: &Daemon| {
        let last = command(run, daemon).stderr(Stdio::piped()).output().unwrap();
        assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
        assert_eq!(results(&place, run), results(&place, "calm"));
        assert_eq!(repeated_executions(&place, run), Vec::<String>::new());
    };
    for (point, blow) in (0_u64..).zip(&blows) {
        if matches!(blow, Blow::Full) {
            // One that is nearly through could end well all the same.
            judge(&format!("disk/{runs}"), &daemon);
            runs += 1;
        }
        let mut child = loop {
            let run = format!("disk/{runs}");
            let mut child = command(&run, &daemon).spawn().unwrap();
            let share = whole as f64 / count as f64 * (spread(point) as f64 / u64::MAX as f64);
            let until = progress(&place, &run) + share as usize;
            while progress(&place, &run) < until && child.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_millis(spread(point + 100) % 150)).await;
            match child.try_wait().unwrap() {
                None => break child,
                // A daemon that has just come back may fail an instance, which the next run mends.
                Some(status) if !status.success() && failures < 3 => {
                    failures += 1;
                    continue;
                }
                Some(status) => assert!(status.success(), "run {runs} ended with {status}"),
            }
            judge(&run, &daemon);
            runs += 1;
        };
        match blow {
            Blow::Kill => {
                child.kill().unwrap();
                child.wait().unwrap();
                // Not each time: the next run must also cope with what the last one left just now.
                if point % 3 == 0 {
                    nothing_is_left(&daemon, &place, &format!("kill {point}")).await;
                }
            }
            Blow::Stop(signal) => {
                daemon.restart(signal);
                let ended = child.wait().unwrap();
                assert!(matches!(ended.code(), Some(0 | 1 | 3)), "{ended}");
            }
            Blow::Full => {
                disk.fill();
                let ended = child.wait().unwrap();
                disk.free();
                assert_eq!(ended.code(), Some(3));
            }
        }
    }
    judge(&format!("disk/{runs}"), &daemon);
    eprintln!("{count} blows fell on {} runs of {whole} steps each", runs + 1);
    nothing_is_left(&daemon, &place, "a whole run").await;
    assert_eq!(daemon.list("network").len(), networks);
}
