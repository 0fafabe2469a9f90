//! Functions as documents of their own: in a large file the one function that is meant drowns.

use std::collections::{BTreeMap, HashMap};

use crate::retrieval::corpus::Corpus;
use crate::retrieval::index::idf;
use crate::retrieval::terms::{self, Query};
use crate::source::{DefinitionKind, Module};

/// What a query finds in one chunk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChunkHit {
    /// Position of the file in the corpus.
    pub(crate) file: usize,
    /// Index of the function in the file's outline; None for what lies outside of all functions.
    pub(crate) definition: Option<usize>,
    /// Larger is better, never zero.
    pub(crate) score: f64,
}

/// One chunk for each function or method, nested functions within, and one for the rest of a file.
pub(crate) struct Chunks<'a> {
    corpus: &'a Corpus<'a>,
}

impl<'a> Chunks<'a> {
    pub(crate) fn build(corpus: &'a Corpus<'a>) -> Self {
        Self { corpus }
    }

    /// BM25 with k1 1.2 and b 0.4 over chunks of sources, by file and then by place in the file.
    pub(crate) fn search(&self, query: &Query) -> Vec<ChunkHit> {
        if query.is_empty() {
            return Vec::new();
        }
        let places = query.keys().enumerate().map(|(at, term)| (term.as_str(), at)).collect();
        let mut chunks = Vec::new();
        for file in &self.corpus.sources {
            let text = self.corpus.files[*file].text.as_str();
            match &self.corpus.parsed[*file] {
                Some(module) => split(*file, text, module, &places, &mut chunks),
                None => {
                    let mut whole = Chunk::of(*file, None);
                    whole.add(text, &places);
                    chunks.push(whole);
                }
            }
        }
        let mut with_term = vec![0; query.len()];
        let mut length = 0;
        for chunk in &chunks {
            length += chunk.length;
            for term in chunk.counts.keys() {
                with_term[*term] += 1;
            }
        }
        let average = (length as f64 / chunks.len().max(1) as f64).max(1.0);
        let idfs = with_term.iter().map(|df| idf(chunks.len(), *df)).collect::<Vec<_>>();
        let weights = query.values().copied().collect::<Vec<_>>();
        let mut hits = Vec::new();
        for chunk in &chunks {
            let norm = 1.2 * (0.6 + 0.4 * chunk.length as f64 / average);
            let score = chunk.counts.iter().map(|(term, count)| {
                let count = f64::from(*count);
                weights[*term] * idfs[*term] * count / (norm + count)
            });
            let score = score.sum::<f64>();
            if score > 0.0 {
                hits.push(ChunkHit { file: chunk.file, definition: chunk.definition, score });
            }
        }
        hits
    }
}

struct Chunk {
    file: usize,
    definition: Option<usize>,
    /// Terms in all.
    length: usize,
    /// How often terms of the query occur, by their number; most chunks have none.
    counts: BTreeMap<usize, u32>,
}

impl Chunk {
    fn of(file: usize, definition: Option<usize>) -> Self {
        Self { file, definition, length: 0, counts: BTreeMap::new() }
    }

    fn add(&mut self, text: &str, query: &HashMap<&str, usize>) {
        terms::each_term(text, |term| {
            self.length += 1;
            if let Some(term) = query.get(term) {
                *self.counts.entry(*term).or_default() += 1;
            }
        });
    }
}

fn split(
    file: usize,
    text: &str,
    module: &Module,
    query: &HashMap<&str, usize>,
    into: &mut Vec<Chunk>,
) {
    let functions = functions(module);
    let mut chunks = functions.iter().map(|at| Chunk::of(file, Some(*at))).collect::<Vec<_>>();
    chunks.push(Chunk::of(file, None));
    let regions = [&module.identifiers, &module.docstrings, &module.comments, &module.strings];
    for region in regions {
        let mut function = 0;
        for range in region {
            let bytes = |at: usize| &module.definitions[functions[at]].bytes;
            while function < functions.len() && bytes(function).end <= range.start {
                function += 1;
            }
            let inside = function < functions.len() && bytes(function).start <= range.start;
            let chunk = if inside { function } else { functions.len() };
            chunks[chunk].add(&text[range.clone()], query);
        }
    }
    into.extend(chunks);
}

/// Functions that no other function is around, in order.
fn functions(module: &Module) -> Vec<usize> {
    let outer = |at: &usize| {
        let definition = &module.definitions[*at];
        definition.kind != DefinitionKind::Class
            && definition
                .parent
                .is_none_or(|parent| module.definitions[parent].kind == DefinitionKind::Class)
    };
    (0..module.definitions.len()).filter(outer).collect()
}
