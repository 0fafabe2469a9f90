//! Words of the issue in files, in their paths, and in their functions.

use std::collections::HashMap;

use crate::retrieval::fuse::Hit;
use crate::retrieval::rank::Evidence;
use crate::retrieval::schema::PATH;
use crate::retrieval::terms;

fn hits(scores: Vec<(usize, f64)>) -> Vec<Hit> {
    scores.into_iter().map(|(file, score)| Hit { file, score, note: None }).collect()
}

/// BM25F of the whole issue, its title weighted.
pub(crate) fn issue(evidence: &Evidence) -> Vec<Hit> {
    hits(evidence.corpus.index.search(&evidence.whole))
}

/// BM25F of the title alone.
pub(crate) fn title(evidence: &Evidence) -> Vec<Hit> {
    hits(evidence.corpus.index.search(&evidence.title))
}

/// BM25 of the whole issue over paths.
pub(crate) fn path_terms(evidence: &Evidence) -> Vec<Hit> {
    hits(evidence.corpus.index.search_field(&evidence.whole, PATH, 0.5))
}

/// The best function of each file for the names in the issue that look like code: in a large file
/// the one function that is meant drowns otherwise.
pub(crate) fn chunks(evidence: &Evidence) -> Vec<Hit> {
    let names = evidence.issue.code.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let mut best = HashMap::<usize, f64>::new();
    for chunk in evidence.corpus.index.search_chunks(&terms::query(&names, "", 0.0)) {
        let entry = best.entry(chunk.file).or_default();
        *entry = entry.max(chunk.score);
    }
    hits(best.into_iter().collect())
}
