//! One pass over the postings of an index for many queries: each term is looked up once, whatever
//! the number of queries, fields and weights that want it.

use crate::retrieval::index::{ChunkHit, Index, Posting, idf};
use crate::retrieval::schema::{CHUNK_FIELDS, FIELDS, FieldWeight, PATH};
use crate::retrieval::terms::Query;

/// Saturation of the sum over all fields, which is larger than any one count: 2.5 beat 1.2 on the
/// development rows (84 against 81 @5) and on commits of other repositories.
const K1: f64 = 2.5;

/// Saturation of one field alone, and of functions.
const K1_ONE: f64 = 1.2;

/// How much length is held against a function.
const CHUNK_B: f64 = 0.4;

/// Files with their scores, in the order of their positions in the corpus; those without any term
/// of the query are absent.
pub(crate) type Found = Vec<(usize, f64)>;

/// Queries over the same fields.
pub(crate) struct Search<'q> {
    pub(crate) fields: Vec<(usize, FieldWeight)>,
    k1: f64,
    pub(crate) queries: Vec<&'q Query>,
}

impl<'q> Search<'q> {
    /// BM25F over all fields.
    pub(crate) fn all_fields(queries: Vec<&'q Query>) -> Self {
        let fields = FIELDS.iter().enumerate().filter(|(_, field)| field.weight > 0.0);
        Self { fields: fields.map(|(at, field)| (at, *field)).collect(), k1: K1, queries }
    }

    /// BM25 over one field.
    pub(crate) fn field(field: usize, b: f64, queries: Vec<&'q Query>) -> Self {
        let weight = FieldWeight { weight: 1.0, b, ..FIELDS[field] };
        Self { fields: vec![(field, weight)], k1: K1_ONE, queries }
    }
}

/// Who wants a term, and with which weight.
#[derive(Default)]
pub(crate) struct Wanted {
    /// Search, query of the search, weight; ascending.
    pub(crate) files: Vec<(usize, usize, f64)>,
    /// Query over functions, weight.
    pub(crate) chunks: Vec<(usize, f64)>,
}

/// What a pass finds.
pub(crate) struct Answers {
    /// BM25F, by search and query.
    pub(crate) files: Vec<Vec<Found>>,
    /// BM25 (k1 1.2, b 0.4) over functions and the rest of each file as documents of their own, by
    /// query; ordered by file and place in it. A function holds its name and those of the classes
    /// around it three times more, and each document the file's path twice: 56 against 48 @1 for
    /// the best function of each file.
    pub(crate) chunks: Vec<Vec<ChunkHit>>,
}

/// A pass under way.
pub(crate) struct Pass<'i, 's> {
    index: &'i Index,
    searches: &'s [Search<'s>],
    /// By search and field: see [`Index::worth`].
    worth: Vec<Vec<Vec<f64>>>,
    /// Scores of files, by search and query.
    files: Vec<Vec<Vec<f64>>>,
    /// Scores of documents, by query over functions.
    chunks: Vec<Vec<f64>>,
    frequencies: Vec<f64>,
    counts: Vec<u32>,
    touched: Vec<u32>,
}

impl<'i, 's> Pass<'i, 's> {
    pub(crate) fn new(index: &'i Index, searches: &'s [Search<'s>], chunks: usize) -> Self {
        let files = index.files.len();
        let documents = if chunks == 0 { 0 } else { index.chunk_lengths.len() };
        let scores = searches.iter().map(|search| vec![vec![0.0; files]; search.queries.len()]);
        Self {
            index,
            searches,
            worth: searches.iter().map(|search| index.worth(search)).collect(),
            files: scores.collect(),
            chunks: vec![vec![0.0; documents]; chunks],
            frequencies: vec![0.0; files],
            counts: vec![0; documents],
            touched: Vec::new(),
        }
    }

    pub(crate) fn term(&mut self, term: &str, wanted: &Wanted) {
        let mut postings = [const { None::<Vec<Posting>> }; FIELDS.len()];
        for group in wanted.files.chunk_by(|a, b| a.0 == b.0) {
            let search = group[0].0;
            for (field, worth) in self.searches[search].fields.iter().zip(&self.worth[search]) {
                let mut add = |file: u32, count: u32| {
                    let frequency = &mut self.frequencies[file as usize];
                    if *frequency == 0.0 {
                        self.touched.push(file);
                    }
                    *frequency += worth[file as usize] * f64::from(count);
                };
                if field.0 == PATH {
                    for posting in self.index.paths.terms.get(term).into_iter().flatten() {
                        add(posting.file, posting.count);
                    }
                    continue;
                }
                let found =
                    postings[field.0].get_or_insert_with(|| self.index.postings(field.0, term));
                for posting in found {
                    for file in &self.index.slots[posting.slot as usize] {
                        add(*file, posting.count);
                    }
                }
            }
            let k1 = self.searches[search].k1;
            let idf = idf(self.frequencies.len(), self.touched.len());
            for file in self.touched.drain(..) {
                let frequency = std::mem::take(&mut self.frequencies[file as usize]);
                let part = idf * frequency / (k1 + frequency);
                for (_, query, weight) in group {
                    self.files[search][*query][file as usize] += weight * part;
                }
            }
        }
        if wanted.chunks.is_empty() {
            return;
        }
        let mut add = |document: u32, count: u32| {
            let counted = &mut self.counts[document as usize];
            if *counted == 0 {
                self.touched.push(document);
            }
            *counted += count;
        };
        for (field, weight) in CHUNK_FIELDS {
            let found = postings[field].get_or_insert_with(|| self.index.postings(field, term));
            for posting in found {
                add(posting.document, weight * posting.count);
            }
        }
        for (document, count) in self.index.by_path(term) {
            add(document, count);
        }
        let (total, average) = self.index.chunks;
        let idf = idf(total, self.touched.len());
        for document in self.touched.drain(..) {
            let document = document as usize;
            let count = f64::from(std::mem::take(&mut self.counts[document]));
            let length = f64::from(self.index.chunk_lengths[document]) / average;
            let part = idf * count / (K1_ONE * (1.0 - CHUNK_B + CHUNK_B * length) + count);
            for (query, weight) in &wanted.chunks {
                self.chunks[*query][document] += weight * part;
            }
        }
    }

    pub(crate) fn answers(self) -> Answers {
        let found = |scores: Vec<f64>| {
            let scored = scores.into_iter().enumerate().filter(|(_, score)| *score > 0.0);
            scored.map(|(file, score)| (self.index.files[file], score)).collect()
        };
        let files = self.files.into_iter();
        let files = files.map(|queries| queries.into_iter().map(found).collect());
        let chunks = self.chunks.iter().map(|scores| self.index.chunk_hits(scores));
        Answers { chunks: chunks.collect(), files: files.collect() }
    }
}
