//! Files near to good files in the graph of imports.

use std::collections::BTreeMap;

use crate::retrieval::fuse::{self, Fused, Hit};
use crate::retrieval::rank::Evidence;
use crate::retrieval::signal::{definitions, history, lexical};

/// How many files the walk starts from.
const SEEDS: usize = 30;

/// Personalised propagation over undirected import edges: three steps, half of the mass returning
/// to the seeds each time. Seeds are the best files of a quick fusion of four lists.
pub(crate) fn propagation(evidence: &Evidence) -> Vec<Hit> {
    let corpus = &evidence.corpus;
    let mut quick = vec![Fused::default(); corpus.files.len()];
    for list in [lexical::issue, lexical::title, definitions::rarest, history::votes] {
        fuse::add(&mut quick, "", 1.0, list(evidence));
    }
    let mut seeds = corpus.sources.iter().map(|file| (*file, quick[*file].score));
    let mut seeds = seeds.by_ref().filter(|(_, score)| *score > 0.0).collect::<Vec<_>>();
    seeds.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    seeds.truncate(SEEDS);
    let mass = seeds.iter().map(|(_, score)| score).sum::<f64>().max(f64::MIN_POSITIVE);
    let seeds = seeds.into_iter().map(|(file, score)| (file, score / mass));
    let seeds = seeds.collect::<BTreeMap<_, _>>();

    let mut edges = BTreeMap::<usize, Vec<usize>>::new();
    for file in &corpus.sources {
        for target in corpus.modules.edges(*file, &corpus.parsed) {
            edges.entry(*file).or_default().push(target);
            edges.entry(target).or_default().push(*file);
        }
    }
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
