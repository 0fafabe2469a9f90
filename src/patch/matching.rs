//! Where an edit's search text lies in a file: a ladder of rules, from exact to fuzzy, each of them
//! over whole lines and each accepted only if it finds one place.
//!
//! Costs are bounded: every rule but the last two is linear in file and search text, and those two
//! stop at a work budget and then find nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::patch::lines::TextFile;

/// The rules, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// The same lines.
    Exact,
    /// The same lines but for blanks at their ends.
    TrailingBlanks,
    /// The same lines, all indented by the same amount more or less.
    Reindented,
    /// The same lines once blank lines are left out of both; indentation may shift as before.
    BlankLines,
    /// Nearly the same lines: see [`FUZZY_MEAN`].
    Fuzzy,
}

impl Rule {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::TrailingBlanks => "trailing_blanks",
            Self::Reindented => "reindented",
            Self::BlankLines => "blank_lines",
            Self::Fuzzy => "fuzzy",
        }
    }
}

/// What must happen to an answer's indentation to fit the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shift {
    Keep,
    Add(String),
    Remove(String),
}

/// One place where a search text lies.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub(crate) rule: Rule,
    /// Lines of the file that the edit replaces.
    pub(crate) range: Range<usize>,
    /// For each search line the line of the file that it stands for.
    pub(crate) lines: Vec<Option<usize>>,
    pub(crate) shift: Shift,
}

/// What the ladder found.
#[derive(Debug)]
pub(crate) enum Located {
    One(Placement),
    /// The first rule that matched did so at `count` places; those that do not overlap.
    Several {
        rule: Rule,
        count: usize,
        places: Vec<Placement>,
    },
    Nowhere,
}

/// What one rule found.
struct Found {
    /// How many places there are, overlapping ones included.
    count: usize,
    /// Places that do not overlap, in the file's order.
    places: Vec<Placement>,
}

impl From<Vec<Placement>> for Found {
    fn from(places: Vec<Placement>) -> Self {
        Self { count: places.len(), places }
    }
}

/// A fuzzy place must be this similar on average, weighted by line length, ...
pub(crate) const FUZZY_MEAN: f64 = 0.92;
/// ... in each line, ...
pub(crate) const FUZZY_LINE: f64 = 0.6;
/// ... and be this much better than the next best place.
pub(crate) const FUZZY_LEAD: f64 = 0.05;
/// Fewer lines than this say too little to be matched by likeness.
pub(crate) const FUZZY_MIN_LINES: usize = 3;
/// Lines verified by the shifted rules, and character pairs compared by the fuzzy one.
const SHIFT_BUDGET: usize = 4_000_000;
const FUZZY_BUDGET: usize = 20_000_000;

/// Finds `search` (lines without ends, not all blank) in `file`.
pub(crate) fn locate(file: &TextFile, search: &[&str]) -> Located {
    let view = View::new(file, search);
    let rungs: [Rung<'_>; 5] =
        [View::exact, View::trailing_blanks, View::reindented, View::blank_lines, View::fuzzy];
    for rung in rungs {
        let Found { count, mut places } = rung(&view);
        match count {
            0 => {}
            1 => return places.pop().map_or(Located::Nowhere, Located::One),
            _ => {
                let rule = places.first().map_or(Rule::Fuzzy, |place| place.rule);
                return Located::Several { rule, count, places };
            }
        }
    }
    Located::Nowhere
}

type Rung<'a> = fn(&View<'a>) -> Found;

/// File and search text as comparable lines.
struct View<'a> {
    hay: Vec<Cow<'a, str>>,
    needle: Vec<Cow<'a, str>>,
    /// Indices of the lines that are not blank.
    hay_full: Vec<usize>,
    needle_full: Vec<usize>,
}

