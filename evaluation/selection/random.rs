//! Seeded random numbers: SplitMix64 and the few distributions that the simulator needs.

/// A stream of random numbers; equal seeds give equal streams on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of `seed` and the numbers in `path`, so that parts have streams of their own.
    pub(crate) fn new(seed: u64, path: &[u64]) -> Self {
        let mut random = Self(seed);
        for &step in path {
            let mixed = random.next() ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            random = Self(mixed);
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform in `0..n`; 0 for `n = 0`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// An index with probability in proportion to its weight.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }

    /// Beta distributed with the given mean and concentration (the sum of both parameters), by
    /// Jöhnk's method, which suits small parameters. An infinite concentration gives the mean.
    pub(crate) fn beta(&mut self, mean: f64, concentration: f64) -> f64 {
        if mean <= 0.0 || mean >= 1.0 || concentration.is_infinite() {
            return mean.clamp(0.0, 1.0);
        }
        let (a, b) = (mean * concentration, (1.0 - mean) * concentration);
        loop {
            let x = self.unit().powf(1.0 / a);
            let y = self.unit().powf(1.0 / b);
            if x + y > 0.0 && x + y <= 1.0 {
                return x / (x + y);
            }
        }
    }

    /// A random order of `0..n`.
    pub(crate) fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}
