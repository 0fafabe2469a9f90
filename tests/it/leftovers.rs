//! Nothing of ours is left behind: a run in containers that is killed thirty times, loses its daemon
//! twice and its disk once, on a daemon of its own, where every container is ours.

use std::process::Stdio;
use std::time::Duration;

use crate::daemon::{Daemon, Disk, nothing_is_left};
use crate::harness::Place;
use crate::standin::{Standin, StandinConfig};
use crate::survival::{dataset, progress, repeated_executions, results, scripts, spread};

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
