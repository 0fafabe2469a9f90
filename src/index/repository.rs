//! One repository's index: opened, extended, mended.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Events;
use crate::index::cache::Home;
use crate::index::files;
use crate::index::history::HistoryStore;
use crate::index::vectors::{self, VectorKey, VectorStore};
use crate::repo::{BlobReader, Checkout, RepoError};
use crate::retrieval::{
    BlobIndex, BlobKey, Corpus, History, INDEX_VERSION, IndexError, Plan, Segments,
};
use crate::source;

/// What is known of one repository. Threads share it; so do processes, through its directory.
#[derive(Debug)]
pub struct RepoIndex {
    home: Option<Home>,
    state: Mutex<State>,
    history: HistoryStore,
    vectors: VectorStore,
}

#[derive(Debug)]
struct State {
    blobs: BlobIndex,
    segments: Arc<Segments>,
    /// Whether `blobs` is on disk.
    kept: bool,
}

/// What a repository's index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexSize {
    /// Blobs, each reading of one counted.
    pub blobs: usize,
    /// Documents: functions, and the rest of each blob.
    pub documents: u64,
    /// Segments.
    pub segments: usize,
    /// Commits.
    pub commits: usize,
}

enum Failure {
    Repo(RepoError),
    Index(IndexError),
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        Self::Repo(error)
    }
}

impl RepoIndex {
    /// Opens what lies in a home; what cannot be opened is made anew, with a notice.
    pub(crate) fn open(checkout: &Checkout, home: Option<Home>, events: &Events) -> Self {
        let directory = home.as_ref().map(|home| home.path.as_path());
        let history = HistoryStore::open(checkout, directory, events);
        let state = match &home {
            None => State::in_memory(),
            Some(home) => State::on_disk(home, events),
        };
        Self { home, state: Mutex::new(state), history, vectors: VectorStore::default() }
    }

    /// The files of a checkout with what is known of them, and up to `history` of its ancestors,
    /// after recording what is new.
    ///
    /// # Errors
    /// [`RepoError`] when a file that is there cannot be read.
    pub fn look(
        &self,
        checkout: &Checkout,
        history: usize,
        events: &Events,
    ) -> Result<(Corpus, History), RepoError> {
        std::thread::scope(|scope| {
            let history = scope.spawn(|| self.history.ancestors(checkout, history, events));
            let corpus = self.corpus(checkout, events);
            let history = history.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((corpus?, history))
        })
    }

    fn corpus(&self, checkout: &Checkout, events: &Events) -> Result<Corpus, RepoError> {
        let mut plan = files::plan(checkout, events);
        // Another thread may empty the index as soon as this one lets go of it.
        let segments = self.trying(checkout, events, |state| {
            self.fill(state, &mut [(checkout, &mut plan)], events)?;
            Ok(Arc::clone(&state.segments))
        })?;
        match plan.clone().corpus(&segments) {
            Ok(corpus) => Ok(corpus),
            Err(error) => {
                self.mend(&mut self.state(), &error, events);
                self.trying(checkout, events, |state| {
                    self.fill(state, &mut [(checkout, &mut plan)], events)?;
                    Ok(plan.clone().corpus(&state.segments)?)
                })
            }
        }
    }

    /// Does what may find the index damaged, mends it, and does it again.
    fn trying<T>(
        &self,
        checkout: &Checkout,
        events: &Events,
        mut work: impl FnMut(&mut State) -> Result<T, Failure>,
    ) -> Result<T, RepoError> {
        let mut state = self.state();
        let mut attempt = 0;
        loop {
            match work(&mut state) {
                Ok(done) => return Ok(done),
                Err(Failure::Repo(error)) => return Err(error),
                Err(Failure::Index(error)) if attempt == 2 => {
                    return Err(RepoError::Io {
                        action: "index",
                        path: checkout.path().to_owned(),
                        source: std::io::Error::other(error),
                    });
                }
                Err(Failure::Index(error)) if attempt == 1 => {
                    events.notice(format!("the index is kept in memory: {error}"));
                    *state = State::in_memory();
                }
                Err(Failure::Index(error)) => self.mend(&mut state, &error, events),
            }
            attempt += 1;
        }
    }

