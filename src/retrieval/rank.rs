//! From files, issue and history to a ranking.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::artifact::RankedFile;
use crate::retrieval::chronicle::History;
use crate::retrieval::corpus::Corpus;
use crate::retrieval::evidence::{Evidence, Queries, Shared};
use crate::retrieval::features::{Table, Votes};
use crate::retrieval::fuse::Placed;
use crate::retrieval::issue::Issue;
use crate::retrieval::lists::{LISTS, PRIORS};
use crate::retrieval::ranker;
use crate::retrieval::role::Role;
use crate::retrieval::signal::past::Past;

/// How the lists become one ranking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scorer {
    /// By the trained trees.
    #[default]
    Trained,
    /// By the sum of the reciprocal ranks of twelve lists.
    EqualWeights,
}

/// How to rank, for comparisons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RankOptions {
    /// Names of lists, or of groups of lists, that are left out; see [`list_names`].
    pub without: Vec<String>,
    /// How the lists become one ranking.
    pub scorer: Scorer,
}

/// Features of one file, as the ranker sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct FileFeatures {
    /// Path from the root.
    pub path: String,
    /// In the order of [`feature_names`](crate::retrieval::feature_names).
    pub values: Vec<f32>,
}

/// What [`RankOptions::without`] may name: groups of lists, and lists.
#[must_use]
pub fn list_names() -> Vec<&'static str> {
    let lists = LISTS.iter().map(|list| (list.group, list.name));
    let priors = PRIORS.iter().map(|prior| (prior.group, prior.name));
    let (groups, names) = lists.chain(priors).unzip::<_, _, Vec<_>, Vec<_>>();
    let groups = groups.into_iter().collect::<BTreeSet<_>>();
    groups.into_iter().chain(names).collect()
}

/// Features of the candidates, in the order of equal weights: what training reads.
#[must_use]
pub fn features(corpus: &Corpus, issue: &str, history: &History) -> Vec<FileFeatures> {
    with_evidence(corpus, issue, history, |evidence| {
        let votes = Votes::of(evidence, &[]);
        let table = Table::of(evidence, &votes, &fused_order(evidence, &votes));
        let path = |file: usize| evidence.corpus.files[file].path.clone();
        let rows = table.files.into_iter().zip(table.rows);
        rows.map(|(file, values)| FileFeatures { path: path(file), values }).collect()
    })
}

/// Orders the files by how much they look like what the issue is about, best first, at most
/// `limit`. Sources come before tests, documentation and examples, which are ranked but not
/// dropped; one that the issue names by its path is ranked among the sources.
///
/// Deterministic: equal input gives an equal ranking, whatever the order of `files`.
#[must_use]
pub fn rank(
    corpus: &Corpus,
    issue: &str,
    history: &History,
    options: &RankOptions,
    limit: usize,
) -> Vec<RankedFile> {
    with_evidence(corpus, issue, history, |evidence| {
        let votes = Votes::of(evidence, &options.without);
        let mut order = fused_order(evidence, &votes);
        let mut scores = votes.fusion.clone();
        if options.scorer == Scorer::Trained {
            let table = Table::of(evidence, &votes, &order);
            let judged = table.files.iter().zip(&table.rows);
            let mut judged =
                judged.map(|(file, row)| (*file, ranker::score(row))).collect::<Vec<_>>();
            // Stable: files of equal score stay in the order of the fusion.
            judged.sort_by(|a, b| b.1.total_cmp(&a.1));
            let lowest = judged.last().map_or(0.0, |(_, score)| *score);
            for score in &mut scores {
                // What is not judged follows, in its order and below every judged file.
                *score = lowest - 1.0 / (1.0 + *score);
            }
            for (file, score) in &judged {
                scores[*file] = *score;
            }
            let first = judged.iter().map(|(file, _)| *file).collect::<Vec<_>>();
            let known = first.iter().copied().collect::<std::collections::HashSet<_>>();
            order.retain(|file| !known.contains(file));
            order.splice(0..0, first);
        }
        order.truncate(limit);
        let reasons = reasons(evidence, &votes, &order);
        let ranked = order.into_iter().zip(reasons).map(|(file, reasons)| RankedFile {
            path: evidence.corpus.files[file].path.clone(),
            score: scores[file],
            reasons,
            places: Vec::new(),
        });
        ranked.collect()
    })
}

