//! Chance that is the same every time: numbers drawn from a hash over what they are for.

use sha2::{Digest, Sha256};

/// A source of numbers that follows from its name alone.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    state: u64,
}

impl Draw {
    /// The numbers for `parts`, such as seed, instance, stage and sample.
    pub(crate) fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let state = digest.iter().take(8).fold(0, |state, &byte| state << 8 | u64::from(byte));
        Self { state }
    }

    /// The next number (SplitMix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.next() >> 32).unwrap_or(0)) / 4_294_967_296.0
    }

    /// Whether something that happens with `rate` happens now.
    pub(crate) fn happens(&mut self, rate: f64) -> bool {
        self.unit() < rate
    }

    /// A number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    /// One of `items`, or none of none.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// Puts `items` into another order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_draws_the_same_and_another_something_else() {
        let ten = |parts: &[&str]| {
            let mut draw = Draw::of(parts);
            (0..10).map(|_| draw.next()).collect::<Vec<_>>()
        };
        assert_eq!(ten(&["1", "a", "repair", "0"]), ten(&["1", "a", "repair", "0"]));
        assert_ne!(ten(&["1", "a", "repair", "0"]), ten(&["1", "a", "repair", "1"]));
        assert_ne!(ten(&["ab", "c"]), ten(&["a", "bc"]));
    }

    #[test]
    fn rates_hold_over_many_draws() {
        let hits = (0..10_000).filter(|n| Draw::of(&["x", &n.to_string()]).happens(0.3)).count();
        assert!((2800..3200).contains(&hits), "{hits}");
    }
}
