//! Where the short pieces of one sequence occur in another: for growing lengths k, the k-grams that
//! both have, numbered, with their places in `b`.
//!
//! The numbers of longer grams come from pairs of shorter ones (Karp, Miller and Rosenberg 1972),
//! so each length costs one pass. Lengths stop growing once occurrences are few enough to be
//! listed, or no gram is common any more.

/// A piece that the other sequence does not have.
pub(crate) const NONE: u32 = u32::MAX;

/// Pairs of equal grams, for each symbol of both sequences, that are few enough to be listed.
const FEW: usize = 2;

/// All common grams of one length.
#[derive(Debug)]
pub(crate) struct Level {
    /// Symbols in a gram.
    pub(crate) length: usize,
    /// Pairs of equal grams.
    pub(crate) pairs: usize,
    /// The gram that begins at each place of `a`, or [`NONE`].
    a: Vec<u32>,
    /// The same for `b`.
    b: Vec<u32>,
    /// Where the places of each gram begin in `places`.
    starts: Vec<u32>,
    /// Places in `b`, ascending for each gram.
    places: Vec<u32>,
}

impl Level {
    /// Single symbols. Those of `b` are numbered below `symbols`.
    fn single(a: &[u32], b: &[u32], symbols: usize) -> Self {
        Self::new(1, a.to_vec(), b.to_vec(), symbols)
    }

    /// Indexes numbered grams; those of `b` that `a` lacks are dropped.
    fn new(length: usize, a: Vec<u32>, mut b: Vec<u32>, grams: usize) -> Self {
        let mut uses = vec![0_u32; grams];
        for &gram in a.iter().filter(|&&gram| gram != NONE) {
            uses[gram as usize] += 1;
        }
        let mut starts = vec![0_u32; grams + 1];
        let mut pairs = 0_usize;
        for gram in &mut b {
            if *gram == NONE {
                continue;
            }
            let used = uses[*gram as usize];
            if used == 0 {
                *gram = NONE;
            } else {
                pairs += used as usize;
                starts[*gram as usize + 1] += 1;
            }
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut places = vec![0_u32; starts[grams] as usize];
        let mut next = starts.clone();
        for (place, &gram) in (0_u32..).zip(&b) {
            if gram != NONE {
                let slot = &mut next[gram as usize];
                places[*slot as usize] = place;
                *slot += 1;
            }
        }
        Self { length, pairs, a, b, starts, places }
    }

    /// Grams that are longer by `more` symbols, which are at most as many as this length.
    fn longer(&self, more: usize) -> Self {
        let mut numbers = Numbers::new(self.places.len());
        let pair = |grams: &[u32], at: usize| -> Option<u64> {
            let (first, second) = (grams[at], *grams.get(at + more)?);
            let is_common = first != NONE && second != NONE;
            is_common.then(|| u64::from(first) << 32 | u64::from(second))
        };
        let number_b: Vec<u32> = (0..self.b.len())
            .map(|at| pair(&self.b, at).map_or(NONE, |pair| numbers.insert(pair)))
            .collect();
        let number_a = (0..self.a.len())
            .map(|at| pair(&self.a, at).map_or(NONE, |pair| numbers.get(pair)))
            .collect();
        Self::new(self.length + more, number_a, number_b, numbers.count as usize)
    }

    /// The places in `b` where the gram stands that begins at `a[at]`, ascending.
    pub(crate) fn places_of(&self, at: usize) -> &[u32] {
        match self.a[at] {
            NONE => &[],
            gram => {
                let range = self.starts[gram as usize]..self.starts[gram as usize + 1];
                &self.places[range.start as usize..range.end as usize]
            }
        }
    }
}

/// All levels, shortest first; none if nothing is common.
pub(crate) fn levels(a: &[u32], b: &[u32], symbols: usize) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    let mut level = Level::single(a, b, symbols);
    while level.pairs > 0 {
        let is_enough = level.pairs <= FEW * (a.len() + b.len());
        // 1, 2, 3, 4, 6, 8, 12, 16, 24, ...
        let more = if level.length.is_power_of_two() {
            level.length.div_ceil(2)
        } else {
            1 << (level.length / 3).trailing_zeros()
        };
        let next = if is_enough { None } else { Some(level.longer(more)) };
        levels.push(level);
        match next {
            Some(next) => level = next,
            None => break,
        }
    }
    levels
}

/// Numbers for pairs, in order of first appearance: a hash table with open addressing.
struct Numbers {
    slots: Vec<(u64, u32)>,
    shift: u32,
    count: u32,
}

impl Numbers {
    fn new(most: usize) -> Self {
        let bits = (most * 2).max(4).next_power_of_two().trailing_zeros();
        Self { slots: vec![(0, NONE); 1 << bits], shift: 64 - bits, count: 0 }
    }

    /// The slot that holds the key, or the empty one where it belongs.
    fn slot(&self, key: u64) -> usize {
        let hash = (key ^ key >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        #[expect(clippy::cast_possible_truncation, reason = "the shift leaves an index")]
        let mut at = (hash >> self.shift) as usize;
        while self.slots[at].1 != NONE && self.slots[at].0 != key {
            at = (at + 1) & (self.slots.len() - 1);
        }
        at
    }

    fn get(&self, key: u64) -> u32 {
        self.slots[self.slot(key)].1
    }

    fn insert(&mut self, key: u64) -> u32 {
        let slot = self.slot(key);
        if self.slots[slot].1 == NONE {
            self.slots[slot] = (key, self.count);
            self.count += 1;
        }
        self.slots[slot].1
    }
}
