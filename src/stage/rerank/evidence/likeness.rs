//! How alike two rows of verdicts are.

/// Verdicts that agree on a share `s` are alike by `s^8`.
const STEEP: i32 = 8;

/// A row of yes and no.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bits {
    words: Vec<u64>,
    length: usize,
}

impl Bits {
    pub(super) fn get(&self, index: usize) -> bool {
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// How many are yes.
    pub(super) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut row = Self { words: Vec::new(), length: 0 };
        for bit in bits {
            if row.length.is_multiple_of(64) {
                row.words.push(0);
            }
            if let Some(word) = row.words.last_mut() {
                *word |= u64::from(bit) << (row.length % 64);
            }
            row.length += 1;
        }
        row
    }
}

/// 1 for equal rows of `length`, near 0 from a quarter apart; 0 for empty ones.
pub(super) fn likeness(a: &Bits, b: &Bits, length: usize) -> f64 {
    if length == 0 {
        return 0.0;
    }
    let apart: u32 = a.words.iter().zip(&b.words).map(|(x, y)| (x ^ y).count_ones()).sum();
    (1.0 - f64::from(apart) / length as f64).powi(STEEP)
}