    /// Records what is new in many checkouts of this repository, and in up to `history` ancestors of
    /// each, at once, which costs less than one by one. Which files are ranked by path alone is told
    /// by [`RepoIndex::look`].
    ///
    /// # Errors
    /// [`RepoError`] when a file that is there cannot be read.
    pub fn prepare(
        &self,
        checkouts: &[&Checkout],
        history: usize,
        events: &Events,
    ) -> Result<(), RepoError> {
        let Some(first) = checkouts.first() else { return Ok(()) };
        let plans = checkouts.iter().map(|checkout| files::plan(checkout, &Events::discard()));
        let mut plans = plans.collect::<Vec<_>>();
        std::thread::scope(|scope| {
            scope.spawn(|| self.history.prepare(checkouts, history, events));
            self.trying(first, events, |state| {
                let mut work = checkouts.iter().copied().zip(&mut plans).collect::<Vec<_>>();
                self.fill(state, &mut work, events)
            })
        })
    }

    /// The vectors of `space` that are kept of these texts.
    #[must_use]
    pub fn vectors(&self, space: &str, keys: &[VectorKey]) -> Vec<Option<Vec<f32>>> {
        self.vectors.get(self.home.as_ref(), space, keys)
    }

    /// Keeps vectors of `space`.
    pub fn keep_vectors(&self, space: &str, new: Vec<(VectorKey, Vec<f32>)>, events: &Events) {
        self.vectors.add(self.home.as_ref(), space, new, events);
    }

    /// What is known now.
    #[must_use]
    pub fn size(&self) -> IndexSize {
        let (blobs, documents, segments) = self.state().segments.size();
        IndexSize { blobs, documents, segments, commits: self.history.size().0 }
    }

    /// Where it is kept; None when it is in memory.
    #[must_use]
    pub fn kept_in(&self) -> Option<PathBuf> {
        let home = self.home.as_ref().filter(|_| self.state().kept);
        home.map(|home| home.path.clone())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Indexes what the plans want and lack.
    fn fill(
        &self,
        state: &mut State,
        work: &mut [(&Checkout, &mut Plan)],
        events: &Events,
    ) -> Result<(), Failure> {
        loop {
            let missing = missing(&state.segments, work);
            if !missing.is_empty() {
                self.add(state, work, missing, events)?;
            }
            let mut lifted = false;
            for (_, plan) in &mut *work {
                lifted |= plan.lift(&state.segments)?;
            }
            if !lifted {
                return Ok(());
            }
        }
    }

    fn add(
        &self,
        state: &mut State,
        work: &[(&Checkout, &mut Plan)],
        mut missing: Vec<Missing>,
        events: &Events,
    ) -> Result<(), Failure> {
        let lock = match &self.home {
            Some(home) if state.kept => match home.lock(events) {
                Some(lock) => {
                    if home.is_full() {
                        *state = State::anew(home)?;
                    } else {
                        state.refresh(home)?;
                    }
                    missing = self::missing(&state.segments, work);
                    Some(lock)
                }
                None => {
                    let path = home.path.display();
                    events.notice(format!("cannot write {path}; the index stays in memory"));
                    *state = State::in_memory();
                    missing = self::missing(&state.segments, work);
                    None
                }
            },
            _ => None,
        };
        let keys = missing.iter().map(|missing| missing.key).collect::<Vec<_>>();
        let readers = Mutex::new(Vec::<(usize, BlobReader)>::new());
        let failed = Mutex::new(None);
        let read = |at: usize| {
            let missing = &missing[at];
            let idle = {
                let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
                let same = readers.iter().position(|(of, _)| *of == missing.checkout);
                same.map(|place| readers.swap_remove(place).1)
            };
            let outcome =
                idle.map_or_else(|| work[missing.checkout].0.reader(), Ok).and_then(|reader| {
                    let bytes = reader.read(&missing.path)?.unwrap_or_default();
                    Ok((reader, bytes))
                });
            match outcome {
                Ok((reader, bytes)) => {
                    let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
                    readers.push((missing.checkout, reader));
                    Some(
                        source::decode(&bytes)
                            .map(std::borrow::Cow::into_owned)
                            .unwrap_or_default(),
                    )
                }
                Err(error) => {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    None
                }
            }
        };
        write(&state.blobs, &keys, &read)?;
        // Before the lock is gone: another process may empty the index after that.
        state.segments = Arc::new(state.blobs.segments()?);
        if let (Some(home), Some(_)) = (&self.home, &lock) {
            home.evict_others();
        }
        drop(lock);
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.into());
        }
        Ok(())
    }

    /// After a failure of the index: once from an empty directory, then in memory.
    fn mend(&self, state: &mut State, error: &IndexError, events: &Events) {
        let Some(home) = self.home.as_ref().filter(|_| state.kept) else {
            *state = State::in_memory();
            return;
        };
        *state = State::mended(home, error, events);
    }
}

