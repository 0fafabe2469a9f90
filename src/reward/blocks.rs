//! Matching blocks exactly as Python's `difflib.SequenceMatcher` finds them: the longest common
//! block (of equals the first in `a`, then the first in `b`), then the same left and right of it.
//!
//! A cell is what is left of both sequences between two blocks. Each cell keeps the list of all
//! its common runs of at least k symbols. The longest is the next block; it parts the cell in two,
//! which take over the runs that lie in them, cut to fit. Where a list is used up, a new one is
//! made for a smaller k; by then cells are small. So no pair of symbols is looked at twice for the
//! same k, where a search that begins anew for every block is quadratic for each. Where runs would
//! be too many to be listed (periodic texts), the suffix automaton finds the one block.

use std::collections::HashMap;

use crate::reward::automaton;
use crate::reward::grams::{self, Level, NONE};
use crate::reward::options::Clock;
use crate::reward::text::code_points;
use crate::reward::{Refusal, Text};

/// Pairs looked at to list the runs of a cell, for each of its symbols, before the automaton is
/// asked instead.
const PAIRS_EACH: usize = 16;
/// Cells with fewer symbols of `b` are compared symbol by symbol.
const SMALL: usize = 48;
/// A list is made for the smallest k with no more expected pairs for each symbol than this.
const EXPECTED_EACH: f64 = 4.0;

/// A common block: `a[self.a..][..length] == b[self.b..][..length]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) length: usize,
}

/// `difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()` on code points. Not symmetric.
///
/// # Panics
/// On texts of more than 2^30 code points, for which memory would not do either.
#[must_use]
pub fn similarity(a: &Text, b: &Text) -> f64 {
    // A clock without end refuses nothing.
    similarity_within(a, b, &mut Clock::endless()).unwrap_or_default()
}

/// [`similarity`] in a limited time.
pub(crate) fn similarity_within(a: &Text, b: &Text, clock: &mut Clock) -> Result<f64, Refusal> {
    if a == b {
        return Ok(1.0);
    }
    let mut symbols = Symbols::default();
    let b: Vec<u32> = code_points(b.as_bytes()).map(|point| symbols.number(point)).collect();
    let count = symbols.count as usize;
    let a: Vec<u32> = code_points(a.as_bytes()).map(|point| symbols.known(point)).collect();
    let total = a.len() + b.len();
    let mut matched = 0;
    Matcher::new(&a, &b, count, None).run(clock, &mut |block| matched += block.length)?;
    #[expect(clippy::cast_precision_loss, reason = "texts are shorter than 2^52")]
    Ok(2.0 * matched as f64 / total as f64)
}

/// Matching blocks of lines in order. Lines are numbered below `is_anchor.len()`, lines of `a` that
/// `b` lacks may be [`NONE`]. Lines that are no anchors match only next to others.
pub(crate) fn matching_lines(
    a: &[u32],
    b: &[u32],
    is_anchor: &[bool],
    clock: &mut Clock,
) -> Result<Vec<Block>, Refusal> {
    let symbols = is_anchor.len();
    let mut blocks = Vec::new();
    let mut push = |block| blocks.push(block);
    if is_anchor.iter().all(|&is| is) {
        Matcher::new(a, b, symbols, None).run(clock, &mut push)?;
    } else {
        let is_anchor = |line: u32| is_anchor.get(line as usize).copied().unwrap_or(false);
        let anchors: Vec<u32> =
            a.iter().map(|&line| if is_anchor(line) { line } else { NONE }).collect();
        Matcher::new(&anchors, b, symbols, Some(a)).run(clock, &mut push)?;
    }
    blocks.sort_unstable_by_key(|block| block.a);
    Ok(blocks)
}

/// Small numbers for code points.
struct Symbols {
    /// Latin-1.
    low: [u32; 256],
    high: HashMap<u32, u32>,
    count: u32,
}

