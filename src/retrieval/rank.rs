//! From files, issue and history to a ranking.

use crate::artifact::RankedFile;
use crate::retrieval::chronicle::History;
use crate::retrieval::corpus::{Corpus, CorpusFile};
use crate::retrieval::fuse::{self, Fused};
use crate::retrieval::issue::Issue;
use crate::retrieval::lists::LISTS;
use crate::retrieval::role::Role;
use crate::retrieval::signal::history::Past;
use crate::retrieval::terms::{self, Query};

/// What the signals look at.
pub(crate) struct Evidence<'a> {
    pub(crate) issue: Issue,
    pub(crate) corpus: &'a Corpus,
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
pub fn rank(corpus: &Corpus, issue: &str, history: &History, limit: usize) -> Vec<RankedFile> {
    let issue = Issue::read(issue);
    let title = terms::query(&issue.title, "", 0.0);
    let past = Past::of(history, corpus, &title);
    let evidence = Evidence {
        whole: terms::query(&issue.text, &issue.title, 2.0),
        past,
        title,
        issue,
        corpus,
    };
    let files = &corpus.files;
    let mut fused = vec![Fused::default(); files.len()];
    for list in LISTS {
        fuse::add(&mut fused, list.name, list.weight, (list.hits)(&evidence));
    }
    let mut order = (0..files.len()).collect::<Vec<_>>();
    let mut aside = vec![0.0; files.len()];
    for (file, score) in corpus.others.search(&evidence.whole) {
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

fn shown(fused: &Fused, file: &CorpusFile, evidence: &Evidence, at: usize) -> RankedFile {
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
