//! What speaks for a class: five numbers, each computed from all candidates and all tests together.

use std::collections::BTreeSet;

use crate::stage::rerank::CandidateClass;
use crate::stage::rerank::matrix::{Cell, Family, Matrix};

/// Numbers that describe a class.
pub const COUNT: usize = 5;

/// How fast a script loses weight when others say the same: scripts that agree on a share `s` of
/// the classes are alike by `s^8`.
const ALIKE: i32 = 8;

/// Classes from which on agreement counts in full. Among few classes scripts agree by chance, or
/// because they are right.
const ENOUGH_CLASSES: f64 = 20.0;

/// Votes for nobody, added to all votes: of three samples, two that agree are no majority to trust.
const NOBODY: f64 = 4.0;

/// Scripts at which two classes with equal verdicts are taken as half the same behaviour.
const ENOUGH_SCRIPTS: f64 = 5.0;

/// What the evidence says about the judged classes.
pub(crate) struct Traits {
    /// One row a class.
    pub(crate) rows: Vec<[f64; COUNT]>,
    /// For each script: how much of a witness it is; 0 if it does not tell classes apart.
    pub(crate) weights: Vec<f64>,
    /// Square root of the number of scripts that do.
    pub(crate) root: f64,
    /// Verdicts of the scripts that do, 0 to 1: `telling[script][class]`.
    telling: Vec<Vec<f64>>,
}

impl Traits {
    /// How alike two judged classes behave, 0 to 1: like scripts, and with fewer scripts to see a
    /// difference by, less.
    pub(crate) fn alike(&self, a: usize, b: usize) -> f64 {
        let scripts = self.telling.len() as f64;
        if scripts == 0.0 {
            return 0.0;
        }
        let apart: f64 = self.telling.iter().map(|column| (column[a] - column[b]).abs()).sum();
        (1.0 - apart / scripts).powi(ALIKE) * scripts / (scripts + ENOUGH_SCRIPTS)
    }
}

/// Describes the classes in `judged`, in that order:
///
/// 0. logarithm of the votes;
/// 1. share of all votes and a few more (right answers concentrate, wrong ones scatter);
/// 2. scripts passed, over the square root of the number of scripts that tell classes apart;
/// 3. scripts passed, each weighted down by the scripts that say the same (`1 / (1 + likeness to
///    the others)`), so that one misreading of the issue, sampled ten times, is little more than
///    one witness;
/// 4. surprise of the regression failures: sum of `-ln((1 + classes that fail) / (1 + classes))`
///    over failed tests, tests with equal verdicts counted once. What nearly every class fails is
///    probably a test that the fix must change.
///
/// Scripts that pass everywhere or nowhere change nothing; a script without a row for a class was
/// not passed.
pub(crate) fn traits(classes: &[CandidateClass], judged: &[usize], matrix: &Matrix<'_>) -> Traits {
    let votes: usize = judged.iter().map(|&class| classes[class].votes()).sum();
    let columns: Vec<Option<Vec<f64>>> = (0..matrix.reproduction.tests.len())
        .map(|t| column(&matrix.reproduction, judged, t))
        .collect();
    let telling: Vec<&Vec<f64>> = columns.iter().flatten().collect();
    let weights = weights(&telling);
    let root = (telling.len().max(1) as f64).sqrt();
    let surprise = surprise(&matrix.regression, judged);
    let rows = judged
        .iter()
        .enumerate()
        .map(|(row, &class)| {
            let own = classes[class].votes() as f64;
            let passed: f64 = telling.iter().map(|column| column[row]).sum();
            let weighted: f64 =
                telling.iter().zip(&weights).map(|(column, weight)| column[row] * weight).sum();
            [own.ln(), own / (votes as f64 + NOBODY), passed / root, weighted, surprise[row]]
        })
        .collect();
    let mut weights = weights.into_iter();
    let per_test =
        columns.iter().map(|column| column.as_ref().and_then(|_| weights.next()).unwrap_or(0.0));
    let weights = per_test.collect();
    let telling: Vec<Vec<f64>> = columns.into_iter().flatten().collect();
    Traits { rows, weights, root: (telling.len() as f64).sqrt(), telling }
}

/// Whether each class passes, as 0 or 1; nothing if all say the same.
fn column(family: &Family<'_>, judged: &[usize], test: usize) -> Option<Vec<f64>> {
    let passes = |class: &usize| family.cells[*class][test] == Cell::Pass;
    let passed = judged.iter().filter(|class| passes(class)).count();
    let tells = passed > 0 && passed < judged.len();
    tells.then(|| judged.iter().map(|class| f64::from(u8::from(passes(class)))).collect())
}

fn weights(columns: &[&Vec<f64>]) -> Vec<f64> {
    let likeness = |a: &[f64], b: &[f64]| {
        let apart: f64 = a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum();
        (1.0 - apart / a.len() as f64).powi(ALIKE)
    };
    let weight = |(own, a): (usize, &&Vec<f64>)| {
        let others = columns.iter().enumerate().filter(|(index, _)| *index != own);
        let alike: f64 = others.map(|(_, b)| likeness(a, b)).sum();
        1.0 / (1.0 + alike * (a.len() as f64 / ENOUGH_CLASSES).min(1.0))
    };
    columns.iter().enumerate().map(weight).collect()
}

fn surprise(family: &Family<'_>, judged: &[usize]) -> Vec<f64> {
    let failing: BTreeSet<Vec<bool>> = (0..family.tests.len())
        .map(|test| {
            judged
                .iter()
                .map(|&class| matches!(family.cells[class][test], Cell::Fail | Cell::NotRun))
                .collect::<Vec<bool>>()
        })
        .filter(|column| column.contains(&true))
        .collect();
    let mut sums = vec![0.0; judged.len()];
    for column in failing {
        let failed = column.iter().filter(|&&failed| failed).count();
        let surprise = ((1 + judged.len()) as f64 / (1 + failed) as f64).ln();
        for (sum, failed) in sums.iter_mut().zip(column) {
            *sum += if failed { surprise } else { 0.0 };
        }
    }
    sums
}