impl Default for Symbols {
    fn default() -> Self {
        Self { low: [NONE; 256], high: HashMap::new(), count: 0 }
    }
}

impl Symbols {
    fn number(&mut self, point: u32) -> u32 {
        let slot = match self.low.get_mut(point as usize) {
            Some(slot) => slot,
            None => self.high.entry(point).or_insert(NONE),
        };
        if *slot == NONE {
            *slot = self.count;
            self.count += 1;
        }
        *slot
    }

    fn known(&self, point: u32) -> u32 {
        let low = self.low.get(point as usize).copied();
        low.or_else(|| self.high.get(&point).copied()).unwrap_or(NONE)
    }
}

/// A common run, as far as it goes within its cell.
#[derive(Debug, Clone, Copy)]
struct Run {
    a: u32,
    b: u32,
    length: u32,
}

impl From<Run> for Block {
    fn from(run: Run) -> Self {
        Self { a: run.a as usize, b: run.b as usize, length: run.length as usize }
    }
}

/// A stretch of `a` and one of `b` that are still to be matched with one another.
#[derive(Debug, Clone, Copy)]
struct Cell {
    a: (usize, usize),
    b: (usize, usize),
    /// Runs from the grams of this level on are listed, from `runs` to the end of the list or to
    /// the next cell's.
    level: usize,
    runs: usize,
    /// No block of anchors is longer, as none was in the cell that this one is part of.
    most: usize,
    /// The runs around here were too many to be listed.
    is_dense: bool,
}

/// What came of listing the runs of a cell.
enum Listed {
    All,
    TooMany,
    /// In a dense cell: the first run that is as long as a run can be, so the longest.
    Longest(Run),
}

impl Cell {
    fn size(&self) -> usize {
        self.a.1 - self.a.0 + self.b.1 - self.b.0
    }

    fn is_empty(&self) -> bool {
        self.a.0 == self.a.1 || self.b.0 == self.b.1
    }
}

struct Matcher<'s> {
    a: &'s [u32],
    b: &'s [u32],
    symbols: usize,
    /// `a` with what may only lengthen a block.
    all_of_a: Option<&'s [u32]>,
    levels: Vec<Level>,
    /// The runs of all waiting cells, in the order of the cells.
    runs: Vec<Run>,
    /// Runs on their way to the left part of a cell.
    left: Vec<Run>,
}

impl<'s> Matcher<'s> {
    fn new(a: &'s [u32], b: &'s [u32], symbols: usize, all_of_a: Option<&'s [u32]>) -> Self {
        let levels = grams::levels(a, b, symbols);
        Self { a, b, symbols, all_of_a, levels, runs: Vec::new(), left: Vec::new() }
    }

    /// Finds all blocks, in no order.
    fn run(mut self, clock: &mut Clock, found: &mut impl FnMut(Block)) -> Result<(), Refusal> {
        let whole = Cell {
            a: (0, self.a.len()),
            b: (0, self.b.len()),
            level: self.levels.len(),
            runs: 0,
            most: self.a.len(),
            is_dense: false,
        };
        let mut cells = vec![whole];
        while let Some(mut cell) = cells.pop() {
            if cell.is_empty() {
                self.runs.truncate(cell.runs);
                continue;
            }
            let longest = self.longest(&mut cell, clock)?;
            cell.most = longest.length;
            let block = self.lengthened(&cell, longest);
            if block.length == 0 {
                continue;
            }
            found(block);
            let left = Cell { a: (cell.a.0, block.a), b: (cell.b.0, block.b), ..cell };
            let (a, b) = (block.a + block.length, block.b + block.length);
            let right = Cell { a: (a, cell.a.1), b: (b, cell.b.1), ..cell };
            let start = self.part(&cell, &block);
            cells.push(right);
            cells.push(Cell { runs: start, ..left });
        }
        Ok(())
    }