impl<'a> View<'a> {
    fn new(file: &'a TextFile, search: &[&'a str]) -> Self {
        let hay: Vec<_> = (0..file.lines.len()).map(|index| file.key(index)).collect();
        let needle: Vec<_> = search.iter().map(|line| file.needle(line)).collect();
        let hay_full = full(&hay);
        let needle_full = full(&needle);
        Self { hay, needle, hay_full, needle_full }
    }

    fn exact(&self) -> Found {
        let starts = occurrences(&self.hay, &self.needle);
        self.blocks(Rule::Exact, &starts)
    }

    fn trailing_blanks(&self) -> Found {
        let hay: Vec<&str> = self.hay.iter().map(|line| line.trim_end()).collect();
        let needle: Vec<&str> = self.needle.iter().map(|line| line.trim_end()).collect();
        self.blocks(Rule::TrailingBlanks, &occurrences(&hay, &needle))
    }

    fn blocks(&self, rule: Rule, starts: &[usize]) -> Found {
        let len = self.needle.len();
        let mut free = 0;
        let mut places = Vec::new();
        for &start in starts {
            if start >= free {
                free = start + len;
                places.push(Placement {
                    rule,
                    range: start..free,
                    lines: (start..free).map(Some).collect(),
                    shift: Shift::Keep,
                });
            }
        }
        Found { count: starts.len(), places }
    }

    fn reindented(&self) -> Found {
        let hay: Vec<&str> = self.hay.iter().map(|line| line.trim()).collect();
        let needle: Vec<&str> = self.needle.iter().map(|line| line.trim()).collect();
        let starts = occurrences(&hay, &needle);
        let all: Vec<usize> = (0..self.needle.len()).collect();
        self.shifted(Rule::Reindented, &starts, &all, |start, k| start + k)
    }

    fn blank_lines(&self) -> Found {
        let hay: Vec<&str> = self.hay_full.iter().map(|&i| self.hay[i].trim()).collect();
        let needle: Vec<&str> = self.needle_full.iter().map(|&i| self.needle[i].trim()).collect();
        let starts = occurrences(&hay, &needle);
        self.shifted(Rule::BlankLines, &starts, &self.needle_full, |start, k| {
            self.hay_full[start + k]
        })
    }

    /// Keeps those starts at which all lines are indented by one and the same shift.
    fn shifted(
        &self,
        rule: Rule,
        starts: &[usize],
        needle_lines: &[usize],
        hay_line: impl Fn(usize, usize) -> usize,
    ) -> Found {
        if starts.len().saturating_mul(needle_lines.len()) > SHIFT_BUDGET {
            return Found::from(Vec::new());
        }
        let mut found = Vec::new();
        for &start in starts {
            let pairs =
                needle_lines.iter().enumerate().map(|(k, &line)| (line, hay_line(start, k)));
            let Some(shift) = self.common_shift(pairs.clone()) else { continue };
            found.push(self.placement(rule, pairs, shift));
        }
        Found::from(found)
    }

    fn placement(
        &self,
        rule: Rule,
        pairs: impl Iterator<Item = (usize, usize)>,
        shift: Shift,
    ) -> Placement {
        let mut lines = vec![None; self.needle.len()];
        let (mut first, mut last) = (usize::MAX, 0);
        for (line, at) in pairs {
            lines[line] = Some(at);
            first = first.min(at);
            last = last.max(at);
        }
        Placement { rule, range: first..last + 1, lines, shift }
    }

    /// The one shift that carries the indentation of every search line to that of its file line.
    fn common_shift(&self, pairs: impl Iterator<Item = (usize, usize)>) -> Option<Shift> {
        let mut common: Option<Shift> = None;
        for (line, at) in pairs {
            if self.needle[line].trim().is_empty() {
                continue;
            }
            let shift = shift(indent(&self.needle[line]), indent(&self.hay[at]))?;
            match &common {
                Some(known) if *known != shift => return None,
                Some(_) => {}
                None => common = Some(shift),
            }
        }
        common
    }

    fn fuzzy(&self) -> Found {
        let len = self.needle_full.len();
        if len < FUZZY_MIN_LINES || len > self.hay_full.len() {
            return Found::from(Vec::new());
        }
        let mut budget = FUZZY_BUDGET;
        let mut scored: Vec<(f64, Placement)> = Vec::new();
        for start in self.anchored_starts() {
            match self.score(start, &mut budget) {
                Ok(Some(found)) => scored.push(found),
                Ok(None) => {}
                Err(OverBudget) => return Found::from(Vec::new()),
            }
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let clear = match scored.as_slice() {
            [(best, _), (next, _), ..] => best - next >= FUZZY_LEAD,
            _ => true,
        };
        let keep = if clear { 1 } else { scored.len() };
        let places: Vec<_> = scored.into_iter().take(keep).map(|(_, place)| place).collect();
        Found::from(places)
    }

    /// Starts (in lines that are not blank) at which at least half of the search lines are in the
    /// file unchanged but for indentation. Lines that the file repeats often are no anchors.
    fn anchored_starts(&self) -> Vec<usize> {
        const COMMON: usize = 50;
        let len = self.needle_full.len();
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (position, &line) in self.hay_full.iter().enumerate() {
            places.entry(self.hay[line].trim()).or_default().push(position);
        }
        let mut votes: HashMap<usize, usize> = HashMap::new();
        for (k, &line) in self.needle_full.iter().enumerate() {
            let Some(at) = places.get(self.needle[line].trim()) else { continue };
            if at.len() > COMMON {
                continue;
            }
            for position in at {
                if *position >= k && position - k + len <= self.hay_full.len() {
                    *votes.entry(position - k).or_default() += 1;
                }
            }
        }
        let mut starts: Vec<usize> =
            votes.into_iter().filter(|&(_, n)| 2 * n >= len).map(|(start, _)| start).collect();
        starts.sort_unstable();
        starts
    }

    /// The likeness of the place at `start`, if it is like enough.
    fn score(
        &self,
        start: usize,
        budget: &mut usize,
    ) -> Result<Option<(f64, Placement)>, OverBudget> {
        let pairs: Vec<(usize, usize)> = self
            .needle_full
            .iter()
            .enumerate()
            .map(|(k, &line)| (line, self.hay_full[start + k]))
            .collect();
        let (mut weight, mut sum) = (0.0, 0.0);
        for &(line, at) in &pairs {
            let (ours, theirs) = (self.needle[line].trim(), self.hay[at].trim());
            let likeness = if ours == theirs {
                1.0
            } else {
                let work = ours.len().saturating_mul(theirs.len()).saturating_add(1);
                *budget = budget.checked_sub(work).ok_or(OverBudget)?;
                strsim::normalized_levenshtein(ours, theirs)
            };
            if likeness < FUZZY_LINE {
                return Ok(None);
            }
            #[expect(clippy::cast_precision_loss, reason = "line lengths are far below 2^52")]
            let length = ours.len() as f64;
            weight += length;
            sum += likeness * length;
        }
        let same = pairs
            .iter()
            .copied()
            .filter(|&(line, at)| self.needle[line].trim() == self.hay[at].trim());
        let Some(shift) = self.common_shift(same) else { return Ok(None) };
        let mean = sum / weight;
        if mean < FUZZY_MEAN {
            return Ok(None);
        }
        Ok(Some((mean, self.placement(Rule::Fuzzy, pairs.into_iter(), shift))))
    }
}

