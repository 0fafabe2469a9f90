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
use std::os::unix::fs::MetadataExt;
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
        let home = self.directory.as_ref().and_then(|directory| {
            let home = Home { path: directory.join(name(checkout)), largest: self.largest };
            if let Err(error) = home.touch() {
                let path = home.path.display();
                events.notice(format!("cannot write {path} ({error}); the index stays in memory"));
                return None;
            }
            home.evict_others();
            Some(home)
        });
        let index = Arc::new(RepoIndex::open(checkout, home, events));
        open.insert(checkout.database().to_owned(), Arc::clone(&index));
        index
    }

    /// What is on disk, the latest used first.
    #[must_use]
    pub fn kept(&self) -> Vec<Kept> {
        self.directory.as_deref().map(kept_in).unwrap_or_default()
    }

    /// Removes everything that is kept, and says how much that was; what another process is
    /// writing stays.
    ///
    /// # Errors
    /// What the system says of the first directory that cannot be removed.
    pub fn clear(&self) -> std::io::Result<usize> {
        let mut removed = 0;
        for kept in self.kept() {
            removed += usize::from(remove(&kept.path)?);
        }
        Ok(removed)
    }
}

const USED: &str = "used";
const LOCK: &str = "lock";

fn kept_in(directory: &Path) -> Vec<Kept> {
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

/// Says whether it was removed, and not in use.
fn remove(path: &Path) -> std::io::Result<bool> {
    let lock = File::create(path.join(LOCK))?;
    let start = Instant::now();
    while lock.try_lock().is_err() {
        // A process that another thread is starting may hold what its parent has just closed.
        if start.elapsed() > Duration::from_millis(200) {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // Gone at once for others, who may begin anew in its place while the files are deleted.
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}", std::process::id()));
    std::fs::rename(path, &aside)?;
    std::fs::remove_dir_all(&aside)?;
    Ok(true)
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

    fn touch(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.path)?;
        std::fs::write(self.join(USED), b"")
    }

    /// Removes the homes used longest ago until the rest fits, but never this one.
    pub(crate) fn evict_others(&self) {
        let mut total = size(&self.path);
        for kept in self.path.parent().map(kept_in).unwrap_or_default() {
            if kept.path == self.path {
                continue;
            }
            total += kept.bytes;
            if total > self.largest && remove(&kept.path).is_ok_and(|removed| removed) {
                total -= kept.bytes;
            }
        }
    }

    /// Whether a lock is still the file that others would ask for: whoever removes a home removes
    /// its lock too.
    fn holds(&self, lock: &File) -> bool {
        let same = |held: std::fs::Metadata, there: std::fs::Metadata| {
            (held.dev(), held.ino()) == (there.dev(), there.ino())
        };
        let there = std::fs::metadata(self.join(LOCK));
        lock.metadata().and_then(|held| Ok(same(held, there?))).unwrap_or(false)
    }

    /// Whether it takes more than all homes together may.
    pub(crate) fn is_full(&self) -> bool {
        size(&self.path) > self.largest
    }

    /// Waits for the right to write here; held until the file is dropped, also by a process that
    /// dies. None when that cannot be had.
    pub(crate) fn lock(&self, events: &Events) -> Option<File> {
        let start = Instant::now();
        let mut said = false;
        loop {
            std::fs::create_dir_all(&self.path).ok()?;
            let lock = File::create(self.join(LOCK)).ok()?;
            match lock.try_lock() {
                Ok(()) if self.holds(&lock) => {
                    self.touch().ok()?;
                    return Some(lock);
                }
                Ok(()) => {}
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