    /// The longest block of anchors in a cell, whose level goes down as lists are used up.
    fn longest(&mut self, cell: &mut Cell, clock: &mut Clock) -> Result<Block, Refusal> {
        loop {
            clock.spend(self.runs.len() - cell.runs + 8)?;
            let mut listed = self.runs[cell.runs..].iter();
            if let Some(&first) = listed.next() {
                let best = listed.fold(first, |best, run| {
                    let is_better = run.length > best.length
                        || run.length == best.length && (run.a, run.b) < (best.a, best.b);
                    if is_better { *run } else { best }
                });
                return Ok(best.into());
            }
            let Some(level) = self.next_level(cell) else {
                return Ok(Block { a: cell.a.0, b: cell.b.0, length: 0 });
            };
            let listed = self.list(cell, level, clock)?;
            if matches!(listed, Listed::All) {
                cell.level = level;
                cell.is_dense = false;
                continue;
            }
            self.runs.truncate(cell.runs);
            if let Listed::Longest(run) = listed {
                return Ok(run.into());
            }
            // At first the level was a guess, now it is the next one.
            let was_dense = std::mem::replace(&mut cell.is_dense, true);
            if was_dense || level + 1 == cell.level {
                let (a, b) = (&self.a[cell.a.0..cell.a.1], &self.b[cell.b.0..cell.b.1]);
                let block = automaton::longest(a, b, self.symbols, clock)?;
                return Ok(Block { a: block.a + cell.a.0, b: block.b + cell.b.0, ..block });
            }
        }
    }

