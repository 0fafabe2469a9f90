//! What past commits with similar messages changed. Messages speak the language of issues, which
//! source text often does not.

use std::collections::{BTreeMap, HashMap};

use crate::retrieval::chronicle::History;
use crate::retrieval::corpus::{Corpus, is_python};
use crate::retrieval::fuse::Hit;
use crate::retrieval::index::idf;
use crate::retrieval::rank::Evidence;
use crate::retrieval::role::Role;
use crate::retrieval::terms::Query;

/// Commits with more files than this say nothing about any one of them.
const BULK: usize = 30;

/// Days in which a commit's vote falls to 1/e.
const DECAY_DAYS: f64 = 1500.0;

/// Past commits in terms of the base tree.
pub(crate) struct Past {
    commits: Vec<Commit>,
    /// Weight of each term of the title, and how many commits have it.
    terms: Vec<(f64, usize)>,
}

struct Commit {
    /// Days before the base commit.
    age: f64,
    /// Positions of sources and tests that it changed and that still exist.
    files: Vec<usize>,
    /// Files that it changed in all.
    breadth: usize,
    /// How often the message holds each term of the title, by the term's number there.
    counts: Vec<(usize, f64)>,
    /// Terms of the message in all.
    length: f64,
}

impl Past {
    /// Maps old paths to the files of the corpus by the moves on the way.
    pub(crate) fn of(history: &History, corpus: &Corpus, title: &Query) -> Self {
        let chronicle = &*history.chronicle;
        // By number of the word, its place among the wanted ones.
        let mut wanted = HashMap::new();
        let mut terms = Vec::new();
        for (term, weight) in title {
            if let Some(word) = chronicle.word(term) {
                wanted.insert(word, terms.len());
                terms.push((*weight, 0));
            }
        }
        let mut places = chronicle
            .paths
            .iter()
            .map(|path| corpus.by_path.get(path).copied())
            .collect::<Vec<_>>();
        let records = history.ancestors.iter().map(|at| &chronicle.commits[*at as usize]);
        let newest = records.clone().map(|commit| commit.time).max().unwrap_or(0);
        let python = corpus.files.iter().any(|file| is_python(&file.path));
        let counted = chronicle.paths.iter().map(|path| !python || is_python(path));
        let counted = counted.collect::<Vec<_>>();
        let mut commits = Vec::new();
        for commit in records {
            let mut files = Vec::new();
            let mut breadth = 0;
            for (path, old) in &commit.files {
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
            let counts = commit.words.iter().filter_map(|(word, count)| {
                wanted.get(word).map(|term| (*term, f64::from(*count)))
            });
            let counts = counts.collect::<Vec<_>>();
            for (term, _) in &counts {
                terms[*term].1 += 1;
            }
            let age = (newest - commit.time).max(0) as f64 / 86_400.0;
            let length = f64::from(commit.length);
            commits.push(Commit { age, files, breadth, counts, length });
        }
        Self { commits, terms }
    }
}

fn hits(scores: BTreeMap<usize, f64>) -> Vec<Hit> {
    scores.into_iter().map(|(file, score)| Hit { file, score, note: None }).collect()
}

fn is_source(evidence: &Evidence, file: usize) -> bool {
    evidence.corpus.roles[file] == Role::Source
}

/// The 200 commits whose messages are most like the title vote for the files that they changed:
/// `(s / smax)^3 * exp(-age / 1500 days) / sqrt(files)`.
pub(crate) fn votes(evidence: &Evidence) -> Vec<Hit> {
    let past = &evidence.past;
    let total = past.commits.len();
    let length = past.commits.iter().map(|commit| commit.length).sum::<f64>();
    let average = (length / total.max(1) as f64).max(1.0);
    let mut scored = Vec::new();
    for (at, commit) in past.commits.iter().enumerate() {
        let norm = 1.2 * (0.25 + 0.75 * commit.length / average);
        let mut score = 0.0;
        for (term, count) in &commit.counts {
            let (weight, with_term) = past.terms[*term];
            score += weight * idf(total, with_term) * count / (norm + count);
        }
        if score > 0.0 {
            scored.push((score, at));
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.truncate(200);
    let most = scored.first().map_or(1.0, |(score, _)| *score);
    let mut scores = BTreeMap::new();
    for (score, at) in scored {
        let commit = &past.commits[at];
        let vote = (score / most).powi(3) * (-commit.age / DECAY_DAYS).exp()
            / (commit.breadth as f64).sqrt();
        for file in commit.files.iter().filter(|file| is_source(evidence, **file)) {
            *scores.entry(*file).or_default() += vote;
        }
    }
    hits(scores)
}

/// All messages that ever concerned a file as one document: BM25 (k1 1.5, b 0.6) of the title,
/// each message's terms divided by the root of its number of files.
pub(crate) fn messages(evidence: &Evidence) -> Vec<Hit> {
    let mut documents = BTreeMap::<usize, (f64, BTreeMap<usize, f64>)>::new();
    for commit in &evidence.past.commits {
        let share = 1.0 / (commit.breadth as f64).sqrt();
        for file in commit.files.iter().filter(|file| is_source(evidence, **file)) {
            let document = documents.entry(*file).or_default();
            document.0 += commit.length * share;
            for (term, count) in &commit.counts {
                *document.1.entry(*term).or_default() += count * share;
            }
        }
    }
    let total = documents.len();
    let average = documents.values().map(|(length, _)| length).sum::<f64>() / total.max(1) as f64;
    let mut with_term = vec![0; evidence.past.terms.len()];
    for term in documents.values().flat_map(|(_, counts)| counts.keys()) {
        with_term[*term] += 1;
    }
    let score = |(length, counts): &(f64, BTreeMap<usize, f64>)| {
        let norm = 1.5 * (0.4 + 0.6 * length / average.max(f64::MIN_POSITIVE));
        let part = |(term, count): (&usize, &f64)| {
            evidence.past.terms[*term].0 * idf(total, with_term[*term]) * count / (norm + count)
        };
        counts.iter().map(part).sum::<f64>()
    };
    hits(documents.iter().map(|(file, document)| (*file, score(document))).collect())
}

/// Sources that were changed together with the 20 test files that look most like the issue,
/// decayed by age and divided by the root of how often they change at all.
pub(crate) fn test_bridge(evidence: &Evidence) -> Vec<Hit> {
    let mut tests = evidence.corpus.others.search(&evidence.whole);
    tests.retain(|(file, _)| evidence.corpus.roles[*file] == Role::Test);
    tests.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    tests.truncate(20);
    let most = tests.first().map_or(1.0, |(_, score)| *score);
    let tests = tests.into_iter().map(|(file, score)| (file, score / most));
    let tests = tests.collect::<HashMap<_, _>>();
    let mut scores = BTreeMap::<usize, f64>::new();
    let mut churn = HashMap::<usize, f64>::new();
    for commit in &evidence.past.commits {
        let like = commit.files.iter().filter_map(|file| tests.get(file)).copied();
        let like = like.fold(0.0, f64::max);
        for file in commit.files.iter().filter(|file| is_source(evidence, **file)) {
            *churn.entry(*file).or_default() += 1.0;
            if like > 0.0 {
                *scores.entry(*file).or_default() += like * (-commit.age / DECAY_DAYS).exp();
            }
        }
    }
    for (file, score) in &mut scores {
        *score /= (churn[file] + 3.0).sqrt();
    }
    hits(scores)
}
