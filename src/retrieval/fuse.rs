//! Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009), with ties and weights.

use crate::artifact::RankedFile;

/// What one signal says of one file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hit {
    /// Position of the file in the corpus.
    pub(crate) file: usize,
    /// Larger is better; zero and less is no hit.
    pub(crate) score: f64,
    /// Evidence to show in place of the rank.
    pub(crate) note: Option<String>,
}

/// Small, because the lists are precise at the top: 5 beat 10, 20 and 40 on the development rows.
const K: f64 = 5.0;

/// Fused score and reasons of one file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fused {
    pub(crate) score: f64,
    pub(crate) reasons: Vec<String>,
}

/// Adds one list to the fusion: each hit `weight * (K + 1) / (K + 1 + rank)` with ranks from 0,
/// ties sharing the best. Hits are ordered by score, then by path as `files` orders them.
pub(crate) fn add(into: &mut [Fused], name: &str, weight: f64, hits: Vec<Hit>) {
    let mut hits = hits.into_iter().filter(|hit| hit.score > 0.0).collect::<Vec<_>>();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.file.cmp(&b.file)));
    let mut rank = 0;
    let mut best = f64::INFINITY;
    for (at, hit) in hits.into_iter().enumerate() {
        if hit.score < best {
            rank = at;
            best = hit.score;
        }
        let fused = &mut into[hit.file];
        fused.score += weight * (K + 1.0) / (K + 1.0 + rank as f64);
        fused.reasons.push(hit.note.unwrap_or_else(|| format!("{name} rank {}", rank + 1)));
    }
}

impl Fused {
    /// The artifact's form.
    pub(crate) fn ranked(&self, path: &str) -> RankedFile {
        RankedFile {
            path: path.to_owned(),
            score: self.score,
            reasons: self.reasons.clone(),
            places: Vec::new(),
        }
    }
}
