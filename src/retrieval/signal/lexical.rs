//! Words of the issue in files, in their fields, and in their functions.

use std::collections::BTreeMap;

use crate::retrieval::evidence::Evidence;
use crate::retrieval::fuse::Hit;
use crate::retrieval::index::ChunkHit;
use crate::retrieval::phrases;
use crate::retrieval::schema::{DEFINITIONS, DOCS, LINES, PATH, PHRASES, STRINGS};

fn hits(scores: &[(usize, f64)]) -> Vec<Hit> {
    scores.iter().map(|(file, score)| Hit { file: *file, score: *score, note: None }).collect()
}

/// BM25F of the whole issue, its title weighted.
pub(crate) fn issue(evidence: &Evidence) -> Vec<Hit> {
    hits(evidence.whole())
}

/// BM25F of the title alone.
pub(crate) fn title(evidence: &Evidence) -> Vec<Hit> {
    hits(evidence.title())
}

/// BM25F of the names that look like code.
pub(crate) fn names(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search(&evidence.queries.names))
}

/// BM25F of what is neither code nor traceback.
pub(crate) fn prose(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search(&evidence.queries.prose))
}

/// BM25F of the title and the first lines of prose.
pub(crate) fn lead(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search(&evidence.queries.lead))
}

/// BM25F of the whole issue and other forms of its words.
pub(crate) fn inflected(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search(&evidence.queries.inflected))
}

/// BM25F of the title and other forms of its words.
pub(crate) fn inflected_title(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search(&evidence.queries.inflected_title))
}

/// BM25 of the whole issue and other forms of its words over paths.
pub(crate) fn path_inflected(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(&evidence.queries.inflected, PATH, 0.5))
}

/// BM25F of code blocks.
pub(crate) fn program(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search(&evidence.queries.program))
}

/// BM25F of messages of errors.
pub(crate) fn errors(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search(&evidence.queries.errors))
}

/// BM25 of the whole issue over paths.
pub(crate) fn path_terms(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(&evidence.queries.whole, PATH, 0.5))
}

/// BM25 of the title over paths.
pub(crate) fn path_title(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(&evidence.queries.title, PATH, 0.5))
}

/// BM25 of the names that look like code over paths.
pub(crate) fn path_names(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(&evidence.queries.names, PATH, 0.5))
}

/// BM25 of the title over names of definitions.
pub(crate) fn definitions_title(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(&evidence.queries.title, DEFINITIONS, 0.4))
}

/// BM25 of the whole issue over names of definitions.
pub(crate) fn definitions_whole(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(&evidence.queries.whole, DEFINITIONS, 0.4))
}

/// BM25 of the title over docstrings and comments.
pub(crate) fn docs_title(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(&evidence.queries.title, DOCS, 0.75))
}

/// BM25 of the whole issue over docstrings and comments.
pub(crate) fn docs_whole(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(&evidence.queries.whole, DOCS, 0.75))
}

/// BM25 of messages of errors over string literals.
pub(crate) fn errors_strings(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(&evidence.queries.errors, STRINGS, 0.75))
}

/// Runs of three words of the issue in string literals: what the program printed.
pub(crate) fn messages(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(&phrases::wanted(&evidence.issue.text), PHRASES, 0.3))
}

/// Lines of the issue that are lines of the file.
pub(crate) fn lines(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.corpus.index.search_field(
        &phrases::wanted_lines(&evidence.issue.text),
        LINES,
        0.0,
    ))
}

/// The sum of the `best` best chunks of each file, and in the note the best function.
fn by_file(evidence: &Evidence, chunks: &[ChunkHit], best: usize) -> Vec<Hit> {
    let mut files = BTreeMap::<usize, Vec<&ChunkHit>>::new();
    for chunk in chunks {
        files.entry(chunk.file).or_default().push(chunk);
    }
    let hit = |(file, mut chunks): (usize, Vec<&ChunkHit>)| {
        chunks.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.function.cmp(&b.function)));
        let score = chunks.iter().take(best).map(|chunk| chunk.score).sum();
        Hit { file, score, note: None }
    };
    let _ = evidence;
    files.into_iter().map(hit).collect()
}

/// The best function of each file for the names in the issue that look like code.
pub(crate) fn chunk_names(evidence: &Evidence) -> Vec<Hit> {
    by_file(evidence, &evidence.corpus.index.search_chunks(&evidence.queries.names), 1)
}

/// The best function of each file for the title.
pub(crate) fn chunk_title(evidence: &Evidence) -> Vec<Hit> {
    by_file(evidence, &evidence.corpus.index.search_chunks(&evidence.queries.title), 1)
}

/// The best function of each file for the whole issue.
pub(crate) fn chunk_whole(evidence: &Evidence) -> Vec<Hit> {
    by_file(evidence, evidence.chunks_whole(), 1)
}

/// The three best functions of each file for the whole issue and other forms of its words.
pub(crate) fn chunk_inflected(evidence: &Evidence) -> Vec<Hit> {
    by_file(evidence, &evidence.corpus.index.search_chunks(&evidence.queries.inflected), 3)
}

/// The three best functions of each file for the whole issue.
pub(crate) fn chunk_three(evidence: &Evidence) -> Vec<Hit> {
    by_file(evidence, evidence.chunks_whole(), 3)
}
