//! The record of a repository's commits, extended by those that are new.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Events;
use crate::repo::Checkout;
use crate::retrieval::{CHRONICLE_VERSION, Chronicle, History, PastCommit, PastFile};
use crate::scratch;

/// Begins each file: a format that does not begin so is not ours.
const MAGIC: &[u8; 8] = b"agenthst";

/// Commits of one repository, in memory and on disk.
#[derive(Debug)]
pub(crate) struct HistoryStore {
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    chronicle: Arc<Chronicle>,
    /// Where it is kept, if it is.
    path: Option<PathBuf>,
    /// Whether nothing was missing when its commits were read.
    complete: bool,
}

impl HistoryStore {
    /// Reads what is kept in a directory, if anything. Of a shallow clone nothing is: what it knows
    /// ends where the clone was cut off, which the next fetch may change in either direction.
    pub(crate) fn open(checkout: &Checkout, home: Option<&Path>, events: &Events) -> Self {
        let home = home.filter(|_| !checkout.is_shallow());
        let path = home.map(|home| home.join(format!("history-{CHRONICLE_VERSION}.bin")));
        let mut chronicle = Chronicle::default();
        if let Some(path) = &path
            && let Ok(bytes) = std::fs::read(path)
        {
            match unseal(&bytes).and_then(Chronicle::decode) {
                Some(read) => chronicle = read,
                None => events.notice(format!(
                    "{} is damaged; the history is read from git again",
                    path.display()
                )),
            }
        }
        let chronicle = Arc::new(chronicle);
        Self { known: Mutex::new(Known { chronicle, path, complete: true }) }
    }

    /// Up to `limit` ancestors of a checkout's commit, in the order of [`Checkout::ancestors`].
    pub(crate) fn ancestors(&self, checkout: &Checkout, limit: usize, events: &Events) -> History {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let ancestors = known.learn(&[checkout], limit, events);
        History::new(Arc::clone(&known.chronicle), ancestors)
    }

    /// Records what is new in the ancestors of many checkouts, and keeps it at once: what is kept
    /// is one file.
    pub(crate) fn prepare(&self, checkouts: &[&Checkout], limit: usize, events: &Events) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.learn(checkouts, limit, events);
    }

    /// Commits, words and paths that are known.
    pub(crate) fn size(&self) -> (usize, usize, usize) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).chronicle.size()
    }
}

impl Known {
    /// Records the ancestors of checkouts; numbers of those of the last one.
    fn learn(&mut self, checkouts: &[&Checkout], limit: usize, events: &Events) -> Vec<u32> {
        let before = (self.chronicle.size().0, self.complete);
        let mut ancestors = Vec::new();
        for checkout in checkouts {
            ancestors = if limit == 0 { Vec::new() } else { self.walk(checkout, limit) };
        }
        if before.1
            && !self.complete
            && let Some(checkout) = checkouts.first()
        {
            events.notice(format!(
                "part of the history is not in this clone; `{}` gets it",
                checkout.fetch_of_history()
            ));
        }
        // What a later fetch would complete is not kept.
        if self.complete
            && self.chronicle.size().0 > before.0
            && let Some(place) = &self.path
            && let Err(error) = save(place, &self.chronicle)
        {
            events.notice(format!("cannot keep the history in {}: {error}", place.display()));
            self.path = None;
        }
        ancestors
    }

    fn walk(&mut self, checkout: &Checkout, limit: usize) -> Vec<u32> {
        let Self { chronicle, complete, .. } = self;
        let mut ancestors = Vec::new();
        checkout.with_commits(|read| {
            checkout.ancestors(limit, |id| {
                let number = match chronicle.find(id) {
                    Some(number) => number,
                    None => {
                        let Some(commit) = read(id) else {
                            *complete = false;
                            return None;
                        };
                        *complete &= commit.complete;
                        let files = commit.files.into_iter();
                        let files =
                            files.map(|file| PastFile { path: file.path, old_path: file.old_path });
                        Arc::make_mut(chronicle).add(PastCommit {
                            id,
                            parents: commit.parents,
                            time: commit.time,
                            message: commit.message,
                            files: files.collect(),
                        })
                    }
                };
                ancestors.push(number);
                Some(chronicle.parents(number).to_vec())
            });
        });
        ancestors
    }
}

fn save(path: &Path, chronicle: &Chronicle) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    // Two processes may write at the same time: each its own file, and the later one stays.
    let mut file = scratch::File::below(parent, ".tmp-")?;
    let payload = chronicle.encode();
    file.write_all(MAGIC)?;
    file.write_all(&crc32fast::hash(&payload).to_le_bytes())?;
    file.write_all(&payload)?;
    file.persist(path)
}

fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, payload) = rest.split_first_chunk::<4>()?;
    (crc32fast::hash(payload) == u32::from_le_bytes(*sum)).then_some(payload)
}
