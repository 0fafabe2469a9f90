//! Matching blocks exactly as Python's `difflib.SequenceMatcher` finds them: the longest common
//! block (of equals the first in `a`, then the first in `b`), then the same left and right of it.

use crate::reward::options::Clock;
use crate::reward::text::code_points;
use crate::reward::{Refusal, Text};

/// A symbol of `a` that `b` does not have.
pub(crate) const NONE: u32 = u32::MAX;

/// A common block: `a[self.a..][..length] == b[self.b..][..length]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) length: usize,
}

/// `difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()` on code points.
#[must_use]
pub fn similarity(a: &Text, b: &Text) -> f64 {
    similarity_within(a, b, &mut Clock::endless()).unwrap_or(0.0)
}

/// [`similarity`] in a limited time.
pub(crate) fn similarity_within(a: &Text, b: &Text, clock: &mut Clock) -> Result<f64, Refusal> {
    if a == b {
        return Ok(1.0);
    }
    let a: Vec<u32> = code_points(a.as_bytes()).collect();
    let b: Vec<u32> = code_points(b.as_bytes()).collect();
    let total = a.len() + b.len();
    let matched: usize = find(&a, &b, clock)?.iter().map(|block| block.length).sum();
    #[expect(clippy::cast_precision_loss, reason = "texts are shorter than 2^52")]
    Ok(2.0 * matched as f64 / total as f64)
}

/// Matching blocks of numbered lines, of which only some may begin a match.
pub(crate) fn matching_lines(
    a: Vec<u32>,
    b: Vec<u32>,
    _is_anchor: Vec<bool>,
    clock: &mut Clock,
) -> Result<Vec<Block>, Refusal> {
    let mut blocks = find(&a, &b, clock)?;
    blocks.sort_unstable_by_key(|block| block.a);
    Ok(blocks)
}

fn find(a: &[u32], b: &[u32], clock: &mut Clock) -> Result<Vec<Block>, Refusal> {
    let mut blocks = Vec::new();
    let mut todo = vec![(0, a.len(), 0, b.len())];
    while let Some((alo, ahi, blo, bhi)) = todo.pop() {
        let mut best = Block { a: alo, b: blo, length: 0 };
        let mut row = vec![0; bhi - blo + 1];
        for i in alo..ahi {
            clock.spend(bhi - blo)?;
            let mut next = vec![0; bhi - blo + 1];
            for j in blo..bhi {
                if a[i] == b[j] {
                    let length = row[j - blo] + 1;
                    next[j - blo + 1] = length;
                    if length > best.length {
                        best = Block { a: i + 1 - length, b: j + 1 - length, length };
                    }
                }
            }
            row = next;
        }
        if best.length > 0 {
            blocks.push(best);
            todo.push((alo, best.a, blo, best.b));
            todo.push((best.a + best.length, ahi, best.b + best.length, bhi));
        }
    }
    Ok(blocks)
}
