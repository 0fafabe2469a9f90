//! The inverted index over blobs, and where each blob lies in it.
//!
//! One index serves all commits of a repository: a blob is indexed once, and a ranking looks only
//! at the blobs of its commit. tantivy keeps documents of one call in one segment and in order, so
//! the documents of a blob are the first one, which holds its key, and those up to the next key.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;
use tantivy::directory::{Directory, META_LOCK, MmapDirectory};
use tantivy::index::SegmentReader;
use tantivy::indexer::UserOperation;
use tantivy::merge_policy::{MergeCandidate, MergePolicy};
use tantivy::{IndexBuilder, IndexWriter, SegmentMeta, TantivyDocument};

use crate::retrieval::facts::Facts;
use crate::retrieval::schema::{KEYS, Layout};
use crate::source;

/// An index that cannot be read or written.
pub type IndexError = tantivy::TantivyError;

/// How a blob's text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reading {
    /// As Python, with its outline.
    Python,
    /// As words.
    Words,
}

/// A blob as one reading sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobKey {
    high: u64,
    low: u64,
}

impl BlobKey {
    /// Of the first 16 bytes of a blob's id.
    #[must_use]
    pub fn new(id: u128, reading: Reading) -> Self {
        let high = (id >> 64) as u64;
        let low = id as u64;
        // One bit of 128 tells the readings apart.
        Self { high, low: low & !1 | u64::from(reading == Reading::Python) }
    }

    /// The blob's 16 bytes; the last bit is lost.
    #[must_use]
    pub fn id(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low & !1)
    }

    /// How it is read.
    #[must_use]
    pub fn reading(self) -> Reading {
        if self.low & 1 == 1 { Reading::Python } else { Reading::Words }
    }
}

/// Arena of one indexing thread in bytes; a full arena becomes a segment.
const ARENA: usize = 160 << 20;

/// More segments than this are merged: each costs a query a look into its terms.
const SEGMENTS: usize = 8;

/// Merges the smallest segments, and as many more as are no larger than those together: each
/// document is merged anew a logarithmic number of times, and a commit that brings little never
/// rewrites much.
#[derive(Debug)]
struct Smallest;

impl MergePolicy for Smallest {
    fn compute_merge_candidates(&self, segments: &[SegmentMeta]) -> Vec<MergeCandidate> {
        if segments.len() <= SEGMENTS {
            return Vec::new();
        }
        let mut sizes =
            segments.iter().map(|meta| (meta.num_docs(), meta.id())).collect::<Vec<_>>();
        sizes.sort_unstable();
        let mut total = 0;
        let smallest = sizes.iter().enumerate().take_while(|(at, (documents, _))| {
            let taken = *at < SEGMENTS / 2 || *documents <= total;
            total += documents;
            taken
        });
        vec![MergeCandidate(smallest.map(|(_, (_, id))| *id).collect())]
    }
}

/// The index of a repository's blobs.
#[derive(Debug)]
pub struct BlobIndex {
    index: tantivy::Index,
    layout: Layout,
}

