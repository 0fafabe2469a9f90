//! Reciprocal ranks (Cormack, Clarke and Büttcher, 2009): what makes lists of different scores
//! comparable.

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

/// A hit with its place in its list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    /// Position of the file in the corpus.
    pub(crate) file: usize,
    /// Score divided by the list's best.
    pub(crate) share: f64,
    /// From 0, ties sharing the best.
    pub(crate) rank: usize,
    /// Evidence to show in place of the rank.
    pub(crate) note: Option<String>,
}

/// Small, because the lists are precise at the top: 5 beat 10, 20 and 40 on the development rows.
const K: f64 = 5.0;

/// What a rank counts: 1 for the first, falling slowly.
pub(crate) fn reciprocal(rank: usize) -> f64 {
    (K + 1.0) / (K + 1.0 + rank as f64)
}

/// Orders hits by score, then by path as the corpus orders them.
pub(crate) fn place(mut hits: Vec<Hit>) -> Vec<Placed> {
    hits.retain(|hit| hit.score > 0.0);
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.file.cmp(&b.file)));
    let most = hits.first().map_or(1.0, |hit| hit.score);
    let (mut rank, mut best) = (0, f64::INFINITY);
    let placed = |(at, hit): (usize, Hit)| {
        if hit.score < best {
            (rank, best) = (at, hit.score);
        }
        Placed { file: hit.file, share: hit.score / most, rank, note: hit.note }
    };
    hits.into_iter().enumerate().map(placed).collect()
}