    /// The level whose runs are listed next: the lowest one that promises a short list, or else
    /// the next lower one.
    fn next_level(&self, cell: &mut Cell) -> Option<usize> {
        while cell.level > 0 && self.levels[cell.level - 1].length > cell.most {
            cell.level -= 1;
        }
        let next = cell.level.checked_sub(1)?;
        if cell.is_dense {
            return Some(next);
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let number = |count: usize| count as f64;
        let (rows, columns) = (number(cell.a.1 - cell.a.0), number(cell.b.1 - cell.b.0));
        let share = rows / number(self.a.len()) * (columns / number(self.b.len()));
        let most = (rows + columns) * EXPECTED_EACH;
        let is_short = |level: &Level| number(level.pairs) * share <= most;
        Some(self.levels[..next].iter().position(is_short).unwrap_or(next))
    }

    /// Lists the runs of a cell with at least as many symbols as the level's grams.
    fn list(&mut self, cell: &Cell, level: usize, clock: &mut Clock) -> Result<Listed, Refusal> {
        let level = &self.levels[level];
        let length = level.length;
        let (Some(a_end), Some(b_end)) = (
            (cell.a.1 + 1).checked_sub(length).filter(|&end| end > cell.a.0),
            (cell.b.1 + 1).checked_sub(length).filter(|&end| end > cell.b.0),
        ) else {
            return Ok(Listed::All);
        };
        let (a, b) = (self.a, self.b);
        if length == 1 && b_end - cell.b.0 <= SMALL {
            for i in cell.a.0..a_end {
                let symbol = a[i];
                for j in cell.b.0..b_end {
                    if b[j] == symbol && is_start(a, b, cell, i, j) {
                        self.runs.push(run_from(a, b, cell, i, j, 1));
                    }
                }
            }
            clock.spend((a_end - cell.a.0) * (b_end - cell.b.0))?;
            return Ok(Listed::All);
        }
        let mut rest = PAIRS_EACH * cell.size();
        for i in cell.a.0..a_end {
            let places = level.places_of(i);
            let from = places.partition_point(|&place| (place as usize) < cell.b.0);
            let mut seen = 0;
            for &j in &places[from..] {
                let j = j as usize;
                if j >= b_end {
                    break;
                }
                seen += 1;
                if is_start(a, b, cell, i, j) {
                    let run = run_from(a, b, cell, i, j, length);
                    if cell.is_dense && run.length as usize == cell.most {
                        return Ok(Listed::Longest(run));
                    }
                    self.runs.push(run);
                }
            }
            clock.spend(seen + 4)?;
            let Some(left) = rest.checked_sub(seen) else { return Ok(Listed::TooMany) };
            rest = left;
        }
        Ok(Listed::All)
    }

    /// The block with the equal symbols around it that are no anchors.
    fn lengthened(&self, cell: &Cell, mut block: Block) -> Block {
        let Some(a) = self.all_of_a else { return block };
        while block.a > cell.a.0 && block.b > cell.b.0 && a[block.a - 1] == self.b[block.b - 1] {
            block = Block { a: block.a - 1, b: block.b - 1, length: block.length + 1 };
        }
        while block.a + block.length < cell.a.1
            && block.b + block.length < cell.b.1
            && a[block.a + block.length] == self.b[block.b + block.length]
        {
            block.length += 1;
        }
        block
    }

    /// Gives the runs of a cell to its parts right and left of a block, in this order. Returns
    /// where the left part's begin.
    fn part(&mut self, cell: &Cell, block: &Block) -> usize {
        let shortest = self.levels.get(cell.level).map_or(1, |level| level.length);
        let (a_end, b_end) = (block.a + block.length, block.b + block.length);
        self.left.clear();
        let mut kept = cell.runs;
        for index in cell.runs..self.runs.len() {
            let run = self.runs[index];
            let (a, b, length) = (run.a as usize, run.b as usize, run.length as usize);
            if a < block.a && b < block.b {
                let fits = length.min(block.a - a).min(block.b - b);
                if fits >= shortest {
                    self.left.push(Run { length: small(fits), ..run });
                }
            }
            let skipped = a_end.saturating_sub(a).max(b_end.saturating_sub(b));
            if length >= skipped + shortest {
                let run = Run {
                    a: small(a + skipped),
                    b: small(b + skipped),
                    length: small(length - skipped),
                };
                self.runs[kept] = run;
                kept += 1;
            }
        }
        self.runs.truncate(kept);
        self.runs.extend_from_slice(&self.left);
        kept
    }
}

/// Whether a run of the cell begins here.
fn is_start(a: &[u32], b: &[u32], cell: &Cell, i: usize, j: usize) -> bool {
    i == cell.a.0 || j == cell.b.0 || a[i - 1] != b[j - 1]
}

/// The run that begins here, of which the first symbols are known to be equal.
fn run_from(a: &[u32], b: &[u32], cell: &Cell, i: usize, j: usize, known: usize) -> Run {
    let rest = a[i + known..cell.a.1].iter().zip(&b[j + known..cell.b.1]);
    let length = known + rest.take_while(|(a, b)| a == b).count();
    Run { a: small(i), b: small(j), length: small(length) }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("texts are bounded far below 2^32")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word for word: quadratic for every block.
    fn by_definition(a: &[u32], b: &[u32], is_anchor: &[bool]) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut todo = vec![((0, a.len()), (0, b.len()))];
        while let Some(((alo, ahi), (blo, bhi))) = todo.pop() {
            let mut best = Block { a: alo, b: blo, length: 0 };
            let mut row = vec![0; b.len() + 1];
            for (i, symbol) in a.iter().enumerate().take(ahi).skip(alo) {
                let mut next = vec![0; b.len() + 1];
                for j in blo..bhi {
                    if *symbol == b[j] && is_anchor[b[j] as usize] {
                        let length = if j > blo { row[j] } else { 0 } + 1;
                        next[j + 1] = length;
                        if length > best.length {
                            best = Block { a: i + 1 - length, b: j + 1 - length, length };
                        }
                    }
                }
                row = next;
            }
            while best.a > alo && best.b > blo && a[best.a - 1] == b[best.b - 1] {
                best = Block { a: best.a - 1, b: best.b - 1, length: best.length + 1 };
            }
            while best.a + best.length < ahi
                && best.b + best.length < bhi
                && a[best.a + best.length] == b[best.b + best.length]
            {
                best.length += 1;
            }
            if best.length > 0 {
                todo.push(((alo, best.a), (blo, best.b)));
                todo.push(((best.a + best.length, ahi), (best.b + best.length, bhi)));
                blocks.push(best);
            }
        }
        blocks.sort_unstable_by_key(|block| block.a);
        blocks
    }

