//! A block in numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::retrieval::places::cues::{Cues, same_file, squeezed, words_of};
use crate::retrieval::terms;
use crate::source::{Block, BlockKind, Module};

/// What each number is. All lie between 0 and about 1, except `size`, which is the natural
/// logarithm of the block's number of lines that are not blank, plus one.
pub const FEATURES: [&str; 18] = [
    "constant",
    "size",
    "function",
    "class",
    "imports",
    "issue",
    "title",
    "code",
    "rank",
    "share",
    "message",
    "name",
    "name in title",
    "owner named",
    "frame",
    "last frame",
    "linked",
    "quoted",
];

/// A description.
pub(super) type Features = [f64; FEATURES.len()];

/// One block while it is described.
pub(super) struct Draft {
    pub(super) block: Block,
    /// Its definition's qualified name; empty at module level.
    pub(super) name: String,
    pub(super) features: Features,
    /// For people: what spoke for it.
    pub(super) reasons: Vec<String>,
    counts: BTreeMap<usize, u32>,
    length: usize,
}

/// One file while it is described.
pub(super) struct File<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    pub(super) module: &'a Module,
}

/// The words that are searched for, with a weight for each of three queries.
pub(super) struct Words {
    numbers: HashMap<String, usize>,
    weights: [Vec<f64>; 3],
}

impl Words {
    /// The whole issue, its title, its names that look like code.
    pub(super) fn of(cues: &Cues) -> Self {
        let names = cues.issue.code.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let queries = [
            terms::query(&cues.issue.text, &cues.issue.title, 2.0),
            terms::query(&cues.issue.title, "", 0.0),
            terms::query(&names, "", 0.0),
        ];
        let all = queries.iter().flat_map(BTreeMap::keys).cloned().collect::<BTreeSet<_>>();
        let weights = queries
            .map(|query| all.iter().map(|term| query.get(term).copied().unwrap_or(0.0)).collect());
        let numbers = all.into_iter().enumerate().map(|(at, term)| (term, at)).collect();
        Self { numbers, weights }
    }
}

fn at(name: &str) -> usize {
    FEATURES.iter().position(|known| *known == name).expect("a name of the table above")
}

/// The blocks of a file with everything that depends on this file alone.
pub(super) fn drafts(
    file: &File<'_>,
    blocks: Vec<Block>,
    words: &Words,
    cues: &Cues,
) -> Vec<Draft> {
    let lines = file.text.lines().collect::<Vec<_>>();
    let mut drafts = blocks.into_iter().map(|block| draft(file, &lines, block, words)).collect();
    name_matches(file, &mut drafts, cues);
    messages(file, &mut drafts, cues);
    frames(file, &mut drafts, cues);
    links(file, &mut drafts, cues);
    quotes(&lines, &mut drafts, cues);
    drafts
}

fn draft(file: &File<'_>, lines: &[&str], block: Block, words: &Words) -> Draft {
    let own = &lines[block.lines.start() - 1..*block.lines.end()];
    let (mut counts, mut length) = (BTreeMap::new(), 0);
    for line in own {
        terms::each_term(line, |term| {
            length += 1;
            if let Some(word) = words.numbers.get(term) {
                *counts.entry(*word).or_default() += 1;
            }
        });
    }
    let name = block.definition.map_or("", |at| file.module.definitions[at].qualified.as_str());
    let full = own.iter().filter(|line| !line.trim().is_empty()).count();
    let mut features = [0.0; FEATURES.len()];
    features[at("constant")] = 1.0;
    features[at("size")] = ((full + 1) as f64).ln();
    features[at("function")] = f64::from(u8::from(block.kind == BlockKind::Function));
    features[at("class")] = f64::from(u8::from(block.kind == BlockKind::Class));
    let imports = file.module.imports.iter().filter(|i| block.lines.contains(&i.line)).count();
    features[at("imports")] = (imports as f64 / full.max(1) as f64).min(1.0);
    Draft { name: name.to_owned(), block, features, reasons: Vec::new(), counts, length }
}

