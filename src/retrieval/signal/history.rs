//! What past commits with similar messages changed. Messages speak the language of issues, which
//! source text often does not.

use std::collections::{BTreeMap, HashMap};

use crate::retrieval::evidence::Evidence;
use crate::retrieval::fuse::Hit;
use crate::retrieval::index::idf;
use crate::retrieval::role::Role;
use crate::retrieval::signal::past::{Commit, Past, Term};

/// Days in which a commit's vote falls to 1/e.
const DECAY_DAYS: f64 = 1500.0;

/// Commits that vote.
const VOTERS: usize = 200;

/// Test files that a bridge starts from.
const TESTS: usize = 20;

fn hits(scores: BTreeMap<usize, f64>) -> Vec<Hit> {
    scores.into_iter().map(|(file, score)| Hit { file, score, note: None }).collect()
}

fn sources<'e>(evidence: &'e Evidence, commit: &'e Commit) -> impl Iterator<Item = usize> + 'e {
    commit.files.iter().copied().filter(|file| evidence.corpus.roles[*file] == Role::Source)
}

fn decay(commit: &Commit) -> f64 {
    (-commit.age / DECAY_DAYS).exp()
}

/// The commits whose messages are most like the query, with their share of the best score: BM25
/// with k1 1.2 and b 0.75.
fn similar(past: &Past, weight: fn(&Term) -> f64) -> Vec<(&Commit, f64)> {
    let total = past.commits.len();
    let length = past.commits.iter().map(|commit| commit.length).sum::<f64>();
    let average = (length / total.max(1) as f64).max(1.0);
    let weights = past.terms.iter().map(|term| weight(term) * idf(total, term.commits));
    let weights = weights.collect::<Vec<_>>();
    let mut scored = Vec::new();
    for (at, commit) in past.commits.iter().enumerate() {
        let norm = 1.2 * (0.25 + 0.75 * commit.length / average);
        let part = |(term, count): &(usize, f64)| weights[*term] * count / (norm + count);
        let score = commit.counts.iter().map(part).sum::<f64>();
        if score > 0.0 {
            scored.push((score, at));
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.truncate(VOTERS);
    let most = scored.first().map_or(1.0, |(score, _)| *score);
    scored.into_iter().map(|(score, at)| (&past.commits[at], score / most)).collect()
}

/// The 200 commits whose messages are most like the title vote for the files that they changed:
/// `(s / smax)^3 * exp(-age / 1500 days) / sqrt(files)`.
fn voted(evidence: &Evidence, weight: fn(&Term) -> f64, power: i32) -> Vec<Hit> {
    let mut scores = BTreeMap::new();
    for (commit, like) in similar(&evidence.past, weight) {
        let vote = like.powi(power) * decay(commit) / (commit.breadth as f64).sqrt();
        for file in sources(evidence, commit) {
            *scores.entry(file).or_default() += vote;
        }
    }
    hits(scores)
}

/// Votes by the title.
pub(crate) fn votes(evidence: &Evidence) -> Vec<Hit> {
    voted(evidence, |term| term.title, 3)
}

/// Votes by the whole issue.
pub(crate) fn votes_whole(evidence: &Evidence) -> Vec<Hit> {
    voted(evidence, |term| term.whole, 3)
}

/// Votes by the whole issue and other forms of its words.
pub(crate) fn votes_inflected(evidence: &Evidence) -> Vec<Hit> {
    voted(evidence, |term| term.inflected, 3)
}

/// The one most similar message, by the title, of each file.
pub(crate) fn best_message(evidence: &Evidence) -> Vec<Hit> {
    let mut scores = BTreeMap::<usize, f64>::new();
    for (commit, like) in similar(&evidence.past, |term| term.title) {
        for file in sources(evidence, commit) {
            let entry = scores.entry(file).or_default();
            *entry = entry.max(like / (commit.breadth as f64).sqrt());
        }
    }
    hits(scores)
}

/// All messages that ever concerned a file as one document, each message's terms divided by the root
/// of its number of files.
pub(crate) struct Documents {
    all: Vec<Document>,
    /// Documents that have each term.
    with_term: Vec<usize>,
    average: f64,
}

struct Document {
    file: usize,
    length: f64,
    /// Terms with their counts.
    counts: Vec<(usize, f64)>,
}

impl Documents {
    pub(crate) fn of(evidence: &Evidence) -> Self {
        let commits = &evidence.past.commits;
        let mut of_files = vec![Vec::new(); evidence.corpus.files.len()];
        for (at, commit) in commits.iter().enumerate() {
            for file in sources(evidence, commit) {
                of_files[file].push(at);
            }
        }
        let mut with_term = vec![0; evidence.past.terms.len()];
        let mut sums = vec![0.0; with_term.len()];
        let mut all = Vec::new();
        for (file, own) in of_files.iter().enumerate().filter(|(_, own)| !own.is_empty()) {
            let mut length = 0.0;
            let mut terms = Vec::new();
            for at in own {
                let commit = &commits[*at];
                let share = 1.0 / (commit.breadth as f64).sqrt();
                length += commit.length * share;
                for (term, count) in &commit.counts {
                    if sums[*term] == 0.0 {
                        terms.push(*term);
                    }
                    sums[*term] += count * share;
                }
            }
            terms.sort_unstable();
            let counts = terms.into_iter().map(|term| {
                with_term[term] += 1;
                (term, std::mem::take(&mut sums[term]))
            });
            all.push(Document { file, length, counts: counts.collect() });
        }
        let lengths = all.iter().map(|document| document.length).sum::<f64>();
        let average = (lengths / all.len().max(1) as f64).max(f64::MIN_POSITIVE);
        Self { all, with_term, average }
    }

    /// BM25 (k1 1.5, b 0.6).
    fn ranked(&self, terms: &[Term], weight: fn(&Term) -> f64) -> Vec<Hit> {
        let weights = terms.iter().zip(&self.with_term);
        let weights = weights.map(|(term, with)| weight(term) * idf(self.all.len(), *with));
        let weights = weights.collect::<Vec<_>>();
        let hit = |document: &Document| {
            let norm = 1.5 * (0.4 + 0.6 * document.length / self.average);
            let part = |(term, count): &(usize, f64)| weights[*term] * count / (norm + count);
            let score = document.counts.iter().map(part).sum();
            Hit { file: document.file, score, note: None }
        };
        self.all.iter().map(hit).collect()
    }
}

fn documents(evidence: &Evidence, weight: fn(&Term) -> f64) -> Vec<Hit> {
    evidence.documents().ranked(&evidence.past.terms, weight)
}

/// Messages by the title.
pub(crate) fn messages(evidence: &Evidence) -> Vec<Hit> {
    documents(evidence, |term| term.title)
}

/// Messages by the whole issue.
pub(crate) fn messages_whole(evidence: &Evidence) -> Vec<Hit> {
    documents(evidence, |term| term.whole)
}

/// Messages by the whole issue and other forms of its words.
pub(crate) fn messages_inflected(evidence: &Evidence) -> Vec<Hit> {
    documents(evidence, |term| term.inflected)
}

/// Files of commits that refer to an issue that this one refers to.
pub(crate) fn numbers(evidence: &Evidence) -> Vec<Hit> {
    let mut scores = BTreeMap::<usize, f64>::new();
    for commit in evidence.past.commits.iter().filter(|commit| commit.numbered) {
        for file in sources(evidence, commit) {
            *scores.entry(file).or_default() += 1.0 / commit.breadth as f64;
        }
    }
    hits(scores)
}

/// Test files that look most like the issue, with their share of the best score.
fn fitting_tests(evidence: &Evidence) -> Vec<(usize, f64)> {
    let mut tests = evidence.tests().to_vec();
    tests.retain(|(file, _)| evidence.corpus.roles[*file] == Role::Test);
    tests.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    tests.truncate(TESTS);
    let most = tests.first().map_or(1.0, |(_, score)| *score);
    tests.into_iter().map(|(file, score)| (file, score / most)).collect()
}

/// Sources that were changed together with the 20 test files that look most like the issue,
/// decayed by age and divided by the root of how often they change at all.
pub(crate) fn test_bridge(evidence: &Evidence) -> Vec<Hit> {
    let tests = fitting_tests(evidence).into_iter().collect::<HashMap<_, _>>();
    let mut scores = BTreeMap::<usize, f64>::new();
    let mut churn = HashMap::<usize, f64>::new();
    for commit in &evidence.past.commits {
        let like = commit.files.iter().filter_map(|file| tests.get(file)).copied();
        let like = like.fold(0.0, f64::max);
        for file in sources(evidence, commit) {
            *churn.entry(file).or_default() += 1.0;
            if like > 0.0 {
                *scores.entry(file).or_default() += like * decay(commit);
            }
        }
    }
    for (file, score) in &mut scores {
        *score /= (churn[file] + 3.0).sqrt();
    }
    hits(scores)
}

/// Sources called like a test file that looks like the issue: `test_x.py` or a folder `x_tests`
/// beside `x.py`. Divided by how many are called so.
pub(crate) fn test_names(evidence: &Evidence) -> Vec<Hit> {
    let mut scores = BTreeMap::<usize, f64>::new();
    for (test, like) in fitting_tests(evidence) {
        let path = evidence.corpus.files[test].path.as_str();
        let mut names = path.rsplit('/').take(2).map(|name| {
            let name = name.strip_suffix(".py").unwrap_or(name);
            let name = name.strip_prefix("test_").unwrap_or(name);
            let name = name.strip_suffix("_tests").or(name.strip_suffix("_test")).unwrap_or(name);
            format!("{name}.py")
        });
        let found = names.find_map(|name| {
            let source = |file: &&usize| evidence.corpus.roles[**file] == Role::Source;
            let files = evidence.corpus.named(&name).iter().filter(source).copied();
            let files = files.collect::<Vec<_>>();
            (!files.is_empty()).then_some(files)
        });
        let files = found.unwrap_or_default();
        for file in &files {
            *scores.entry(*file).or_default() += like * like / files.len() as f64;
        }
    }
    hits(scores)
}

/// How often each file was changed by commits that speak of a fix, decayed by age: files that broke
/// break again.
pub(crate) fn fixes(evidence: &Evidence) -> Vec<Hit> {
    churned(evidence, |commit| if commit.fix { decay(commit) } else { 0.0 })
}

/// How often each file was changed, decayed fast: what is being worked on.
pub(crate) fn recent(evidence: &Evidence) -> Vec<Hit> {
    churned(evidence, |commit| (-commit.age / 180.0).exp())
}

fn churned(evidence: &Evidence, weight: fn(&Commit) -> f64) -> Vec<Hit> {
    let mut scores = BTreeMap::<usize, f64>::new();
    for commit in &evidence.past.commits {
        let weight = weight(commit) / (commit.breadth as f64).sqrt();
        for file in sources(evidence, commit) {
            *scores.entry(file).or_default() += weight;
        }
    }
    hits(scores)
}

/// Files that were changed together with good files: the best ten of a quick fusion share their
/// weight among the files of their commits.
pub(crate) fn together(evidence: &Evidence) -> Vec<Hit> {
    let seeds = evidence.quick().iter().take(10).copied().collect::<HashMap<_, _>>();
    let mut scores = BTreeMap::<usize, f64>::new();
    let mut churn = HashMap::<usize, f64>::new();
    for commit in evidence.past.commits.iter().filter(|commit| commit.breadth <= 8) {
        let files = sources(evidence, commit).collect::<Vec<_>>();
        for file in &files {
            *churn.entry(*file).or_default() += 1.0;
            for other in &files {
                if let Some(seed) = seeds.get(other).filter(|_| other != file) {
                    *scores.entry(*file).or_default() +=
                        seed * decay(commit) / (commit.breadth as f64 - 1.0).max(1.0);
                }
            }
        }
    }
    for (file, score) in &mut scores {
        *score /= (churn[file] + 3.0).sqrt();
    }
    hits(scores)
}
