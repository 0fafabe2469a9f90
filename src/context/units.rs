//! What can be shown of a file apart from the rest, and what each part is worth.

use std::collections::HashSet;
use std::ops::Range;

use crate::artifact::Place;
use crate::context::ContextFile;
use crate::source::{self, DefinitionKind, Module};

/// Some lines (numbered from 0) that are shown together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unit {
    pub(super) lines: Range<usize>,
    /// Headers of the classes around it, which are shown with it.
    pub(super) headers: Vec<Range<usize>>,
    /// Expected share of the lines that a fix changes in this file; 1 over all units together.
    pub(super) share: f64,
}

/// A file in parts.
pub(super) struct Parts<'a> {
    pub(super) path: &'a str,
    pub(super) lines: Vec<&'a str>,
    pub(super) units: Vec<Unit>,
    /// For each function its first lines up to the colon, with the headers of the classes around.
    pub(super) signatures: Vec<Unit>,
    /// Tokens of one byte of this file.
    pub(super) density: f64,
}

/// Probability that a fix changes a block of a changed file that no place names: the rate in the
/// lowest row of the calibration table in `evaluation/localization/README.md`.
const UNNAMED: f64 = 0.002;

/// Longest signature.
const SIGNATURE: usize = 8;

impl<'a> Parts<'a> {
    /// Divides a file into blocks, those above `most` tokens once more.
    pub(super) fn of(
        file: &'a ContextFile,
        issue: &str,
        most: usize,
        count: &dyn Fn(&str) -> usize,
    ) -> Self {
        // As `str::lines` counts them, but with carriage returns left in place.
        let text = file.text.strip_suffix('\n').unwrap_or(&file.text);
        let lines = if file.text.is_empty() { Vec::new() } else { text.split('\n').collect() };
        let module = source::parse(&file.text);
        let density = count(&file.text).max(1) as f64 / (file.text.len() + 1) as f64;
        let wanted = identifiers(issue).filter(|word| word.len() > 3).collect();
        let mut units = Vec::new();
        for block in source::blocks(&file.text, &module) {
            let whole = block.lines.start() - 1..*block.lines.end();
            let headers = block.definition.map_or(Vec::new(), |at| headers(at, &module, &lines));
            let chance = if file.places.is_empty() {
                by_words(&lines[whole.clone()], &wanted)
            } else {
                by_places(&whole, &file.places)
            };
            for lines in pieces(&whole, &lines, density, most) {
                let share = chance * lines.len() as f64 / whole.len() as f64;
                units.push(Unit { lines, headers: headers.clone(), share });
            }
        }
        let sum = units.iter().map(|unit| unit.share).sum::<f64>();
        units.iter_mut().for_each(|unit| unit.share /= sum);
        let signatures = signatures(&module, &lines);
        Self { path: &file.path, lines, units, signatures, density }
    }

    /// About how many tokens these lines take.
    pub(super) fn tokens(&self, lines: impl Iterator<Item = usize>) -> f64 {
        lines.map(|line| (self.lines[line].len() + 1) as f64 * self.density).sum()
    }
}

/// As if places were independent; of a place that is only partly here, a part counts.
fn by_places(lines: &Range<usize>, places: &[Place]) -> f64 {
    let mut none = 1.0 - UNNAMED;
    for place in places {
        let [first, last] = place.lines;
        let (start, end) = (first.saturating_sub(1).max(lines.start), last.min(lines.end));
        if start < end {
            let part = (end - start) as f64 / (last + 1 - first) as f64;
            none *= 1.0 - (place.score.clamp(0.0, 1.0) * part);
        }
    }
    1.0 - none
}

/// Without places: by the identifiers that a block shares with the issue.
fn by_words(lines: &[&str], wanted: &HashSet<&str>) -> f64 {
    let hits = lines.iter().flat_map(|line| identifiers(line)).filter(|word| wanted.contains(word));
    let hits = hits.collect::<HashSet<_>>().len() as f64;
    UNNAMED + hits * hits
}

/// Consecutive parts of at most about `most` tokens; a single line is never divided.
fn pieces(whole: &Range<usize>, lines: &[&str], density: f64, most: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let (mut start, mut tokens) = (whole.start, 0.0);
    for line in whole.clone() {
        let own = (lines[line].len() + 1) as f64 * density;
        if tokens > 0.0 && tokens + own > most as f64 {
            pieces.push(start..line);
            (start, tokens) = (line, 0.0);
        }
        tokens += own;
    }
    pieces.push(start..whole.end);
    pieces
}

/// Header lines of the classes around a definition, and of the function itself where only a later
/// part of it may be shown.
fn headers(definition: usize, module: &Module, lines: &[&str]) -> Vec<Range<usize>> {
    let mut headers = vec![header(definition, module, lines)];
    let mut at = module.definitions[definition].parent;
    while let Some(parent) = at {
        headers.push(header(parent, module, lines));
        at = module.definitions[parent].parent;
    }
    headers
}

/// From the `class` or `def` line to the one that ends in a colon.
fn header(definition: usize, module: &Module, lines: &[&str]) -> Range<usize> {
    let definition = &module.definitions[definition];
    let end = (*definition.lines.end()).min(lines.len());
    let start = definition.lines.start().saturating_sub(1).min(end);
    let keyword = |line: &&usize| {
        let text = lines[**line].trim_start();
        ["class ", "def ", "async "].iter().any(|word| text.starts_with(word))
    };
    let all = (start..end).collect::<Vec<_>>();
    let first = all.iter().find(keyword).copied().unwrap_or(start);
    let last = (first..end.min(first + SIGNATURE)).find(|line| {
        let code = lines[*line].split(" #").next().unwrap_or_default();
        code.trim_end().ends_with(':')
    });
    first..last.unwrap_or(first).saturating_add(1).min(end)
}

fn signatures(module: &Module, lines: &[&str]) -> Vec<Unit> {
    let outermost = |definition: &&usize| {
        let definition = &module.definitions[**definition];
        definition.kind != DefinitionKind::Class
            && definition
                .parent
                .is_none_or(|parent| module.definitions[parent].kind == DefinitionKind::Class)
    };
    let all = (0..module.definitions.len()).collect::<Vec<_>>();
    let unit = |definition: &usize| {
        let mut headers = headers(*definition, module, lines);
        let lines = headers.remove(0);
        Unit { lines, headers, share: 0.0 }
    };
    all.iter().filter(outermost).map(unit).collect()
}

fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| {
        word.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
    })
}
