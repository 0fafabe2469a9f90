//! BM25F over the postings of one commit's files.
//!
//! tantivy's own scorer has one length norm and fixed constants for each field and adds the fields
//! up, which loses to one saturation over the weighted sum of all fields (Robertson and Zaragoza,
//! "The Probabilistic Relevance Framework", 2009, section 3.5); it also counts every document that
//! was ever indexed. So postings are scored here, and all statistics (how many files have a term,
//! how long files are) come from the files that the index is made over.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tantivy::index::InvertedIndexReader;
use tantivy::postings::Postings;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, TERMINATED, Term};

use crate::retrieval::blobs::{BlobKey, Place, Segments};
use crate::retrieval::pass::{Answers, Found, Pass, Search, Wanted};
use crate::retrieval::schema::{CHUNK_FIELDS, CHUNK_PATH, FIELDS, PATH};
use crate::retrieval::terms::{self, Query};

/// No file of this index.
const NONE: u32 = u32::MAX;

/// Some files of a commit; results name them by their positions in the corpus.
pub(crate) struct Index {
    segments: Arc<Segments>,
    /// Position in the corpus of each file here.
    pub(crate) files: Vec<usize>,
    /// Of each segment, its fields' dictionaries and postings.
    inverted: Vec<Vec<Option<Arc<InvertedIndexReader>>>>,
    /// Of each segment, how many documents the segments before it have.
    bases: Vec<u32>,
    /// Of each segment, the slot of each document, or [`NONE`].
    owners: Vec<Vec<u32>>,
    /// Of each segment, the place of each document among those of its blob.
    ordinals: Vec<Vec<u32>>,
    /// Files here of each blob: usually one.
    pub(crate) slots: Vec<Vec<u32>>,
    /// Of each slot, its documents by their numbers over all segments.
    documents: Vec<Range<u32>>,
    /// Of each file here, its slot, or [`NONE`].
    slot_of: Vec<u32>,
    pub(crate) paths: Paths,
    /// By field and file, in terms.
    lengths: Vec<Vec<u32>>,
    /// By field, in terms, at least 1.
    averages: Vec<f64>,
    /// Of each document, by its number over all segments, the length over the fields of chunks and
    /// the path, as they are counted.
    pub(crate) chunk_lengths: Vec<u32>,
    /// Documents that belong to files here, and their mean length.
    pub(crate) chunks: (usize, f64),
}

/// A term in one document, which belongs to the files of a slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posting {
    /// Its number over all segments.
    pub(crate) document: u32,
    pub(crate) slot: u32,
    pub(crate) count: u32,
}

/// A function, or the rest of a file, that holds terms of a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ChunkHit {
    /// Position of the file in the corpus.
    pub(crate) file: usize,
    /// Number of the function among [`crate::retrieval::facts::functions`], or the rest.
    pub(crate) function: Option<usize>,
    pub(crate) score: f64,
}

/// Postings of path terms.
pub(crate) struct Paths {
    pub(crate) terms: FxHashMap<String, Vec<PathPosting>>,
    lengths: Vec<u32>,
    plain_lengths: Vec<u32>,
}

/// A term in one path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PathPosting {
    pub(crate) file: u32,
    /// Occurrences, the stem's counted three times.
    pub(crate) count: u32,
    /// Occurrences.
    plain: u32,
}

impl Paths {
    fn of<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut terms = FxHashMap::<String, Vec<PathPosting>>::default();
        let (mut lengths, mut plain_lengths) = (Vec::new(), Vec::new());
        for (file, path) in paths.enumerate() {
            let stem = path.rsplit('/').next().unwrap_or(path);
            let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
            let (mut length, mut plain_length) = (0, 0);
            for (text, times, plain) in [(path, 1, 1), (stem, 2, 0)] {
                terms::each_term(text, |term| {
                    length += times;
                    plain_length += plain;
                    if !terms.contains_key(term) {
                        terms.insert(term.to_owned(), Vec::new());
                    }
                    let Some(postings) = terms.get_mut(term) else { return };
                    let file = file as u32;
                    if postings.last().is_none_or(|last| last.file != file) {
                        postings.push(PathPosting { file, ..PathPosting::default() });
                    }
                    let Some(posting) = postings.last_mut() else { return };
                    posting.count += times;
                    posting.plain += plain;
                });
            }
            lengths.push(length);
            plain_lengths.push(plain_length);
        }
        Self { terms, lengths, plain_lengths }
    }
}

