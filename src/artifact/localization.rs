//! Which files an issue is about.

use serde::{Deserialize, Serialize};

/// Ranked files of one instance, and what each model sample answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Localization {
    /// Best first, without duplicates.
    pub ranked: Vec<RankedFile>,
    /// One list a model sample, in request order, each most important first and without duplicates.
    pub samples: Vec<Vec<String>>,
}

/// One file with the evidence for its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedFile {
    /// Path from the repository root, `/` between components.
    pub path: String,
    /// Fused score; only the order within one instance is meaningful.
    pub score: f64,
    /// One short text for each list that named the file, such as `bm25 rank 3`.
    pub reasons: Vec<String>,
}
