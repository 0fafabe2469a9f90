//! Past commits in terms of the base tree and of one issue's queries.

use crate::retrieval::chronicle::History;
use crate::retrieval::corpus::{Corpus, is_python};
use crate::retrieval::evidence::Queries;
use crate::retrieval::issue::Issue;

/// Commits with more files than this say nothing about any one of them.
const BULK: usize = 30;

/// No term of the issue.
const NONE: u32 = u32::MAX;

/// Past commits that changed something that still exists, the newest first.
pub(crate) struct Past {
    pub(crate) commits: Vec<Commit>,
    /// The terms that messages are searched for, by the numbers that commits use.
    pub(crate) terms: Vec<Term>,
}

/// A term of the issue.
pub(crate) struct Term {
    /// Its weight in the whole issue.
    pub(crate) whole: f64,
    /// Its weight in the title; zero if it is not there.
    pub(crate) title: f64,
    /// Its weight in the whole issue with other forms of its words.
    pub(crate) inflected: f64,
    /// How many commits have it.
    pub(crate) commits: usize,
}

/// One commit.
pub(crate) struct Commit {
    /// Days before the base commit.
    pub(crate) age: f64,
    /// Positions of sources and tests that it changed and that still exist.
    pub(crate) files: Vec<usize>,
    /// Files that it changed in all.
    pub(crate) breadth: usize,
    /// How often the message holds each term, by the term's number.
    pub(crate) counts: Vec<(usize, f64)>,
    /// Terms of the message in all.
    pub(crate) length: f64,
    /// Whether the subject speaks of a fix.
    pub(crate) fix: bool,
    /// Whether it refers to an issue that this issue refers to.
    pub(crate) numbered: bool,
}

impl Past {
    /// Maps old paths to the files of the corpus by the moves on the way.
    pub(crate) fn of(history: &History, corpus: &Corpus, issue: &Issue, queries: &Queries) -> Self {
        let chronicle = &*history.chronicle;
        let mut terms = Vec::new();
        // By number of the word in the chronicle, its place among `terms`.
        let mut wanted = vec![NONE; chronicle.size().1];
        for (term, weight) in &queries.inflected {
            if let Some(word) = chronicle.word(term) {
                wanted[word as usize] = terms.len() as u32;
                terms.push(Term {
                    inflected: *weight,
                    whole: queries.whole.get(term).copied().unwrap_or_default(),
                    title: queries.title.get(term).copied().unwrap_or_default(),
                    commits: 0,
                });
            }
        }
        let places = chronicle.paths.iter().map(|path| corpus.by_path.get(path).copied());
        let mut places = places.collect::<Vec<_>>();
        let python = corpus.files.iter().any(|file| is_python(&file.path));
        let counted = chronicle.paths.iter().map(|path| !python || is_python(path));
        let counted = counted.collect::<Vec<_>>();
        let records = history.ancestors.iter().map(|at| &chronicle.commits[*at as usize]);
        let newest = records.clone().map(|commit| commit.time).max().unwrap_or(0);
        let mut commits = Vec::new();
        for record in records {
            let mut files = Vec::new();
            let mut breadth = 0;
            for (path, old) in &record.files {
                let place = places[*path as usize];
                if let (Some(old), Some(place)) = (old, place) {
                    places[*old as usize] = Some(place);
                }
                if counted[*path as usize] {
                    breadth += 1;
                    files.extend(place);
                }
            }
            if files.is_empty() || breadth > BULK {
                continue;
            }
            let counts = record.words.iter().filter_map(|(word, count)| {
                let term = wanted[*word as usize];
                (term != NONE).then(|| (term as usize, f64::from(*count)))
            });
            let counts = counts.collect::<Vec<_>>();
            for (term, _) in &counts {
                terms[*term].commits += 1;
            }
            commits.push(Commit {
                age: newest.saturating_sub(record.time).max(0) as f64 / 86_400.0,
                files,
                breadth,
                counts,
                length: f64::from(record.length),
                fix: record.fix,
                numbered: record
                    .numbers
                    .iter()
                    .any(|number| issue.numbers.contains(&u64::from(*number))),
            });
        }
        Self { commits, terms }
    }
}