impl Index {
    /// Over the files at `positions`; `path` and `key` give what is at a position. Files without
    /// a key, and those whose blob is not indexed, have their path alone.
    pub(crate) fn build<'a>(
        segments: &Arc<Segments>,
        positions: &[usize],
        path: impl Fn(usize) -> &'a str,
        key: impl Fn(usize) -> Option<BlobKey>,
    ) -> Self {
        let sized = |fill: u32| {
            let readers = segments.readers.iter();
            readers.map(|reader| vec![fill; reader.max_doc() as usize]).collect::<Vec<_>>()
        };
        let (mut owners, mut ordinals) = (sized(NONE), sized(0));
        let mut slots = Vec::<Vec<u32>>::new();
        let mut slot_of = vec![NONE; positions.len()];
        let mut by_key = FxHashMap::<BlobKey, usize>::default();
        let mut places = Vec::new();
        for (file, at) in positions.iter().enumerate() {
            let Some(key) = key(*at) else { continue };
            let Some(place) = segments.place(key) else { continue };
            let slot = *by_key.entry(key).or_insert_with(|| {
                places.push(place);
                slots.push(Vec::new());
                slots.len() - 1
            });
            slots[slot].push(file as u32);
            slot_of[file] = slot as u32;
        }
        for (slot, place) in places.iter().enumerate() {
            let first = place.first as usize;
            let segment = place.segment as usize;
            owners[segment][first..first + place.documents as usize].fill(slot as u32);
            for ordinal in 0..place.documents {
                ordinals[segment][first + ordinal as usize] = ordinal;
            }
        }
        let documents = owners.iter().map(Vec::len).sum();
        let inverted = segments.readers.iter().map(|reader| {
            let fields = segments.layout.text.iter().enumerate();
            let open = |(at, field): (usize, &Field)| {
                (at != PATH).then(|| reader.inverted_index(*field).ok()).flatten()
            };
            fields.map(open).collect()
        });
        let bases = owners.iter().scan(0, |base, owners| {
            *base += owners.len() as u32;
            Some(*base - owners.len() as u32)
        });
        let bases = bases.collect::<Vec<_>>();
        let span = |place: &Place| {
            let first = bases[place.segment as usize] + place.first;
            first..first + place.documents
        };
        let mut index = Self {
            inverted: inverted.collect(),
            documents: places.iter().map(span).collect(),
            slot_of,
            bases,
            segments: Arc::clone(segments),
            files: positions.to_vec(),
            owners,
            ordinals,
            slots,
            paths: Paths::of(positions.iter().map(|at| path(*at))),
            lengths: Vec::new(),
            averages: Vec::new(),
            chunk_lengths: vec![0; documents],
            chunks: (0, 1.0),
        };
        index.measure();
        index
    }

    /// Lengths of files by field.
    fn measure(&mut self) {
        let files = self.files.len();
        self.lengths = vec![vec![0; files]; FIELDS.len()];
        self.lengths[PATH].clone_from(&self.paths.lengths);
        for (segment, reader) in self.segments.readers.iter().enumerate() {
            for field in (0..FIELDS.len()).filter(|field| *field != PATH) {
                let tantivy_field = self.segments.layout.text[field];
                let Ok(norms) = reader.get_fieldnorms_reader(tantivy_field) else { continue };
                for (document, slot) in self.owners[segment].iter().enumerate() {
                    if *slot != NONE {
                        let length = norms.fieldnorm(document as u32);
                        if let Some((_, weight)) = CHUNK_FIELDS.iter().find(|f| f.0 == field) {
                            let at = self.bases[segment] as usize + document;
                            self.chunk_lengths[at] += weight * length;
                        }
                        for file in &self.slots[*slot as usize] {
                            self.lengths[field][*file as usize] += length;
                        }
                    }
                }
            }
        }
        for (documents, files) in self.documents.iter().zip(&self.slots) {
            // Of files that share a blob, the first one's.
            let path = CHUNK_PATH * self.paths.plain_lengths[files[0] as usize];
            for length in &mut self.chunk_lengths[documents.start as usize..documents.end as usize]
            {
                *length += path;
            }
        }
        let mean = |lengths: &Vec<u32>| {
            let sum = lengths.iter().map(|length| u64::from(*length)).sum::<u64>();
            (sum as f64 / files.max(1) as f64).max(1.0)
        };
        self.averages = self.lengths.iter().map(mean).collect();
        let chunks = self.owners.iter().flatten().filter(|slot| **slot != NONE).count();
        let length = self.chunk_lengths.iter().map(|length| u64::from(*length));
        self.chunks = (chunks, (length.sum::<u64>() as f64 / chunks.max(1) as f64).max(1.0));
    }

    /// BM25F over all fields.
    pub(crate) fn search(&self, query: &Query) -> Found {
        self.ask(&[Search::all_fields(vec![query])], &[]).files.remove(0).remove(0)
    }

    /// Many queries in one pass over the postings, which is where the time goes.
    pub(crate) fn ask(&self, searches: &[Search], chunks: &[&Query]) -> Answers {
        let mut terms = BTreeMap::<&str, Wanted>::new();
        for (search, group) in searches.iter().enumerate() {
            for (query, wanted) in group.queries.iter().enumerate() {
                for (term, weight) in *wanted {
                    terms.entry(term).or_default().files.push((search, query, *weight));
                }
            }
        }
        for (query, wanted) in chunks.iter().enumerate() {
            for (term, weight) in *wanted {
                terms.entry(term).or_default().chunks.push((query, *weight));
            }
        }
        let mut pass = Pass::new(self, searches, chunks.len());
        for (term, wanted) in terms {
            pass.term(term, &wanted);
        }
        pass.answers()
    }

    /// What one occurrence in each field of each file adds to a term's weighted frequency.
    pub(crate) fn worth(&self, search: &Search) -> Vec<Vec<f64>> {
        let worth = search.fields.iter().map(|(field, weight)| {
            let norm = |length: &u32| {
                let relative = f64::from(*length) / self.averages[*field];
                weight.weight / (1.0 - weight.b + weight.b * relative)
            };
            self.lengths[*field].iter().map(norm).collect()
        });
        worth.collect()
    }

    /// Postings of files here.
    pub(crate) fn postings(&self, field: usize, term: &str) -> Vec<Posting> {
        let mut postings = Vec::new();
        let key = Term::from_field_text(self.segments.layout.text[field], term);
        let segments = self.inverted.iter().zip(&self.owners).zip(&self.bases);
        for ((fields, owners), base) in segments {
            let Some(inverted) = &fields[field] else { continue };
            let Ok(Some(mut found)) = inverted.read_postings(&key, IndexRecordOption::WithFreqs)
            else {
                continue;
            };
            while found.doc() != TERMINATED {
                let slot = owners[found.doc() as usize];
                if slot != NONE {
                    let document = *base + found.doc();
                    postings.push(Posting { document, slot, count: found.term_freq() });
                }
                found.advance();
            }
        }
        postings
    }

    /// Documents of the files whose path has a term, with what the path counts for each.
    pub(crate) fn by_path(&self, term: &str) -> impl Iterator<Item = (u32, u32)> {
        let postings = self.paths.terms.get(term).map_or(&[][..], Vec::as_slice);
        postings.iter().flat_map(|posting| {
            let slot = self.slot_of[posting.file as usize];
            let first = (slot != NONE).then(|| self.slots[slot as usize][0]);
            // Of files that share a blob, the first one's.
            let own = first == Some(posting.file) && posting.plain > 0;
            let documents = if own { self.documents[slot as usize].clone() } else { 0..0 };
            documents.map(|document| (document, CHUNK_PATH * posting.plain))
        })
    }

    pub(crate) fn chunk_hits(&self, scores: &[f64]) -> Vec<ChunkHit> {
        let mut hits = Vec::new();
        let documents = self.owners.iter().flatten().zip(self.ordinals.iter().flatten());
        for ((slot, ordinal), score) in documents.zip(scores).filter(|(_, score)| **score > 0.0) {
            for file in &self.slots[*slot as usize] {
                let function = (*ordinal as usize).checked_sub(1);
                hits.push(ChunkHit { file: self.files[*file as usize], function, score: *score });
            }
        }
        hits.sort_by_key(|hit| (hit.file, hit.function));
        hits
    }
}