/// The definition's own name in the issue, alone or after its class's, rarer names counting more.
fn name_matches(file: &File<'_>, drafts: &mut Vec<Draft>, cues: &Cues) {
    let mut bearers = HashMap::<String, usize>::new();
    for definition in &file.module.definitions {
        *bearers.entry(definition.name.clone()).or_default() += 1;
    }
    for draft in drafts {
        let Some(definition) = draft.block.definition.map(|at| &file.module.definitions[at]) else {
            continue;
        };
        let rarity = 1.0 / (bearers[&definition.name].max(1) as f64).sqrt();
        if cues.issue.code.contains(&definition.name) {
            draft.features[at("name")] = rarity;
            draft.reasons.push(format!("the issue names {}", definition.name));
        }
        if cues.title.contains(&definition.name) && definition.name.len() > 2 {
            draft.features[at("name in title")] = rarity;
        }
        let owner = definition.parent.map(|parent| file.module.definitions[parent].name.as_str());
        if let Some(owner) = owner {
            if cues.pairs.contains(&(owner.to_owned(), definition.name.clone())) {
                draft.reasons.push(format!("the issue names {owner}.{}", definition.name));
            }
            if cues.words.contains(owner) {
                draft.features[at("owner named")] = 1.0;
            }
        }
    }
}

