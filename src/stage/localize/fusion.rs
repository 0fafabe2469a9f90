//! One ranking out of retrieval's and the model's answers.

use std::collections::BTreeMap;

use crate::artifact::RankedFile;
use crate::stage::localize::answer::{Named, Rule};

/// Constant of reciprocal rank fusion, as in retrieval.
const K: f64 = 5.0;

fn reciprocal(rank: usize) -> f64 {
    (K + 1.0) / (K + 1.0 + rank as f64)
}

/// What the answers say of one file.
struct Votes {
    score: f64,
    samples: usize,
    best: usize,
    rule: Rule,
}

/// Fuses retrieval's ranking (empty when it has no say) with the answers of samples that answered,
/// each in its own order. A file's score is its reciprocal rank in retrieval plus the mean of its
/// reciprocal ranks over the answers: all answers together weigh as much as retrieval.
pub(crate) fn fuse(retrieved: &[RankedFile], answers: &[Vec<Named>]) -> Vec<RankedFile> {
    let votes = count(answers);
    let answered = answers.len();
    let mut ranked = Vec::new();
    for (rank, file) in retrieved.iter().enumerate() {
        let mut reasons = Vec::new();
        // An answer alone orders as it is; a rank among the retrieved is only said where two meet.
        let mut score = if votes.is_empty() { file.score } else { reciprocal(rank) };
        if let Some(votes) = votes.get(file.path.as_str()) {
            score += votes.score;
            reasons.push(votes.reason(answered));
        }
        if !votes.is_empty() {
            reasons.push(format!("retrieval rank {}", rank + 1));
        }
        reasons.extend(file.reasons.iter().cloned());
        ranked.push(RankedFile { score, reasons, ..file.clone() });
    }
    for (path, votes) in &votes {
        if !retrieved.iter().any(|file| file.path == *path) {
            let reasons = vec![votes.reason(answered)];
            ranked.push(RankedFile {
                path: (*path).to_owned(),
                score: votes.score,
                reasons,
                places: Vec::new(),
            });
        }
    }
    // Stable: of equal scores, retrieval's better one comes first.
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    if votes.is_empty() { retrieved.to_vec() } else { ranked }
}

fn count(answers: &[Vec<Named>]) -> BTreeMap<&str, Votes> {
    let mut votes = BTreeMap::<&str, Votes>::new();
    for answer in answers {
        for (rank, named) in answer.iter().enumerate() {
            let entry = votes.entry(&named.path).or_insert(Votes {
                score: 0.0,
                samples: 0,
                best: rank,
                rule: named.rule,
            });
            entry.score += reciprocal(rank) / answers.len() as f64;
            entry.samples += 1;
            entry.best = entry.best.min(rank);
            entry.rule = entry.rule.min(named.rule);
        }
    }
    votes
}

impl Votes {
    fn reason(&self, answered: usize) -> String {
        let Self { samples, best, rule, .. } = self;
        let best = best + 1;
        let how = rule.name();
        format!("named by {samples} of {answered} answers, best place {best} ({how})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> RankedFile {
        RankedFile {
            path: path.into(),
            score: 0.0,
            reasons: vec!["bm25 rank 1".into()],
            places: Vec::new(),
        }
    }

    fn named(paths: &[&str]) -> Vec<Named> {
        let named = paths.iter().map(|path| Named { path: (*path).into(), rule: Rule::Exact });
        named.collect()
    }

    fn order(ranked: &[RankedFile]) -> Vec<&str> {
        ranked.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn agreement_beats_either_side_alone() {
        let retrieved = [file("r.py"), file("both.py"), file("x.py")];
        let answers = [named(&["m.py", "both.py"]), named(&["both.py"])];
        let ranked = fuse(&retrieved, &answers);
        assert_eq!(order(&ranked), ["both.py", "r.py", "x.py", "m.py"]);
        assert_eq!(ranked[0].reasons[0], "named by 2 of 2 answers, best place 1 (exact path)");
        assert_eq!(ranked[0].reasons[1], "retrieval rank 2");
        let alone = fuse(&[], &answers);
        assert_eq!(order(&alone), ["both.py", "m.py"]);
        // No answer at all leaves retrieval as it is, scores and reasons included.
        assert_eq!(fuse(&retrieved, &[]), retrieved);
        assert_eq!(fuse(&retrieved, &[Vec::new()]), retrieved);
    }
}
