//! Words of the issue in files, in their fields, and in their functions.

use crate::retrieval::evidence::Evidence;
use crate::retrieval::fuse::Hit;
use crate::retrieval::index::ChunkHit;

fn hits(scores: &[(usize, f64)]) -> Vec<Hit> {
    scores.iter().map(|(file, score)| Hit { file: *file, score: *score, note: None }).collect()
}

/// BM25F of the whole issue, its title weighted.
pub(crate) fn issue(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().everywhere.whole)
}

/// BM25F of the title alone.
pub(crate) fn title(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().everywhere.title)
}

/// BM25F of the names that look like code.
pub(crate) fn names(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().everywhere.names)
}

/// BM25F of what is neither code nor traceback.
pub(crate) fn prose(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().everywhere.prose)
}

/// BM25F of the title and the first lines of prose.
pub(crate) fn lead(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().everywhere.lead)
}

/// BM25F of the whole issue and other forms of its words.
pub(crate) fn inflected(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().everywhere.inflected)
}

/// BM25F of the title and other forms of its words.
pub(crate) fn inflected_title(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().everywhere.inflected_title)
}

/// BM25 of the whole issue and other forms of its words over paths.
pub(crate) fn path_inflected(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().paths[1])
}

/// BM25F of code blocks.
pub(crate) fn program(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().everywhere.program)
}

/// BM25F of messages of errors.
pub(crate) fn errors(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().everywhere.errors)
}

/// BM25 of the whole issue over paths.
pub(crate) fn path_terms(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().paths[0])
}

/// BM25 of the title over paths.
pub(crate) fn path_title(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().paths[2])
}

/// BM25 of the names that look like code over paths.
pub(crate) fn path_names(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().paths[3])
}

/// BM25 of the title over names of definitions.
pub(crate) fn definitions_title(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().definitions[1])
}

/// BM25 of the whole issue over names of definitions.
pub(crate) fn definitions_whole(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().definitions[0])
}

/// BM25 of the title over docstrings and comments.
pub(crate) fn docs_title(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().docs[1])
}

/// BM25 of the whole issue over docstrings and comments.
pub(crate) fn docs_whole(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().docs[0])
}

/// BM25 of messages of errors over string literals.
pub(crate) fn errors_strings(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().strings)
}

/// Runs of three words of the issue in string literals: what the program printed.
pub(crate) fn messages(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().phrases)
}

/// Lines of the issue that are lines of the file.
pub(crate) fn lines(evidence: &Evidence) -> Vec<Hit> {
    hits(&evidence.searches().lines)
}

/// The sum of the chunks of each file, each by its score and its place among them.
fn by_file(chunks: &[ChunkHit], weight: fn(usize) -> f64) -> Vec<Hit> {
    let mut scores = Vec::new();
    let hit = |chunks: &[ChunkHit]| {
        scores.clear();
        scores.extend(chunks.iter().map(|chunk| chunk.score));
        scores.sort_by(|a, b| b.total_cmp(a));
        let weighed = scores.iter().enumerate().map(|(place, score)| weight(place) * score);
        Hit { file: chunks[0].file, score: weighed.sum(), note: None }
    };
    // They come ordered by file.
    chunks.chunk_by(|a, b| a.file == b.file).map(hit).collect()
}

fn best(place: usize) -> f64 {
    f64::from(u8::from(place == 0))
}

fn three(place: usize) -> f64 {
    f64::from(u8::from(place < 3))
}

/// The ten best functions of each file for the names in the issue that look like code, the second
/// counting half, the third a third and so on: 45 against 38 @1 for the best alone.
pub(crate) fn chunk_names(evidence: &Evidence) -> Vec<Hit> {
    by_file(
        &evidence.searches().chunks[3],
        |place| {
            if place < 10 { 1.0 / (place + 1) as f64 } else { 0.0 }
        },
    )
}

/// The best function of each file for the title.
pub(crate) fn chunk_title(evidence: &Evidence) -> Vec<Hit> {
    by_file(&evidence.searches().chunks[2], best)
}

/// The best function of each file for the whole issue.
pub(crate) fn chunk_whole(evidence: &Evidence) -> Vec<Hit> {
    by_file(&evidence.searches().chunks[0], best)
}

/// The three best functions of each file for the whole issue and other forms of its words.
pub(crate) fn chunk_inflected(evidence: &Evidence) -> Vec<Hit> {
    by_file(&evidence.searches().chunks[1], three)
}

/// The three best functions of each file for the whole issue.
pub(crate) fn chunk_three(evidence: &Evidence) -> Vec<Hit> {
    by_file(&evidence.searches().chunks[0], three)
}
