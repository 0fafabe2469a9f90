//! Where indexes lie on disk, and how much they may take.
//!
//! ```text
//! DIR/<name>-<digest of the path>/lock           held while something is written
//!                                /used           its time is that of the last use
//!                                /blobs-N/       tantivy's files; N is the version of the schema
//!                                /history-N.bin  the commits
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

use crate::event::Events;
use crate::index::RepoIndex;
use crate::repo::Checkout;

/// How long another process may hold a repository's lock before this one works without the disk.
const PATIENCE: Duration = Duration::from_secs(120);

/// Indexes of repositories, opened once a process.
#[derive(Debug)]
pub struct IndexCache {
    directory: Option<PathBuf>,
    largest: u64,
    open: Mutex<HashMap<PathBuf, Arc<RepoIndex>>>,
}

/// One repository's index on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes that it takes.
    pub bytes: u64,
    /// When it was used last.
    pub used: SystemTime,
}

impl IndexCache {
    /// Keeps indexes in `directory`, which need not exist, up to `largest` bytes in all.
    #[must_use]
    pub fn at(directory: PathBuf, largest: u64) -> Self {
        Self { directory: Some(directory), largest, open: Mutex::default() }
    }

    /// Keeps nothing on disk.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { directory: None, largest: 0, open: Mutex::default() }
    }

    /// The index of a checkout's repository; opened on the first call.
    pub fn of(&self, checkout: &Checkout, events: &Events) -> Arc<RepoIndex> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open.get(checkout.database()) {
            return Arc::clone(known);
        }
        let home = self.directory.as_ref().map(|directory| {
            let home = Home { path: directory.join(name(checkout)), largest: self.largest };
            home.touch();
            self.evict(&home.path);
            home
        });
        let index = Arc::new(RepoIndex::open(home, events));
        open.insert(checkout.database().to_owned(), Arc::clone(&index));
        index
    }

    /// What is on disk, the latest used first.
    #[must_use]
    pub fn kept(&self) -> Vec<Kept> {
        let Some(directory) = &self.directory else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
        let mut kept = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let used = std::fs::metadata(path.join(USED)).and_then(|data| data.modified());
            if let Ok(used) = used {
                kept.push(Kept { bytes: size(&path), path, used });
            }
        }
        kept.sort_by(|a, b| b.used.cmp(&a.used).then_with(|| a.path.cmp(&b.path)));
        kept
    }

    /// Where this repository's index lies; None when nothing is kept.
    #[must_use]
    pub fn home(&self, checkout: &Checkout) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(name(checkout)))
    }

    /// Removes what was used longest ago until the rest fits, but never `present`.
    fn evict(&self, present: &Path) {
        let mut total = 0;
        for kept in self.kept() {
            total += kept.bytes;
            if total > self.largest && kept.path != present {
                let _ = remove(&kept.path);
                total -= kept.bytes;
            }
        }
    }

    /// Removes everything that is kept; what another process is writing stays.
    ///
    /// # Errors
    /// What the system says of the first directory that cannot be removed.
    pub fn clear(&self) -> std::io::Result<usize> {
        let kept = self.kept();
        for kept in &kept {
            remove(&kept.path)?;
        }
        Ok(kept.len())
    }
}

const USED: &str = "used";

/// A name that people recognise, and a digest that tells repositories of one name apart.
fn name(checkout: &Checkout) -> String {
    let database = checkout.database();
    let database = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let digest = Sha256::digest(database.as_os_str().as_encoded_bytes());
    let digest = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    let shown = checkout.path().file_name().map(|name| name.to_string_lossy().into_owned());
    let shown = shown.unwrap_or_default();
    let letters = shown.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c));
    let shown = letters.take(60).collect::<String>();
    format!("{}-{digest}", shown.trim_start_matches('.'))
}

fn remove(path: &Path) -> std::io::Result<()> {
    let lock = File::create(path.join("lock"))?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    std::fs::remove_dir_all(path)
}

/// Bytes of all files below a directory.
fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

/// The directory of one repository.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) path: PathBuf,
    largest: u64,
}

impl Home {
    /// A file or directory of this home.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn touch(&self) {
        let _ = std::fs::create_dir_all(&self.path);
        let _ = std::fs::write(self.join(USED), b"");
    }

    /// Whether it takes more than all homes together may.
    pub(crate) fn is_full(&self) -> bool {
        size(&self.path) > self.largest
    }

    /// Waits for the right to write here; held until the file is dropped, also by a process that
    /// dies. None when that cannot be had.
    pub(crate) fn lock(&self, events: &Events) -> Option<File> {
        std::fs::create_dir_all(&self.path).ok()?;
        let lock = File::create(self.join("lock")).ok()?;
        let start = Instant::now();
        let mut said = false;
        loop {
            match lock.try_lock() {
                Ok(()) => return Some(lock),
                Err(std::fs::TryLockError::Error(_)) => return None,
                Err(std::fs::TryLockError::WouldBlock) => {}
            }
            if start.elapsed() > PATIENCE {
                return None;
            }
            if !said && start.elapsed() > Duration::from_secs(3) {
                said = true;
                let path = self.path.display();
                events.notice(format!("waiting for another process that writes {path}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
