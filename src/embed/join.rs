//! Nearness of files to the issue, and the fusion of that list with retrieval's.

use std::collections::HashMap;

use crate::artifact::RankedFile;
use crate::embed::pieces::Piece;
use crate::retrieval::reciprocal;

/// How near the nearest piece of a file is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Near {
    pub(super) path: String,
    /// Cosine with the nearest piece of the issue, from -1 to 1.
    pub(super) cosine: f64,
    /// Lines of the piece, from 1.
    pub(super) lines: (usize, usize),
}

/// Files by their nearest piece, best first.
pub(super) fn nearest(issue: &[Vec<f32>], pieces: &[Piece], vectors: &[Vec<f32>]) -> Vec<Near> {
    let mut best = HashMap::<&str, Near>::new();
    for (piece, vector) in pieces.iter().zip(vectors) {
        let cosine = issue.iter().map(|own| cosine(own, vector)).fold(-1.0, f64::max);
        let near = Near { path: piece.path.clone(), cosine, lines: piece.lines };
        let known = best.entry(&piece.path).or_insert_with(|| near.clone());
        if cosine > known.cosine {
            *known = near;
        }
    }
    let mut near = best.into_values().collect::<Vec<_>>();
    near.sort_by(|a, b| b.cosine.total_cmp(&a.cosine).then_with(|| a.path.cmp(&b.path)));
    near
}

/// Of vectors of one length; 0 if one of them is nothing but zeros.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
    };
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length > 0.0 { dot(a, b) / length } else { 0.0 }
}

/// `ranked` with the list `near` of this weight beside it.
pub(super) fn join(ranked: Vec<RankedFile>, near: &[Near], weight: f64) -> Vec<RankedFile> {
    // Only the order means something, and whether a score is above 0: the scores stay, in order.
    let mut scores = ranked.iter().map(|file| file.score).collect::<Vec<_>>();
    scores.sort_by(|a, b| b.total_cmp(a));
    let places = near.iter().enumerate().map(|(rank, near)| (near.path.as_str(), (rank, near)));
    let places = places.collect::<HashMap<_, _>>();
    let joined = ranked.into_iter().enumerate().map(|(rank, mut file)| {
        let mut votes = reciprocal(rank);
        if let Some((place, near)) = places.get(file.path.as_str()) {
            votes += weight * reciprocal(*place);
            let (first, last) = near.lines;
            file.reasons.insert(
                0,
                format!(
                    "embeddings rank {} (cosine {:.2}, lines {first}-{last})",
                    place + 1,
                    near.cosine
                ),
            );
        }
        (votes, file)
    });
    let mut joined = joined.collect::<Vec<_>>();
    // Stable: of equal votes, retrieval's better one comes first.
    joined.sort_by(|a, b| b.0.total_cmp(&a.0));
    let files = joined.into_iter().zip(scores);
    files.map(|((_, file), score)| RankedFile { score, ..file }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, score: f64) -> RankedFile {
        RankedFile {
            path: path.into(),
            score,
            reasons: vec!["bm25 rank 1".into()],
            places: Vec::new(),
        }
    }

    fn near(path: &str, cosine: f64) -> Near {
        Near { path: path.into(), cosine, lines: (3, 9) }
    }

    #[test]
    fn the_list_moves_files_and_says_so() {
        let ranked = vec![file("a.py", 2.0), file("b.py", 1.0), file("c.py", -1.0)];
        let joined = join(ranked, &[near("c.py", 0.9), near("a.py", 0.5), near("b.py", 0.1)], 1.0);
        let order = joined.iter().map(|file| (file.path.as_str(), file.score)).collect::<Vec<_>>();
        assert_eq!(order, [("a.py", 2.0), ("c.py", 1.0), ("b.py", -1.0)]);
        assert_eq!(joined[1].reasons[0], "embeddings rank 1 (cosine 0.90, lines 3-9)");
        assert_eq!(joined[1].reasons[1], "bm25 rank 1");
    }

    #[test]
    fn without_weight_nothing_moves() {
        let ranked = vec![file("a.py", 2.0), file("b.py", 1.0)];
        let joined = join(ranked, &[near("b.py", 0.9), near("a.py", 0.5)], 0.0);
        assert_eq!(joined[0].path, "a.py");
    }

    #[test]
    fn the_nearest_piece_counts() {
        let piece = |path: &str, first: usize| Piece {
            path: path.into(),
            lines: (first, first + 1),
            text: String::new(),
            key: [0; 16],
        };
        let issue = [vec![1.0, 0.0], vec![0.0, 1.0]];
        let pieces = [piece("a.py", 1), piece("a.py", 3), piece("b.py", 1)];
        let found = nearest(&issue, &pieces, &[vec![1.0, 1.0], vec![0.0, 2.0], vec![0.0, 0.0]]);
        assert_eq!((found[0].path.as_str(), found[0].lines), ("a.py", (3, 4)));
        assert!((found[0].cosine - 1.0).abs() < 1e-9 && found[1].cosine == 0.0);
    }
}
