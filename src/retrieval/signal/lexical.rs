//! Words of the issue in files, in their paths, and in their functions.

use std::collections::{BTreeMap, HashMap};

use crate::retrieval::fuse::Hit;
use crate::retrieval::index::{PATH, idf};
use crate::retrieval::rank::Evidence;
use crate::retrieval::terms;
use crate::source::{DefinitionKind, Module};

fn hits(scores: Vec<(usize, f64)>) -> Vec<Hit> {
    scores.into_iter().map(|(file, score)| Hit { file, score, note: None }).collect()
}

/// BM25F of the whole issue, its title weighted.
pub(crate) fn issue(evidence: &Evidence) -> Vec<Hit> {
    hits(evidence.index.search(&evidence.whole))
}

/// BM25F of the title alone.
pub(crate) fn title(evidence: &Evidence) -> Vec<Hit> {
    hits(evidence.index.search(&evidence.title))
}

/// BM25 of the whole issue over paths.
pub(crate) fn path_terms(evidence: &Evidence) -> Vec<Hit> {
    hits(evidence.index.search_field(&evidence.whole, PATH, 0.5))
}

/// The best function of each file for the names in the issue that look like code: in a large file
/// the one function that is meant drowns otherwise. BM25 with k1 1.2 and b 0.4 over functions,
/// and over the rest of each file as one more document.
pub(crate) fn chunks(evidence: &Evidence) -> Vec<Hit> {
    let names = evidence.issue.code.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let query = terms::query(&names, "", 0.0);
    if query.is_empty() {
        return Vec::new();
    }
    let places = query.keys().enumerate().map(|(at, term)| (term.as_str(), at)).collect();
    let mut chunks = Vec::new();
    for file in &evidence.corpus.sources {
        let text = evidence.corpus.files[*file].text.as_str();
        match &evidence.corpus.parsed[*file] {
            Some(module) => split(*file, text, module, &places, &mut chunks),
            None => {
                let mut whole = Chunk::of(*file);
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
    let mut best = HashMap::<usize, f64>::new();
    for chunk in &chunks {
        let norm = 1.2 * (0.6 + 0.4 * chunk.length as f64 / average);
        let score = chunk.counts.iter().map(|(term, count)| {
            let count = f64::from(*count);
            weights[*term] * idfs[*term] * count / (norm + count)
        });
        let score = score.sum::<f64>();
        let entry = best.entry(chunk.file).or_default();
        *entry = entry.max(score);
    }
    hits(best.into_iter().collect())
}

struct Chunk {
    file: usize,
    /// Terms in all.
    length: usize,
    /// How often terms of the query occur, by their number; most chunks have none.
    counts: BTreeMap<usize, u32>,
}

impl Chunk {
    fn of(file: usize) -> Self {
        Self { file, length: 0, counts: BTreeMap::new() }
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

/// One chunk for each function or method, nested functions within, and one for the rest.
fn split(
    file: usize,
    text: &str,
    module: &Module,
    query: &HashMap<&str, usize>,
    into: &mut Vec<Chunk>,
) {
    let functions = module.definitions.iter().filter(|definition| {
        definition.kind != DefinitionKind::Class
            && definition
                .parent
                .is_none_or(|parent| module.definitions[parent].kind == DefinitionKind::Class)
    });
    let functions = functions.map(|definition| definition.bytes.clone()).collect::<Vec<_>>();
    let mut chunks = (0..=functions.len()).map(|_| Chunk::of(file)).collect::<Vec<_>>();
    let regions = [&module.identifiers, &module.docstrings, &module.comments, &module.strings];
    for region in regions {
        let mut function = 0;
        for range in region {
            while function < functions.len() && functions[function].end <= range.start {
                function += 1;
            }
            let inside = functions.get(function).is_some_and(|f| f.start <= range.start);
            let chunk = if inside { function } else { functions.len() };
            chunks[chunk].add(&text[range.clone()], query);
        }
    }
    into.extend(chunks);
}
