//! From files to scored places.

use crate::artifact::Place;
use crate::retrieval::places::cues::Cues;
use crate::retrieval::places::features::{self, Draft, FEATURES, File, Words};
use crate::retrieval::places::weights::WEIGHTS;
use crate::source;

/// A file whose places are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path from the root, `/` between components.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A block with its description, for the command that fits the weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// The block as a place; its score is that of the present weights.
    pub place: Place,
    /// One number for each of [`FEATURES`].
    pub features: [f64; FEATURES.len()],
}

/// Bytes of text that are read in all: parsing more would take longer than ranking did.
const MOST: usize = 8 << 20;

/// All blocks of each file, in the order of lines. Files that together go beyond 8 MiB have none.
#[must_use]
pub fn describe(issue: &str, files: &[SourceFile]) -> Vec<Vec<Described>> {
    let cues = Cues::read(issue);
    let words = Words::of(&cues);
    let mut read = 0;
    let mut drafts = Vec::with_capacity(files.len());
    for file in files {
        read += file.text.len();
        if read > MOST {
            read -= file.text.len();
            drafts.push(Vec::new());
            continue;
        }
        let module = source::parse(&file.text);
        let blocks = source::blocks(&file.text, &module);
        let file = File { path: &file.path, text: &file.text, module: &module };
        drafts.push(features::drafts(&file, blocks, &words, &cues));
    }
    features::compare(&mut drafts, &words);
    drafts.into_iter().map(|file| file.into_iter().map(described).collect()).collect()
}

fn described(draft: Draft) -> Described {
    let sum = draft.features.iter().zip(WEIGHTS).map(|(value, weight)| value * weight);
    let score = 1.0 / (1.0 + (-sum.sum::<f64>()).exp());
    let (first, last) = draft.block.lines.into_inner();
    let place = Place { name: draft.name, lines: [first, last], score, reasons: draft.reasons };
    Described { place, features: draft.features }
}

/// The places of each file that are most likely to be changed if the file is, best first, at most
/// `limit` a file. A place's score is that probability.
#[must_use]
pub fn places(issue: &str, files: &[SourceFile], limit: usize) -> Vec<Vec<Place>> {
    let best = |described: Vec<Described>| {
        let mut places = described.into_iter().map(|one| one.place).collect::<Vec<_>>();
        places.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.lines.cmp(&b.lines)));
        places.truncate(limit);
        places
    };
    describe(issue, files).into_iter().map(best).collect()
}
