//! Past commits in terms of the base tree and of one issue's queries.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use regex::Regex;

use crate::retrieval::PastCommit;
use crate::retrieval::corpus::{Corpus, is_python};
use crate::retrieval::evidence::Queries;
use crate::retrieval::issue::Issue;
use crate::retrieval::terms;

/// Commits with more files than this say nothing about any one of them.
const BULK: usize = 30;

static FIX: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:fix(?:e[sd]|ing)?|bug(?:fix)?|regression|crash|close[sd]?|resolve[sd]?)\b",
    )
    .expect("a constant pattern that the tests use")
});

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:#|/(?:issues|pull|ticket)/|gh-)(\d{2,7})\b")
        .expect("a constant pattern that the tests use")
});

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
    pub(crate) fn of(
        history: &[PastCommit],
        corpus: &Corpus,
        issue: &Issue,
        queries: &Queries,
    ) -> Self {
        let numbers = queries.inflected.keys().enumerate();
        let numbers = numbers.map(|(at, term)| (term.as_str(), at)).collect();
        let mut terms = queries
            .inflected
            .iter()
            .map(|(term, weight)| Term {
                inflected: *weight,
                whole: queries.whole.get(term).copied().unwrap_or_default(),
                title: queries.title.get(term).copied().unwrap_or_default(),
                commits: 0,
            })
            .collect::<Vec<_>>();
        let mut now = HashMap::<&str, usize>::new();
        let newest = history.iter().map(|commit| commit.time).max().unwrap_or(0);
        let python = corpus.files.iter().any(|file| is_python(&file.path));
        let mut commits = Vec::new();
        for commit in history {
            let mut files = Vec::new();
            let mut breadth = 0;
            for file in &commit.files {
                let path = file.path.as_str();
                let place = now.get(path).or_else(|| corpus.by_path.get(path)).copied();
                if let (Some(old), Some(place)) = (&file.old_path, place) {
                    now.insert(old, place);
                }
                if !python || is_python(path) {
                    breadth += 1;
                    files.extend(place);
                }
            }
            if files.is_empty() || breadth > BULK {
                continue;
            }
            let (counts, length) = message_terms(&commit.message, &numbers);
            for (term, _) in &counts {
                terms[*term].commits += 1;
            }
            let age = (newest - commit.time).max(0) as f64 / 86_400.0;
            let subject = commit.message.lines().next().unwrap_or_default();
            let mut named = NUMBER.captures_iter(&commit.message);
            let numbered = !issue.numbers.is_empty()
                && named.any(|n| n[1].parse().is_ok_and(|n| issue.numbers.contains(&n)));
            let fix = FIX.is_match(subject);
            commits.push(Commit { age, files, breadth, counts, length, fix, numbered });
        }
        Self { commits, terms }
    }
}

/// Counts of the wanted terms and of all terms in a message: the subject's twice, trailers left out.
fn message_terms(message: &str, wanted: &HashMap<&str, usize>) -> (Vec<(usize, f64)>, f64) {
    let mut counts = BTreeMap::new();
    let mut length = 0.0;
    for (at, line) in message.lines().enumerate() {
        let trailer = ["Signed-off-by:", "Co-authored-by:", "Reviewed-by:"];
        if trailer.iter().any(|name| line.trim_start().starts_with(name)) {
            continue;
        }
        let times = if at == 0 { 2.0 } else { 1.0 };
        terms::each_term(line, |term| {
            length += times;
            if let Some(term) = wanted.get(term) {
                *counts.entry(*term).or_default() += times;
            }
        });
    }
    (counts.into_iter().collect(), length)
}