/// Runs of words in string literals that stand in the issue too: error messages.
fn messages(file: &File<'_>, drafts: &mut [Draft], cues: &Cues) {
    let starts = line_starts(file.text);
    for range in &file.module.strings {
        let words = words_of(&file.text[range.clone()]);
        let found = words.windows(3).filter(|three| cues.triples.contains(*three)).count();
        if found == 0 {
            continue;
        }
        let line = starts.partition_point(|start| *start <= range.start);
        let holder = drafts.partition_point(|draft| *draft.block.lines.end() < line);
        if let Some(draft) = drafts.get_mut(holder) {
            let message = &mut draft.features[at("message")];
            *message = f64::max(*message, (found as f64 / 4.0).min(1.0));
            let reason = "holds a message of the issue".to_owned();
            if !draft.reasons.contains(&reason) {
                draft.reasons.push(reason);
            }
        }
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn frames(file: &File<'_>, drafts: &mut [Draft], cues: &Cues) {
    let frames = cues.frames.iter().enumerate();
    let here = frames.filter(|(_, frame)| same_file(&frame.path, file.path)).collect::<Vec<_>>();
    for (place, (_, frame)) in here.iter().enumerate() {
        let name = frame.function.as_deref().and_then(|name| name.rsplit('.').next());
        let by_name = |draft: &Draft| {
            name.is_some()
                && draft.name.rsplit('.').next() == name
                && draft.block.definition.is_some()
        };
        let by_line =
            |draft: &Draft| frame.lines.is_some_and(|(l, _)| draft.block.lines.contains(&l));
        let named = drafts.iter().filter(|draft| by_name(draft)).count();
        // The reporter's version has other line numbers; with a name these only choose among equals.
        let chosen = |draft: &Draft| match named {
            0 => by_line(draft),
            1 => by_name(draft),
            _ => by_name(draft) && (by_line(draft) || !drafts_at(drafts, &by_name, &by_line)),
        };
        let hits = (0..drafts.len()).filter(|at| chosen(&drafts[*at])).collect::<Vec<_>>();
        for hit in &hits {
            let share = 1.0 / hits.len() as f64;
            let draft = &mut drafts[*hit];
            draft.features[at("frame")] = draft.features[at("frame")].max(share);
            if place + 1 == here.len() {
                draft.features[at("last frame")] = share;
            }
            draft.reasons.push(format!("in a traceback (line {})", frame.at));
        }
    }
}

/// Whether some block is right by name and by line.
fn drafts_at(
    drafts: &[Draft],
    by_name: &impl Fn(&Draft) -> bool,
    by_line: &impl Fn(&Draft) -> bool,
) -> bool {
    drafts.iter().any(|draft| by_name(draft) && by_line(draft))
}

fn links(file: &File<'_>, drafts: &mut [Draft], cues: &Cues) {
    for link in cues.links.iter().filter(|link| same_file(&link.path, file.path)) {
        let Some((first, last)) = link.lines else { continue };
        for draft in drafts.iter_mut() {
            if *draft.block.lines.start() <= last && first <= *draft.block.lines.end() {
                draft.features[at("linked")] = 1.0;
                draft.reasons.push(format!("linked in the issue (line {})", link.at));
            }
        }
    }
}

/// Lines of the issue that stand in the file, shared among the blocks that have them.
fn quotes(lines: &[&str], drafts: &mut [Draft], cues: &Cues) {
    let mut found = BTreeMap::<String, Vec<usize>>::new();
    for (number, draft) in drafts.iter().enumerate() {
        for line in &lines[draft.block.lines.start() - 1..*draft.block.lines.end()] {
            let line = squeezed(line);
            if cues.quoted.contains_key(&line) {
                found.entry(line).or_default().push(number);
            }
        }
    }
    for (line, blocks) in found {
        for block in &blocks {
            let draft = &mut drafts[*block];
            let quoted = &mut draft.features[at("quoted")];
            *quoted = (*quoted + 1.0 / blocks.len() as f64).min(2.0);
            let reason = format!("quoted in the issue (line {})", cues.quoted[&line]);
            if !draft.reasons.contains(&reason) {
                draft.reasons.push(reason);
            }
        }
    }
}

/// BM25 constants: saturation, and normalisation by length as for any short documents.
const K1: f64 = 1.2;
const B: f64 = 0.4;

/// Fills in what depends on all blocks of all files: BM25 of the three queries, each divided by its
/// best value in the file.
pub(super) fn compare(files: &mut [Vec<Draft>], words: &Words) {
    let all = files.iter().flatten();
    let (mut blocks, mut length, mut df) = (0usize, 0usize, vec![0usize; words.numbers.len()]);
    for draft in all {
        blocks += 1;
        length += draft.length;
        for word in draft.counts.keys() {
            df[*word] += 1;
        }
    }
    let average = (length as f64 / blocks.max(1) as f64).max(1.0);
    let idf = |word: usize| {
        let (n, df) = (blocks as f64, df[word] as f64);
        (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
    };
    for drafts in files.iter_mut() {
        for (weights, feature) in words.weights.iter().zip(["issue", "title", "code"]) {
            for draft in drafts.iter_mut() {
                let norm = K1 * (1.0 - B + B * draft.length as f64 / average);
                let hits = draft.counts.iter().map(|(word, count)| {
                    let count = f64::from(*count);
                    weights[*word] * idf(*word) * count / (norm + count)
                });
                draft.features[at(feature)] = hits.sum();
            }
            let best = drafts.iter().map(|draft| draft.features[at(feature)]).fold(0.0, f64::max);
            for draft in drafts.iter_mut().filter(|_| best > 0.0) {
                draft.features[at(feature)] /= best;
            }
        }
        order(drafts);
    }
}

/// Where each block stands by BM25 of the issue, and what part of the file's sum it has.
fn order(drafts: &mut [Draft]) {
    let score = |draft: &Draft| draft.features[at("issue")];
    let sum = drafts.iter().map(score).sum::<f64>();
    let mut sorted = (0..drafts.len()).filter(|d| score(&drafts[*d]) > 0.0).collect::<Vec<_>>();
    sorted.sort_by(|a, b| score(&drafts[*b]).total_cmp(&score(&drafts[*a])).then(a.cmp(b)));
    for (rank, number) in sorted.into_iter().enumerate() {
        let draft = &mut drafts[number];
        draft.features[at("rank")] = 1.0 / (1.0 + rank as f64);
        draft.features[at("share")] = score(draft) / sum;
        if rank < 3 {
            draft.reasons.push(format!("words of the issue, rank {}", rank + 1));
        }
    }
}