/// How long tantivy's own lock is waited for. Whoever has ours has that one too, but a process that
/// another thread is starting may hold what its parent has just closed.
const PATIENCE: Duration = Duration::from_secs(10);

fn write(
    blobs: &BlobIndex,
    keys: &[BlobKey],
    read: &(dyn Fn(usize) -> Option<String> + Sync),
) -> Result<(), IndexError> {
    let start = Instant::now();
    loop {
        match blobs.add(keys, read) {
            Err(IndexError::LockFailure(..)) if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

/// A blob to index, and a place to read it from.
struct Missing {
    key: BlobKey,
    checkout: usize,
    path: String,
}

/// What plans want and the index lacks, each blob once.
fn missing(segments: &Segments, work: &[(&Checkout, &mut Plan)]) -> Vec<Missing> {
    let mut seen = std::collections::HashSet::new();
    let mut missing = Vec::new();
    for (checkout, (_, plan)) in work.iter().enumerate() {
        for (key, path) in plan.wanted() {
            if !segments.contains(key) && seen.insert(key) {
                missing.push(Missing { key, checkout, path: path.to_owned() });
            }
        }
    }
    missing
}

impl State {
    fn in_memory() -> Self {
        let blobs = BlobIndex::in_memory();
        let segments = blobs.segments().expect("an empty index in memory is read without I/O");
        Self { blobs, segments: Arc::new(segments), kept: false }
    }

    fn on_disk(home: &Home, events: &Events) -> Self {
        let path = home.join(&blobs_name());
        // What fails here may be whole, and another process at work on it.
        if path.join(META).exists()
            && let Ok(state) = Self::try_open(&path)
        {
            return state;
        }
        let opened = {
            let _lock = home.lock(events);
            Self::try_open(&path)
        };
        opened.unwrap_or_else(|error| Self::mended(home, &error, events))
    }

    /// In place of an index that cannot be used.
    fn mended(home: &Home, error: &IndexError, events: &Events) -> Self {
        let path = home.path.display();
        let lock = home.lock(events);
        match lock.is_some().then(|| Self::anew(home)) {
            Some(Ok(state)) => {
                events.notice(format!("the index in {path} is made anew: {error}"));
                state
            }
            Some(Err(error)) => {
                events.notice(format!("cannot write {path} ({error}); the index stays in memory"));
                Self::in_memory()
            }
            None => {
                events.notice(format!("cannot write {path}; the index stays in memory"));
                Self::in_memory()
            }
        }
    }

    /// What has become of an index on disk, whose lock is held by the caller.
    fn refresh(&mut self, home: &Home) -> Result<(), IndexError> {
        match self.blobs.segments() {
            Ok(segments) if segments.size() == self.segments.size() => {
                self.segments = Arc::new(segments);
            }
            // Another process was here. tantivy's record of the files that it may delete is as old
            // as the opening.
            _ => *self = Self::try_open(&home.join(&blobs_name()))?,
        }
        Ok(())
    }

    /// Empties the directory, also of what other versions left; its lock is held by the caller.
    fn anew(home: &Home) -> Result<Self, IndexError> {
        for entry in std::fs::read_dir(&home.path)?.flatten() {
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if name.starts_with(b"blobs-") || name.starts_with(vectors::PREFIX.as_bytes()) {
                let path = entry.path();
                let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
            }
        }
        Self::try_open(&home.join(&blobs_name()))
    }

    fn try_open(path: &Path) -> Result<Self, IndexError> {
        std::fs::create_dir_all(path)?;
        if path.join(META).exists() != path.join(MANAGED).exists() {
            return Err(IndexError::InternalError("a file is missing".to_owned()));
        }
        for entry in std::fs::read_dir(path)?.flatten() {
            // Of such a file tantivy would read the footer that it has no room for.
            if entry.metadata().is_ok_and(|data| (1..FOOTER).contains(&data.len())) {
                let name = entry.file_name();
                return Err(IndexError::InternalError(format!("{} is damaged", name.display())));
            }
        }
        let blobs = BlobIndex::open(path)?;
        let segments = Arc::new(blobs.segments()?);
        Ok(Self { blobs, segments, kept: true })
    }
}

/// tantivy's record of the segments, and that of its files.
const META: &str = "meta.json";
const MANAGED: &str = ".managed.json";

/// Bytes that end each file of a segment.
const FOOTER: u64 = 8;

fn blobs_name() -> String {
    format!("blobs-{INDEX_VERSION}")
}
