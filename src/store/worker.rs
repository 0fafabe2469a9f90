//! Which processes work in a run directory: each holds the lock of a file of its own there.
//!
//! The lock and not the process id says that a process lives: ids are given out again, and mean
//! nothing on another machine that shares the directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::scratch;
use crate::store::{RunDir, StoreError};

/// How such a file's name begins.
const PREFIX: &str = ".process-";

/// A process that works in a run directory, or was killed there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its id on its machine.
    pub pid: u32,
    /// The machine's name.
    pub host: String,
    /// UTC time at which it began.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// Whether it still lives; not written.
    #[serde(skip_deserializing)]
    pub alive: bool,
}

/// Says that this process works in a run directory, until it is dropped.
#[derive(Debug)]
pub struct AtWork {
    path: PathBuf,
    _lock: File,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        // One that stays is taken for a killed process's and goes with the next run.
        let _ = fs::remove_file(&self.path);
    }
}

impl RunDir {
    /// Registers this process, and removes what killed ones left.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be written.
    pub fn work(&self) -> Result<AtWork, StoreError> {
        for (path, worker) in self.files()? {
            if !worker.alive {
                let _ = fs::remove_file(path);
            }
        }
        let (pid, started) = (std::process::id(), OffsetDateTime::now_utc());
        let path = self.path().join(format!("{PREFIX}{pid}-{}", started.unix_timestamp_nanos()));
        let worker = Worker { pid, host: host(), started, alive: true };
        // It has its name only once it is locked, so that nobody takes it for a killed one's.
        let register = || -> io::Result<File> {
            let mut file = scratch::File::below(self.path(), ".tmp-")?;
            let lock = file.as_file().try_clone()?;
            lock.lock()?;
            file.write_all(&serde_json::to_vec(&worker)?)?;
            file.persist(&path)?;
            Ok(lock)
        };
        let lock = register().map_err(StoreError::io("write", &path))?;
        Ok(AtWork { path, _lock: lock })
    }

    /// Processes at work in the directory, and those killed there since the last run began; the
    /// oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be read.
    pub fn workers(&self) -> Result<Vec<Worker>, StoreError> {
        let mut workers: Vec<_> = self.files()?.into_iter().map(|(_, worker)| worker).collect();
        workers.sort_by_key(|worker| worker.started);
        Ok(workers)
    }

    fn files(&self) -> Result<Vec<(PathBuf, Worker)>, StoreError> {
        let failed = || StoreError::io("read", self.path());
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path()).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
                continue;
            }
            // One that goes away meanwhile has ended well.
            if let Some(worker) = read(&entry.path()) {
                found.push((entry.path(), worker));
            }
        }
        Ok(found)
    }
}

fn read(path: &Path) -> Option<Worker> {
    let file = File::open(path).ok()?;
    // A shared lock: two that look at the same time must not take one another for the process.
    let alive = file.try_lock_shared().is_err();
    let worker: Worker = serde_json::from_reader(file).ok()?;
    Some(Worker { alive, ..worker })
}

fn host() -> String {
    #[cfg(unix)]
    {
        nix::unistd::gethostname()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
    #[cfg(not(unix))]
    {
        std::env::var("COMPUTERNAME").unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_at_work_while_it_holds_its_file_and_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path()).unwrap();
        assert_eq!(run.workers().unwrap(), []);
        let held = run.work().unwrap();
        let found = run.workers().unwrap();
        assert_eq!((found.len(), found[0].alive, found[0].pid), (1, true, std::process::id()));
        drop(held);
        assert_eq!(run.workers().unwrap(), []);
    }

    #[test]
    fn what_a_killed_process_left_is_told_and_goes_with_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(dir.path()).unwrap();
        let left = r#"{"pid":7,"host":"h","started":"2026-01-01T00:00:00Z"}"#;
        fs::write(dir.path().join(".process-7-1"), left).unwrap();
        fs::write(dir.path().join(".process-torn"), "{").unwrap();
        let found = run.workers().unwrap();
        assert_eq!((found.len(), found[0].alive, found[0].pid), (1, false, 7));
        let _held = run.work().unwrap();
        let found = run.workers().unwrap();
        assert_eq!((found.len(), found[0].alive), (1, true));
    }
}
