//! Dividing an edit into search and replacement: at its one divider line, or, where the text itself
//! has such lines, at the one that makes the search text fit the file.

use std::cmp::Reverse;

use crate::patch::answer::RawEdit;
use crate::patch::lines::TextFile;
use crate::patch::matching::{Located, Placement, Rule, locate};

/// Possible divisions of one edit that are tried.
const MAX_DIVIDERS: usize = 32;

/// One way to divide an edit into search and replacement.
#[derive(Clone)]
pub(crate) struct Split<'a> {
    pub(crate) search: Vec<&'a str>,
    pub(crate) replace: Vec<&'a str>,
    pub(crate) elided: bool,
}

/// What the possible divisions of an edit lead to.
pub(crate) enum Choice<'s, 'a> {
    Found { split: &'s Split<'a>, places: Vec<Placement> },
    Several { rule: Rule, count: usize },
    Nowhere,
}

/// Elided or not, rule, length of the search text: the least is the best.
type Rank = (bool, Rule, Reverse<usize>);

/// The division whose search text is found by the strictest rule; among several of them the one
/// with the longest search text, since a long text is not found by accident.
pub(crate) fn choose<'s, 'a>(
    file: &TextFile,
    splits: &'s [Split<'a>],
    all: bool,
) -> Choice<'s, 'a> {
    let mut best: Option<(Rank, Choice<'s, 'a>)> = None;
    for split in splits {
        if is_blank(&split.search) {
            continue;
        }
        let (rule, choice) = match locate(file, &split.search) {
            Located::One(place) => (place.rule, Choice::Found { split, places: vec![place] }),
            Located::Several { rule, places, .. } if all && rule == Rule::Exact => {
                (rule, Choice::Found { split, places })
            }
            Located::Several { rule, count, .. } => (rule, Choice::Several { rule, count }),
            Located::Nowhere => continue,
        };
        let rank = (split.elided, rule, Reverse(split.search.len()));
        if best.as_ref().is_none_or(|(known, _)| rank < *known) {
            best = Some((rank, choice));
        }
    }
    best.map_or(Choice::Nowhere, |(_, choice)| choice)
}

/// The ways to divide an edit: at each divider, then the same without elision lines.
pub(crate) fn splits<'a>(edit: &RawEdit<'a>) -> Vec<Split<'a>> {
    let mut splits: Vec<Split<'a>> = edit
        .dividers
        .iter()
        .take(MAX_DIVIDERS)
        .map(|&at| {
            let search = edit.body[..at].to_vec();
            let replace = edit.body[at + 1..].to_vec();
            Split { search, replace: without_lone_blank(replace), elided: false }
        })
        .collect();
    let elided: Vec<Split<'a>> = splits.iter().filter_map(Split::without_elisions).collect();
    splits.extend(elided);
    splits
}

impl Split<'_> {
    /// Drops `...` lines at the borders of the search text, and of the replacement where it has
    /// the same ones.
    fn without_elisions(&self) -> Option<Self> {
        let (mut search, mut replace) = (self.search.as_slice(), self.replace.as_slice());
        let mut dropped = false;
        while let [first, rest @ ..] = search
            && is_elision(first)
        {
            search = rest;
            dropped = true;
            if let [same, rest @ ..] = replace
                && is_elision(same)
            {
                replace = rest;
            }
        }
        while let [rest @ .., last] = search
            && is_elision(last)
        {
            search = rest;
            dropped = true;
            if let [rest @ .., same] = replace
                && is_elision(same)
            {
                replace = rest;
            }
        }
        (dropped && !is_blank(search)).then(|| Self {
            search: search.to_vec(),
            replace: replace.to_vec(),
            elided: true,
        })
    }
}

fn is_elision(line: &str) -> bool {
    let bare = line.trim().trim_start_matches('#').trim_start_matches("//").trim();
    bare == "..."
        || bare == "…"
        || (bare.len() > 6 && bare.starts_with("...") && bare.ends_with("..."))
}

pub(crate) fn is_blank(lines: &[&str]) -> bool {
    lines.iter().all(|line| line.trim().is_empty())
}

/// A replacement of one blank line means the same as an empty one.
fn without_lone_blank(replace: Vec<&str>) -> Vec<&str> {
    match replace.as_slice() {
        [only] if only.trim().is_empty() => Vec::new(),
        _ => replace,
    }
}
