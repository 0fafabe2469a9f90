//! The text of one file's change: what Python's `difflib.unified_diff` says about two contents,
//! without file headers and line terminators.

use std::collections::HashMap;

use crate::reward::blocks::{self, Block};
use crate::reward::grams::NONE;
use crate::reward::options::Clock;
use crate::reward::text::split_lines;
use crate::reward::{Refusal, Text};

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// From this many lines on, lines that occur often are no anchors (`autojunk`).
const POPULARITY_FROM: usize = 200;

/// What an opcode of `SequenceMatcher` does; a replacement is a deletion before an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    equal: bool,
    a: (usize, usize),
    b: (usize, usize),
}

/// The change from one content to another; empty if no line differs.
pub(crate) fn change_text(old: &Text, new: &Text, clock: &mut Clock) -> Result<Text, Refusal> {
    if old == new {
        return Ok(Text::default());
    }
    let (a, b) = (split_lines(old.as_bytes()), split_lines(new.as_bytes()));
    if a == b {
        return Ok(Text::default());
    }
    let steps = steps(&line_blocks(&a, &b, clock)?, a.len(), b.len());
    let mut text = Vec::new();
    for group in groups(steps) {
        print(&mut text, &group, &a, &b);
    }
    Ok(Text::from_wtf8(text))
}

/// One hunk.
fn print(text: &mut Vec<u8>, group: &[Step], a: &[&[u8]], b: &[&[u8]]) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    let mut put = |mark: &[u8], line: &[u8]| {
        if !text.is_empty() {
            text.push(b'\n');
        }
        text.extend_from_slice(mark);
        text.extend_from_slice(line);
    };
    let header = format!("@@ -{} +{} @@", range(first.a.0, last.a.1), range(first.b.0, last.b.1));
    put(b"", header.as_bytes());
    for step in group {
        if step.equal {
            a[step.a.0..step.a.1].iter().for_each(|line| put(b" ", line));
        } else {
            a[step.a.0..step.a.1].iter().for_each(|line| put(b"-", line));
            b[step.b.0..step.b.1].iter().for_each(|line| put(b"+", line));
        }
    }
}

/// A range as hunk headers write it.
fn range(start: usize, stop: usize) -> String {
    match stop - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        length => format!("{},{length}", start + 1),
    }
}

/// Matching blocks of lines, in order.
fn line_blocks(a: &[&[u8]], b: &[&[u8]], clock: &mut Clock) -> Result<Vec<Block>, Refusal> {
    let mut numbers: HashMap<&[u8], u32> = HashMap::new();
    let mut counts: Vec<usize> = Vec::new();
    let mut number_b = Vec::with_capacity(b.len());
    for line in b {
        let next = u32::try_from(counts.len()).expect("texts are shorter than 4 GiB");
        let number = *numbers.entry(line).or_insert(next);
        if number == next {
            counts.push(0);
        }
        counts[number as usize] += 1;
        number_b.push(number);
    }
    let number_a: Vec<u32> =
        a.iter().map(|line| numbers.get(line).copied().unwrap_or(NONE)).collect();
    let popular = |count: usize| b.len() >= POPULARITY_FROM && count > b.len() / 100 + 1;
    let is_anchor: Vec<bool> = counts.into_iter().map(|count| !popular(count)).collect();
    blocks::matching_lines(&number_a, &number_b, &is_anchor, clock)
}

/// All steps from the first lines to the last.
fn steps(blocks: &[Block], a_length: usize, b_length: usize) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut i, mut j) = (0, 0);
    let end = Block { a: a_length, b: b_length, length: 0 };
    for block in blocks.iter().chain([&end]) {
        if i < block.a || j < block.b {
            steps.push(Step { equal: false, a: (i, block.a), b: (j, block.b) });
        }
        (i, j) = (block.a + block.length, block.b + block.length);
        if block.length == 0 {
            continue;
        }
        match steps.last_mut() {
            // Blocks that touch are one.
            Some(last) if last.equal => (last.a.1, last.b.1) = (i, j),
            _ => steps.push(Step { equal: true, a: (block.a, i), b: (block.b, j) }),
        }
    }
    steps
}

/// The steps in hunks: equal stretches longer than twice the context part them.
fn groups(mut steps: Vec<Step>) -> Vec<Vec<Step>> {
    if let Some(first) = steps.first_mut().filter(|step| step.equal) {
        first.a.0 = first.a.0.max(first.a.1.saturating_sub(CONTEXT));
        first.b.0 = first.b.0.max(first.b.1.saturating_sub(CONTEXT));
    }
    if let Some(last) = steps.last_mut().filter(|step| step.equal) {
        last.a.1 = last.a.1.min(last.a.0 + CONTEXT);
        last.b.1 = last.b.1.min(last.b.0 + CONTEXT);
    }
    let mut groups = Vec::new();
    let mut group = Vec::new();
    for mut step in steps {
        if step.equal && step.a.1 - step.a.0 > 2 * CONTEXT {
            group.push(Step {
                a: (step.a.0, step.a.0 + CONTEXT),
                b: (step.b.0, step.b.0 + CONTEXT),
                ..step
            });
            groups.push(std::mem::take(&mut group));
            step.a.0 = step.a.1 - CONTEXT;
            step.b.0 = step.b.1 - CONTEXT;
        }
        group.push(step);
    }
    groups.push(group);
    groups.retain(|group| group.iter().any(|step| !step.equal));
    groups
}
