//! Files near to good files in the graph of imports.

use std::collections::BTreeMap;

use crate::retrieval::evidence::Evidence;
use crate::retrieval::fuse::Hit;

/// How many files the walk starts from.
const SEEDS: usize = 30;

/// Personalised propagation over undirected import edges: three steps, half of the mass returning
/// to the seeds each time. Seeds are the best files of a quick fusion.
pub(crate) fn propagation(evidence: &Evidence) -> Vec<Hit> {
    let corpus = evidence.corpus;
    let seeds = &evidence.quick()[..SEEDS.min(evidence.quick().len())];
    let mass = seeds.iter().map(|(_, score)| score).sum::<f64>().max(f64::MIN_POSITIVE);
    let seeds = seeds.iter().map(|(file, score)| (*file, score / mass));
    let seeds = seeds.collect::<BTreeMap<_, _>>();
    let edges = evidence.edges();
    let mut now = seeds.clone();
    for _ in 0..3 {
        let mut next =
            seeds.iter().map(|(file, mass)| (*file, 0.5 * mass)).collect::<BTreeMap<_, _>>();
        for (file, mass) in &now {
            if let Some(targets) = edges.get(file) {
                for target in targets {
                    *next.entry(*target).or_default() += 0.5 * mass / targets.len() as f64;
                }
            }
        }
        now = next;
    }
    let sources = now.into_iter().filter(|(file, _)| corpus.sources.binary_search(file).is_ok());
    sources.map(|(file, score)| Hit { file, score, note: None }).collect()
}

/// Files that good files import.
pub(crate) fn below(evidence: &Evidence) -> Vec<Hit> {
    step(evidence, true)
}

/// Files that import good files.
pub(crate) fn above(evidence: &Evidence) -> Vec<Hit> {
    step(evidence, false)
}

/// One step from the ten best files of a quick fusion, against or along the imports; each shares
/// its score among those that it reaches.
fn step(evidence: &Evidence, down: bool) -> Vec<Hit> {
    let mut scores = BTreeMap::<usize, f64>::new();
    let links = evidence.links();
    let empty = Vec::new();
    for (seed, score) in evidence.quick().iter().take(10) {
        let reached = if down { links.0.get(seed) } else { links.1.get(seed) }.unwrap_or(&empty);
        for file in reached {
            *scores.entry(*file).or_default() += score / (reached.len() as f64).sqrt();
        }
    }
    scores.into_iter().map(|(file, score)| Hit { file, score, note: None }).collect()
}
