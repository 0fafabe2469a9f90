//! Names that look like code in the issue, and the files that define them.

use std::collections::{BTreeSet, HashMap};

use crate::retrieval::fuse::Hit;
use crate::retrieval::rank::Evidence;

/// For each file the rarest name of the issue that it defines: `ln(1 + files / files defining it)`.
pub(crate) fn rarest(evidence: &Evidence) -> Vec<Hit> {
    let wanted = &evidence.issue.code;
    let mut places = HashMap::<&str, BTreeSet<usize>>::new();
    for file in &evidence.corpus.sources {
        let Some(module) = &evidence.corpus.parsed[*file] else { continue };
        let definitions = module.definitions.iter().map(|definition| &definition.name);
        let variables = module.variables.iter().map(|variable| &variable.name);
        for name in definitions.chain(variables) {
            // Every class has them; naming one says nothing about where.
            if wanted.contains(name) && !(name.starts_with("__") && name.ends_with("__")) {
                places.entry(name).or_default().insert(*file);
            }
        }
    }
    let total = evidence.corpus.sources.len() as f64;
    let mut best = HashMap::<usize, (f64, &str)>::new();
    for (name, files) in places {
        let score = (1.0 + total / files.len() as f64).ln();
        for file in files {
            let entry = best.entry(file).or_insert((score, name));
            if score > entry.0 || (score == entry.0 && name < entry.1) {
                *entry = (score, name);
            }
        }
    }
    let hit = |(file, (score, name))| Hit { file, score, note: Some(format!("defines {name}")) };
    best.into_iter().map(hit).collect()
}