pub(crate) fn with_evidence<T>(
    corpus: &Corpus,
    issue: &str,
    history: &History,
    then: impl FnOnce(&Evidence) -> T,
) -> T {
    let issue = Issue::read(issue);
    let queries = Queries::of(&issue);
    let past = Past::of(history, corpus, &issue, &queries);
    let shared = Shared::default();
    then(&Evidence { issue: &issue, queries: &queries, corpus, past, shared })
}

/// All files by equal weights, sources before the others.
fn fused_order(evidence: &Evidence, votes: &Votes) -> Vec<usize> {
    let corpus = evidence.corpus;
    let mut aside = vec![0.0; corpus.files.len()];
    for (file, score) in evidence.tests() {
        aside[*file] = *score;
    }
    let class =
        |file: usize| usize::from(corpus.roles[file] != Role::Source && votes.fusion[file] == 0.0);
    let mut order = (0..corpus.files.len()).collect::<Vec<_>>();
    order.sort_by(|a, b| {
        class(*a)
            .cmp(&class(*b))
            .then(votes.fusion[*b].total_cmp(&votes.fusion[*a]))
            .then(aside[*b].total_cmp(&aside[*a]))
            .then(a.cmp(b))
    });
    order
}

/// One thing that a list says of a file.
struct Reason<'v> {
    /// The clearest first: what can be looked up, then the lists that equal weights fuse, then the
    /// rest.
    class: usize,
    rank: usize,
    list: &'static str,
    note: Option<&'v str>,
}

impl Reason<'_> {
    fn text(&self) -> String {
        let placed = || format!("{} rank {}", self.list, self.rank + 1);
        self.note.map_or_else(placed, str::to_owned)
    }
}

/// Reasons shown of one file.
const REASONS: usize = 12;

/// What the lists say of each of `files`, in their order.
fn reasons(evidence: &Evidence, votes: &Votes, files: &[usize]) -> Vec<Vec<String>> {
    let mut at = vec![usize::MAX; evidence.corpus.files.len()];
    for (place, file) in files.iter().enumerate() {
        at[*file] = place;
    }
    let mut said = files.iter().map(|_| Vec::new()).collect::<Vec<_>>();
    for (list, placed) in LISTS.iter().zip(&votes.lists) {
        for Placed { file, rank, note, .. } in placed {
            let Some(said) = said.get_mut(at[*file]) else { continue };
            let class = match (note, list.fused) {
                (Some(_), _) => 0,
                (None, true) => 1,
                (None, false) => 2,
            };
            said.push(Reason { class, rank: *rank, list: list.name, note: note.as_deref() });
        }
    }
    let shown = files.iter().zip(said).map(|(file, mut said)| {
        // Stable: what is equally strong stays in the order of the table.
        said.sort_by_key(|reason| (reason.class, reason.rank));
        let mut reasons = Vec::<String>::new();
        for reason in said {
            let text = reason.text();
            if !reasons.contains(&text) {
                reasons.push(text);
            }
            if reasons.len() == REASONS {
                break;
            }
        }
        if reasons.is_empty() {
            reasons.push(match evidence.corpus.roles[*file] {
                Role::Source => "no signal".to_owned(),
                Role::Test => "a test, ranked after sources".to_owned(),
                Role::Aside => "documentation or example, ranked after sources".to_owned(),
            });
        }
        reasons
    });
    shown.collect()
}

#[cfg(test)]
mod tests;
