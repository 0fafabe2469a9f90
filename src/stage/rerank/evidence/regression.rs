//! Traits that regression failures decide.

use std::collections::BTreeSet;

use crate::stage::rerank::evidence::likeness::Bits;
use crate::stage::rerank::matrix::{Cell, Matrix};

/// Failures beyond the fewest that count.
const MOST: usize = 4;

/// One number a judged class.
pub(super) struct Regression {
    /// Surprise of the failures.
    pub(super) surprise: Vec<f64>,
    /// Failures beyond the fewest.
    pub(super) extra: Vec<f64>,
}

impl Regression {
    pub(super) fn new(judged: &[usize], matrix: &Matrix<'_>) -> Self {
        let failed = |class: usize, test: usize| {
            matches!(matrix.regression.cells[class][test], Cell::Fail | Cell::NotRun)
        };
        let columns: Vec<Bits> = (0..matrix.regression.tests.len())
            .map(|test| judged.iter().map(|&class| failed(class, test)).collect())
            .collect();
        let failures: Vec<usize> = (0..judged.len())
            .map(|row| columns.iter().filter(|column| column.get(row)).count())
            .collect();
        let fewest = failures.iter().copied().min().unwrap_or(0);
        let distinct: BTreeSet<&Bits> =
            columns.iter().filter(|column| column.count() > 0).collect();
        let mut surprise = vec![0.0; judged.len()];
        for column in distinct {
            let worth = ((1 + judged.len()) as f64 / (1 + column.count()) as f64).ln();
            for (row, sum) in surprise.iter_mut().enumerate() {
                *sum += if column.get(row) { worth } else { 0.0 };
            }
        }
        Self {
            surprise,
            extra: failures.iter().map(|&count| (count - fewest).min(MOST) as f64).collect(),
        }
    }

    /// Whether regression tests tell classes apart.
    pub(super) fn sees(&self) -> bool {
        self.surprise.windows(2).any(|pair| pair[0] != pair[1])
            || self.extra.windows(2).any(|pair| pair[0] != pair[1])
    }
}