    /// Numbers that look random (xorshift).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
        }

        /// A sequence of symbols below 6: random, periodic, nearly periodic, or self-similar.
        fn sequence(&mut self) -> Vec<u32> {
            let length = 1 + self.below(500);
            let symbols = 1 + self.below(6);
            let symbol = |dice: &mut Self| u32::try_from(dice.below(symbols)).unwrap();
            let unit: Vec<u32> = (0..1 + self.below(12)).map(|_| symbol(self)).collect();
            let mut sequence: Vec<u32> = match self.below(4) {
                0 => (0..length).map(|_| symbol(self)).collect(),
                1 => unit.iter().copied().cycle().take(length).collect(),
                2 => (0..length).map(|at: usize| at.count_ones() & 1).collect(),
                _ => {
                    let (mut x, mut y) = (vec![0], vec![0, 1]);
                    while y.len() < length {
                        (x, y) = (y.clone(), [y, x].concat());
                    }
                    y
                }
            };
            for _ in 0..self.below(6) {
                let at = self.below(sequence.len());
                sequence[at] = symbol(self);
            }
            sequence
        }
    }

    #[test]
    fn blocks_are_those_of_the_definition() {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        for round in 0..200 {
            let a = dice.sequence();
            let b = if dice.below(2) == 0 {
                dice.sequence()
            } else {
                a[dice.below(a.len())..].to_vec()
            };
            let is_anchor: Vec<bool> =
                (0..6).map(|_| round % 2 == 0 || dice.below(3) > 0).collect();
            let found = matching_lines(&a, &b, &is_anchor, &mut Clock::endless()).unwrap();
            assert_eq!(found, by_definition(&a, &b, &is_anchor), "{a:?} {b:?} {is_anchor:?}");
        }
    }

    #[test]
    fn the_automaton_finds_the_first_longest_block() {
        let mut dice = Dice(7);
        for _ in 0..60 {
            let (a, b) = (dice.sequence(), dice.sequence());
            let mut expected = Block { a: 0, b: 0, length: 0 };
            for i in 0..a.len() {
                for j in 0..b.len() {
                    let length = a[i..].iter().zip(&b[j..]).take_while(|(a, b)| a == b).count();
                    if length > expected.length {
                        expected = Block { a: i, b: j, length };
                    }
                }
            }
            let found = automaton::longest(&a, &b, 6, &mut Clock::endless()).unwrap();
            assert_eq!(found, expected, "{a:?} {b:?}");
        }
    }

    #[test]
    fn similarity_counts_code_points_and_is_not_symmetric() {
        let like = |a: &str, b: &str| similarity(&a.into(), &b.into());
        assert!((like("\u{e9}", "e\u{301}") - 0.0).abs() < f64::EPSILON);
        assert!((like("\u{1f600}a", "\u{1f600}b") - 0.5).abs() < f64::EPSILON);
        // The example of the difflib documentation's warning about argument order.
        assert!((like("tide", "diet") - 0.25).abs() < f64::EPSILON);
        assert!((like("diet", "tide") - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn long_repetitive_texts_take_no_quadratic_time() {
        let start = std::time::Instant::now();
        let a: Text = "a".repeat(100_000).into();
        let b: Text = format!("{}b", "a".repeat(99)).repeat(1_000).into();
        assert!((similarity(&a, &b) - 0.99).abs() < 0.01);
        let rows =
            |width: usize| Text::from(format!("{}\n", " ".repeat(width)).repeat(100_000 / width));
        assert!(similarity(&rows(15), &rows(11)) > 0.7);
        assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    }
}