/// Inverse document frequency as BM25 has it, never negative.
pub(crate) fn idf(documents: usize, with_term: usize) -> f64 {
    let (n, df) = (documents as f64, with_term as f64);
    (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retrieval::schema::PATH;
    use crate::retrieval::{BlobIndex, Reading};

    /// An index over some of the files, in a store that holds them all and one more.
    fn index(files: &[(&str, &str)], positions: &[usize]) -> Index {
        let keys = (0..=files.len()).map(|at| BlobKey::new(at as u128 * 2, Reading::Python));
        let keys = keys.collect::<Vec<_>>();
        let blobs = BlobIndex::in_memory();
        let read = |at: usize| files.get(at).map_or("pear pear pear", |(_, text)| text).to_owned();
        blobs.add(&keys, &|at| Some(read(at))).unwrap();
        let segments = Arc::new(blobs.segments().unwrap());
        Index::build(&segments, positions, |at| files[at].0, |at| Some(keys[at]))
    }

    const FILES: [(&str, &str); 3] =
        [("apple.py", "pear = 1\n"), ("b.py", "# pear pear\nplum(pear)\n"), ("c.py", "plum()\n")];

    #[test]
    fn scores_are_bm25f_over_the_weighted_sum_of_fields_of_these_files_alone() {
        let index = index(&FILES, &[0, 1, 2]);
        let scores = index.search(&terms::query("pear", "", 0.0));
        // Lengths: definitions 1 0 0; code 1 2 1; docs 0 2 0.
        let norm = |b: f64, length: f64, average: f64| 1.0 - b + b * length / average;
        let idf = (1.0_f64 + (3.0 - 2.0 + 0.5) / (2.0 + 0.5)).ln();
        let first = 2.5 / norm(0.4, 1.0, 1.0) + 1.0 / norm(0.7, 1.0, 4.0 / 3.0);
        let second = 1.0 / norm(0.7, 2.0, 4.0 / 3.0) + 0.4 * 2.0 / norm(0.7, 2.0, 1.0);
        let expected = [(0, first), (1, second)].map(|(at, f)| (at, idf * f / (2.5 + f)));
        assert_eq!(scores.len(), 2, "{scores:?}");
        for ((file, score), (expected_file, expected_score)) in scores.iter().zip(expected) {
            assert_eq!(*file, expected_file);
            assert!((score - expected_score).abs() < 1e-9, "{score} {expected_score}");
        }
        let both = terms::query("apple pear", "", 0.0);
        let by_path = &index.ask(&[Search::field(PATH, 0.5, vec![&both])], &[]).files[0][0];
        assert_eq!(by_path.iter().map(|(file, _)| *file).collect::<Vec<_>>(), [0]);
        // Of two files, both with the term: its idf is another one.
        let fewer = super::tests::index(&FILES, &[0, 1]).search(&terms::query("pear", "", 0.0));
        assert!(fewer[0].1 < scores[0].1, "{fewer:?} {scores:?}");
    }

    #[test]
    fn functions_are_documents_of_their_own_and_twins_share_theirs() {
        let text = "import os\nclass A:\n    def near(self):\n        return alpha_one\n\
                    def far():\n    def inner():\n        return alpha_one\n    return beta\nalpha_one\n";
        let files = [("x.py", text), ("y.py", "beta = 1\n")];
        let index = index(&files, &[0, 1]);
        let hits = |words: &str| {
            let hits = index.ask(&[], &[&terms::query(words, "", 0.0)]).chunks.remove(0);
            hits.iter().map(|hit| (hit.file, hit.function)).collect::<Vec<_>>()
        };
        assert_eq!(hits("alpha_one"), [(0, None), (0, Some(0)), (0, Some(1))]);
        assert_eq!(hits("beta"), [(0, Some(1)), (1, None)]);
        let best = index.ask(&[], &[&terms::query("alpha_one beta", "", 0.0)]).chunks.remove(0);
        let best = best.into_iter();
        let best = best.max_by(|a, b| a.score.total_cmp(&b.score)).unwrap();
        assert_eq!((best.file, best.function), (0, Some(1)));
        // One blob under two paths is found as both.
        let blobs = BlobIndex::in_memory();
        let key = BlobKey::new(8, Reading::Python);
        blobs.add(&[key], &|_| Some("gamma()\n".to_owned())).unwrap();
        let segments = Arc::new(blobs.segments().unwrap());
        let twins = Index::build(&segments, &[3, 5], |_| "t.py", |_| Some(key));
        let found = twins.search(&terms::query("gamma", "", 0.0));
        assert_eq!(found.iter().map(|(file, _)| *file).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(found[0].1.to_bits(), found[1].1.to_bits());
    }
}
