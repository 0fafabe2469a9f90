//! Everything that signals search for in the sources, found in one go.

use crate::retrieval::evidence::Queries;
use crate::retrieval::index::{ChunkHit, Index};
use crate::retrieval::pass::{Found, Search};
use crate::retrieval::phrases;
use crate::retrieval::schema::{DEFINITIONS, DOCS, LINES, PATH, PHRASES, STRINGS};

/// BM25F over all fields, by query.
#[derive(Default)]
pub(crate) struct Everywhere {
    pub(crate) whole: Found,
    pub(crate) title: Found,
    pub(crate) lead: Found,
    pub(crate) inflected: Found,
    pub(crate) inflected_title: Found,
    pub(crate) names: Found,
    pub(crate) prose: Found,
    pub(crate) program: Found,
    pub(crate) errors: Found,
}

/// What the sources answer.
#[derive(Default)]
pub(crate) struct Searches {
    pub(crate) everywhere: Everywhere,
    /// Paths, by the whole issue, the same inflected, its title, its names.
    pub(crate) paths: [Found; 4],
    /// Names of definitions, by the whole issue and its title.
    pub(crate) definitions: [Found; 2],
    /// Docstrings and comments, by the whole issue and its title.
    pub(crate) docs: [Found; 2],
    /// String literals by messages of errors.
    pub(crate) strings: Found,
    /// Runs of words in string literals.
    pub(crate) phrases: Found,
    /// Lines of code.
    pub(crate) lines: Found,
    /// Functions, by the whole issue, the same inflected, its title, its names.
    pub(crate) chunks: [Vec<ChunkHit>; 4],
}

impl Searches {
    pub(crate) fn of(index: &Index, queries: &Queries, text: &str) -> Self {
        let q = queries;
        let (runs, lines) = (phrases::wanted(text), phrases::wanted_lines(text));
        let everywhere = vec![
            &q.whole,
            &q.title,
            &q.lead,
            &q.inflected,
            &q.inflected_title,
            &q.names,
            &q.prose,
            &q.program,
            &q.errors,
        ];
        let searches = [
            Search::all_fields(everywhere),
            Search::field(PATH, 0.5, vec![&q.whole, &q.inflected, &q.title, &q.names]),
            Search::field(DEFINITIONS, 0.4, vec![&q.whole, &q.title]),
            Search::field(DOCS, 0.75, vec![&q.whole, &q.title]),
            Search::field(STRINGS, 0.75, vec![&q.errors]),
            Search::field(PHRASES, 0.3, vec![&runs]),
            Search::field(LINES, 0.0, vec![&lines]),
        ];
        let asked = [&q.whole, &q.inflected, &q.title, &q.names];
        let answers = index.ask(&searches, &asked);
        let mut found = answers.files.into_iter().map(Vec::into_iter);
        let mut group = || found.next().into_iter().flatten();
        let (mut all, mut paths) = (group(), group());
        let (mut definitions, mut docs) = (group(), group());
        let (mut strings, mut phrases, mut lines) = (group(), group(), group());
        let mut next = || all.next().unwrap_or_default();
        let everywhere = Everywhere {
            whole: next(),
            title: next(),
            lead: next(),
            inflected: next(),
            inflected_title: next(),
            names: next(),
            prose: next(),
            program: next(),
            errors: next(),
        };
        let mut chunks = answers.chunks.into_iter();
        Self {
            everywhere,
            paths: std::array::from_fn(|_| paths.next().unwrap_or_default()),
            definitions: std::array::from_fn(|_| definitions.next().unwrap_or_default()),
            docs: std::array::from_fn(|_| docs.next().unwrap_or_default()),
            strings: strings.next().unwrap_or_default(),
            phrases: phrases.next().unwrap_or_default(),
            lines: lines.next().unwrap_or_default(),
            chunks: std::array::from_fn(|_| chunks.next().unwrap_or_default()),
        }
    }
}
