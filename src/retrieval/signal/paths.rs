//! Names of files and folders in the issue's words, whatever the spelling: `FileBasedCache` lives
//! in `filebased.py`, and "sub figures" in `subfigure.py`.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::retrieval::evidence::Evidence;
use crate::retrieval::fuse::Hit;
use crate::retrieval::terms;

/// Stems shorter than this are words of their own everywhere.
const SHORTEST: usize = 4;

/// Letters and digits alone, in lower case, without a plural's s.
fn plain(name: &str) -> String {
    let mut plain = name.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    plain.make_ascii_lowercase();
    if plain.ends_with('s') && !plain.ends_with("ss") && plain.len() > SHORTEST {
        plain.pop();
    }
    plain
}

/// What a text says, in plain spelling: its identifiers and pairs of neighbouring words.
fn said(text: &str, weight: f64, into: &mut BTreeMap<String, f64>) {
    let mut before = String::new();
    let mut end = 0;
    for range in terms::identifiers(text) {
        let beside = text[end..range.start].chars().all(|c| c == ' ' || c == '-');
        end = range.end;
        let word = plain(&text[range]);
        let mut add = |word: String, weight: f64| {
            if word.len() >= SHORTEST {
                let entry = into.entry(word).or_default();
                *entry = entry.max(weight);
            }
        };
        if beside && !before.is_empty() && !word.is_empty() {
            add(format!("{before}{word}"), 0.8 * weight);
        }
        add(word.clone(), weight);
        before = word;
    }
}

/// Files whose stem the issue says: 1 in the title, 0.5 in the rest; as the beginning of a longer
/// name by the share that it is of it. Divided by how many files are called so.
pub(crate) fn stems(evidence: &Evidence) -> Vec<Hit> {
    let mut words = BTreeMap::new();
    said(&evidence.issue.text, 0.5, &mut words);
    said(&evidence.issue.title, 1.0, &mut words);
    let mut namesakes = FxHashMap::<String, Vec<usize>>::default();
    for file in &evidence.corpus.sources {
        let path = evidence.corpus.files[*file].path.as_str();
        let mut parts = path.rsplit('/');
        let name = parts.next().unwrap_or(path);
        let mut stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        if stem == "__init__" {
            stem = parts.next().unwrap_or(stem);
        }
        let stem = plain(stem);
        if stem.len() >= SHORTEST {
            namesakes.entry(stem).or_default().push(*file);
        }
    }
    let mut hits = Vec::new();
    for (stem, files) in namesakes {
        let whole = words.get(&stem).copied().unwrap_or(0.0);
        let longer = words.range(stem.clone()..).take_while(|(word, _)| word.starts_with(&stem));
        let part = longer
            .map(|(word, weight)| weight * (stem.len() as f64 / word.len() as f64).powi(2))
            .fold(0.0, f64::max);
        let score = f64::max(whole, 0.8 * part) / (files.len() as f64).sqrt();
        if score > 0.1 {
            hits.extend(files.into_iter().map(|file| Hit { file, score, note: None }));
        }
    }
    hits
}

/// The best files of the quick fusion in the same folder: siblings of good files.
pub(crate) fn folders(evidence: &Evidence) -> Vec<Hit> {
    let folder = |file: usize| {
        evidence.corpus.files[file].path.rsplit_once('/').map_or("", |(folder, _)| folder)
    };
    let mut best = FxHashMap::<&str, Vec<(usize, f64)>>::default();
    for (file, score) in evidence.quick() {
        let files = best.entry(folder(*file)).or_default();
        if files.len() < 4 {
            files.push((*file, *score));
        }
    }
    let score = |file: &usize| {
        let files = best.get(folder(*file))?;
        let others = files.iter().filter(|(other, _)| other != file).take(3);
        let score = others.map(|(_, score)| score).sum();
        Some(Hit { file: *file, score, note: None })
    };
    evidence.corpus.sources.iter().filter_map(score).collect()
}
