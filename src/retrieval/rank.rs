//! From files, issue and history to a ranking.

use crate::artifact::RankedFile;
use crate::retrieval::corpus::Corpus;
use crate::retrieval::fuse::{self, Fused};
use crate::retrieval::index::Index;
use crate::retrieval::issue::Issue;
use crate::retrieval::lists::LISTS;
use crate::retrieval::role::Role;
use crate::retrieval::signal::history::Past;
use crate::retrieval::terms::{self, Query};

/// A file that may be ranked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path from the root, `/` between components.
    pub path: String,
    /// Its text; empty for what is no text.
    pub text: String,
}

/// One ancestor of the base commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCommit {
    /// Seconds since 1970 UTC.
    pub time: i64,
    /// The whole message.
    pub message: String,
    /// Files that it changed; empty for merges.
    pub files: Vec<PastFile>,
}

/// One file of a past commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastFile {
    /// Path after the commit.
    pub path: String,
    /// Path before, if the commit moved it.
    pub old_path: Option<String>,
}

/// All that a ranking is made of.
#[derive(Debug, Clone, Copy)]
pub struct RetrievalInput<'a> {
    /// Files of the base commit. Statistics come from these alone.
    pub files: &'a [SourceFile],
    /// Title and body.
    pub issue: &'a str,
    /// Ancestors of the base commit, the newest first; may be empty.
    pub history: &'a [PastCommit],
}

/// What the signals look at.
pub(crate) struct Evidence<'a> {
    pub(crate) issue: Issue,
    pub(crate) corpus: Corpus<'a>,
    /// Over sources.
    pub(crate) index: Index,
    /// Over tests and asides.
    pub(crate) others: Index,
    pub(crate) past: Past,
    /// The whole issue, its title counted more.
    pub(crate) whole: Query,
    /// The title alone.
    pub(crate) title: Query,
}

/// Orders the files by how much they look like what the issue is about, best first, at most
/// `limit`. Sources come before tests, documentation and examples, which are ranked but not
/// dropped; one that the issue names by its path is ranked among the sources.
///
/// Deterministic: equal input gives an equal ranking, whatever the order of `files`.
#[must_use]
pub fn rank(input: RetrievalInput, limit: usize) -> Vec<RankedFile> {
    let mut files = input.files.to_vec();
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    let issue = Issue::read(input.issue);
    let corpus = Corpus::build(&files);
    let title = terms::query(&issue.title, "", 0.0);
    let (index, others, past) = std::thread::scope(|scope| {
        let others = scope.spawn(|| Index::build(&files, &corpus.others, &corpus.parsed));
        let past = scope.spawn(|| Past::of(input.history, &corpus, &title));
        let index = Index::build(&files, &corpus.sources, &corpus.parsed);
        (index, joined(others), joined(past))
    });
    let evidence = Evidence {
        whole: terms::query(&issue.text, &issue.title, 2.0),
        index,
        others,
        past,
        title,
        issue,
        corpus,
    };
    let mut fused = vec![Fused::default(); files.len()];
    for list in LISTS {
        fuse::add(&mut fused, list.name, list.weight, (list.hits)(&evidence));
    }
    let mut order = (0..files.len()).collect::<Vec<_>>();
    let mut aside = vec![0.0; files.len()];
    for (file, score) in evidence.others.search(&evidence.whole) {
        aside[file] = score;
    }
    let class = |file: usize| {
        usize::from(evidence.corpus.roles[file] != Role::Source && fused[file].score == 0.0)
    };
    order.sort_by(|a, b| {
        class(*a)
            .cmp(&class(*b))
            .then(fused[*b].score.total_cmp(&fused[*a].score))
            .then(aside[*b].total_cmp(&aside[*a]))
            .then(a.cmp(b))
    });
    order.truncate(limit);
    order.into_iter().map(|file| shown(&fused[file], &files[file], &evidence, file)).collect()
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn shown(fused: &Fused, file: &SourceFile, evidence: &Evidence, at: usize) -> RankedFile {
    let mut ranked = fused.ranked(&file.path);
    if ranked.reasons.is_empty() {
        ranked.reasons.push(match evidence.corpus.roles[at] {
            Role::Source => "no signal".to_owned(),
            Role::Test => "a test, ranked after sources".to_owned(),
            Role::Aside => "documentation or example, ranked after sources".to_owned(),
        });
    }
    ranked
}

#[cfg(test)]
mod tests;