struct OverBudget;

fn full(lines: &[Cow<'_, str>]) -> Vec<usize> {
    (0..lines.len()).filter(|&index| !lines[index].trim().is_empty()).collect()
}

/// Leading blanks and tabs.
pub(crate) fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

fn shift(ours: &str, theirs: &str) -> Option<Shift> {
    if ours == theirs {
        return Some(Shift::Keep);
    }
    if let Some(more) = theirs.strip_suffix(ours) {
        return Some(Shift::Add(more.to_owned()));
    }
    ours.strip_suffix(theirs).map(|less| Shift::Remove(less.to_owned()))
}

/// Every index at which `needle` begins in `hay`, by Knuth, Morris and Pratt: linear, so that a
/// file of equal lines costs no more than another.
pub(crate) fn occurrences<T: PartialEq>(hay: &[T], needle: &[T]) -> Vec<usize> {
    if needle.is_empty() || needle.len() > hay.len() {
        return Vec::new();
    }
    let mut border = vec![0; needle.len()];
    let mut k = 0;
    for i in 1..needle.len() {
        while k > 0 && needle[i] != needle[k] {
            k = border[k - 1];
        }
        if needle[i] == needle[k] {
            k += 1;
        }
        border[i] = k;
    }
    let mut found = Vec::new();
    let mut matched = 0;
    for (i, line) in hay.iter().enumerate() {
        while matched > 0 && *line != needle[matched] {
            matched = border[matched - 1];
        }
        if *line == needle[matched] {
            matched += 1;
        }
        if matched == needle.len() {
            found.push(i + 1 - matched);
            matched = border[matched - 1];
        }
    }
    found
}
