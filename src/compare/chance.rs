//! Whether flips go one way more often than coin tosses would.

/// Exact two-sided McNemar test: the probability that fair coins split `gained + lost` flips at
/// least as unevenly. 1 without flips.
#[must_use]
pub fn mcnemar(gained: usize, lost: usize) -> f64 {
    let all = gained + lost;
    // Logarithms: half to the power of thousands is no number any more.
    let mut log_term = -(all as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=gained.min(lost) {
        if k > 0 {
            log_term += ((all - k + 1) as f64).ln() - (k as f64).ln();
        }
        tail += log_term.exp();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::mcnemar;

    #[test]
    fn the_tails_of_the_binomial_distribution() {
        for (gained, lost, p) in [
            (0, 0, 1.0),
            (1, 0, 1.0),
            (5, 0, 0.0625),
            (0, 6, 0.03125),
            (1, 7, 18.0 / 256.0),
            (4, 4, 1.0),
        ] {
            assert!((mcnemar(gained, lost) - p).abs() < 1e-12, "{gained} {lost}");
        }
        assert!(mcnemar(1500, 1200) < 1e-6 && mcnemar(1500, 1200) > 0.0);
    }
}