impl BlobIndex {
    /// An empty index in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        let layout = Layout::new();
        let index = Self::builder(&layout)
            .create_in_ram()
            .expect("an index in memory with a constant schema meets no I/O");
        Self { index, layout }
    }

    /// The index in a directory, which must exist; an empty one is filled.
    ///
    /// # Errors
    /// [`IndexError`] when it cannot be read, has another schema, or fails its checksums.
    pub fn open(directory: &Path) -> Result<Self, IndexError> {
        let layout = Layout::new();
        let directory = MmapDirectory::open(directory)?;
        let mut index = Self::builder(&layout).open_or_create(directory)?;
        index.set_tokenizers(Layout::tokenizers());
        let damaged = index.validate_checksum()?;
        match damaged.into_iter().next() {
            None => Ok(Self { index, layout }),
            Some(file) => Err(IndexError::InternalError(format!("{} is damaged", file.display()))),
        }
    }

    fn builder(layout: &Layout) -> IndexBuilder {
        IndexBuilder::new().schema(layout.schema.clone()).tokenizers(Layout::tokenizers())
    }

    /// Indexes blobs; `read` gives the text of the one at a position of `keys`, on any thread, or
    /// None to leave it out. Nothing of it is seen before all of it is.
    ///
    /// # Errors
    /// [`IndexError`] when the index cannot be written, or another writer is at work on it.
    pub fn add(
        &self,
        keys: &[BlobKey],
        read: &(dyn Fn(usize) -> Option<String> + Sync),
    ) -> Result<(), IndexError> {
        if keys.is_empty() {
            return Ok(());
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        let threads = threads.min(keys.len().div_ceil(64));
        let mut writer =
            self.index.writer_with_num_threads::<TantivyDocument>(threads, ARENA * threads)?;
        writer.set_merge_policy(Box::new(Smallest));
        self.feed(&writer, keys, read, threads)?;
        writer.commit()?;
        writer.wait_merging_threads()
    }

    fn feed(
        &self,
        writer: &IndexWriter,
        keys: &[BlobKey],
        read: &(dyn Fn(usize) -> Option<String> + Sync),
        threads: usize,
    ) -> Result<(), IndexError> {
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(key) = keys.get(at) else { break };
                        let Some(text) = read(at) else { continue };
                        let module =
                            (key.reading() == Reading::Python).then(|| source::parse(&text));
                        let documents = self.layout.documents([key.high, key.low], &text, module);
                        if let Err(error) =
                            writer.run(documents.into_iter().map(UserOperation::Add))
                        {
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            next.store(keys.len(), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    /// What is in the index now; later additions do not change it.
    ///
    /// # Errors
    /// [`IndexError`] when the index cannot be read.
    pub fn segments(&self) -> Result<Segments, IndexError> {
        let mut readers = Vec::new();
        let mut places = FxHashMap::default();
        // Files that a merge has replaced stay until this is dropped.
        let _lock = self.index.directory().acquire_lock(&META_LOCK)?;
        // A reader of `Index::reader` would watch the directory with a thread of its own.
        for segment in self.index.searchable_segments()? {
            let reader = SegmentReader::open(&segment)?;
            let number = readers.len() as u32;
            let high = reader.fast_fields().u64(KEYS[0])?;
            let low = reader.fast_fields().u64(KEYS[1])?;
            let mut last: Option<(BlobKey, u32)> = None;
            let mut close = |last: Option<(BlobKey, u32)>, end: u32| {
                if let Some((key, first)) = last {
                    let place = Place { segment: number, first, documents: end - first };
                    places.entry(key).or_insert(place);
                }
            };
            for document in 0..reader.max_doc() {
                if let (Some(high), Some(low)) = (high.first(document), low.first(document)) {
                    close(last.take(), document);
                    last = Some((BlobKey { high, low }, document));
                }
            }
            close(last, reader.max_doc());
            readers.push(reader);
        }
        Ok(Segments { layout: self.layout.clone(), readers, places })
    }
}

/// Where a blob lies: `documents` documents of a segment from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) first: u32,
    pub(crate) documents: u32,
}

/// An index at one moment.
#[derive(Clone)]
pub struct Segments {
    pub(crate) layout: Layout,
    pub(crate) readers: Vec<SegmentReader>,
    places: FxHashMap<BlobKey, Place>,
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segments")
            .field("segments", &self.readers.len())
            .field("blobs", &self.places.len())
            .finish_non_exhaustive()
    }
}

impl Segments {
    /// Whether a blob is in the index.
    #[must_use]
    pub fn contains(&self, key: BlobKey) -> bool {
        self.places.contains_key(&key)
    }

    /// Blobs, documents, and segments in the index.
    #[must_use]
    pub fn size(&self) -> (usize, u64, usize) {
        let documents = self.readers.iter().map(|reader| u64::from(reader.max_doc())).sum();
        (self.places.len(), documents, self.readers.len())
    }

    pub(crate) fn place(&self, key: BlobKey) -> Option<Place> {
        self.places.get(&key).copied()
    }

    /// Outlines of blobs, in the order of `keys`; None for those that have none.
    ///
    /// # Errors
    /// [`IndexError`] when stored bytes cannot be read.
    pub fn facts(&self, keys: &[Option<BlobKey>]) -> Result<Vec<Option<Facts>>, IndexError> {
        let mut wanted = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            if let Some(place) = key.and_then(|key| self.place(key)) {
                wanted.push((place.segment, place.first, at));
            }
        }
        // In the order in which they lie on disk: neighbours share a block.
        wanted.sort_unstable();
        let mut facts = keys.iter().map(|_| None).collect::<Vec<_>>();
        let mut store = None;
        for (segment, first, at) in wanted {
            if store.as_ref().is_none_or(|(open, _)| *open != segment) {
                let reader = self.readers[segment as usize].get_store_reader(1)?;
                store = Some((segment, reader));
            }
            let Some((_, reader)) = &store else { continue };
            let document = reader.get::<TantivyDocument>(first)?;
            let bytes = document
                .get_first(self.layout.facts)
                .and_then(|value| tantivy::schema::Value::as_bytes(&value));
            facts[at] = bytes.and_then(Facts::decode);
        }
        Ok(facts)
    }
}
