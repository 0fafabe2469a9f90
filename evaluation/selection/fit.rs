//! Fits the weights of the policy `evidence`: maximum likelihood on simulated matrices.
//!
//! First the weights, on cases with a right class: a case's likelihood is the softmax share of its
//! right classes. Then, with those weights, the score of "none is right" on all cases. (Fitted at
//! once, the constant bends the weights, and the choice gets worse.) Half of the cases come from the measured grid (with another seed), half from cells
//! with every parameter drawn at random, so that the weights suit no single generator.

use agent::stage::rerank::evidence::{COUNT, describe};

use crate::random::Random;
use crate::simulator::{Case, draw, grid, random_cell};

/// Weights of the traits, then the two of "none is right".
pub(crate) type Weights = [f64; ALL];
const ALL: usize = COUNT + 2;

/// Rounds of Adam; the loss no longer moves in its fifth digit after half of them.
const ROUNDS: i32 = 1500;
const STEP: f64 = 0.03;

#[derive(Clone, Copy)]
struct Row {
    traits: Weights,
    right: bool,
}

/// Cases to learn from: `count` of each half, about.
pub(crate) fn cases(seed: u64, count: usize) -> Vec<Case> {
    let cells = grid();
    let each = count.div_ceil(cells.len());
    let mut cases = Vec::new();
    for ((_, cell), stream) in cells.iter().zip(0u64..) {
        cases.extend((0..each as u64).map(|number| draw(cell, seed, stream, number)));
    }
    for number in 0..count as u64 {
        let cell = random_cell(&mut Random::new(seed, &[1000, number]));
        cases.push(draw(&cell, seed, 1001, number));
    }
    cases
}

fn rows(case: &Case) -> Vec<Row> {
    let (classes, root) = describe(&case.candidates, &case.executions);
    let mut rows: Vec<Row> = classes
        .into_iter()
        .map(|(digest, traits)| {
            let mut all = [0.0; ALL];
            all[..COUNT].copy_from_slice(&traits);
            Row { traits: all, right: case.right.contains(&digest) }
        })
        .collect();
    let mut none = [0.0; ALL];
    (none[COUNT], none[COUNT + 1]) = (1.0, root);
    let solvable = rows.iter().any(|row| row.right);
    rows.push(Row { traits: none, right: !solvable });
    rows
}

/// The weights, and the mean log-likelihood they reach on cases with a right class.
pub(crate) fn fit(cases: &[Case]) -> (Weights, f64) {
    let cases: Vec<Vec<Row>> = cases.iter().map(rows).collect();
    let classes =
        |rows: &Vec<Row>| rows.iter().filter(|row| row.traits[COUNT] == 0.0).copied().collect();
    let solvable: Vec<Vec<Row>> = cases
        .iter()
        .map(classes)
        .filter(|rows: &Vec<Row>| rows.iter().any(|row| row.right))
        .collect();
    let mut weights = [0.0; ALL];
    let reached = climb(&solvable, &mut weights, 0..COUNT);
    climb(&cases, &mut weights, COUNT..ALL);
    (weights, reached)
}

/// Adam on the weights in `free`.
fn climb(cases: &[Vec<Row>], weights: &mut Weights, free: std::ops::Range<usize>) -> f64 {
    let (mut first, mut second) = ([0.0; ALL], [0.0; ALL]);
    let mut reached = 0.0;
    for round in 1..=ROUNDS {
        let (likelihood, gradient) = slope(cases, weights);
        reached = likelihood;
        let step = STEP * (1.0 - f64::from(round) / f64::from(ROUNDS + 1));
        for index in free.clone() {
            first[index] = 0.9 * first[index] + 0.1 * gradient[index];
            second[index] = 0.999 * second[index] + 0.001 * gradient[index].powi(2);
            let mean: f64 = first[index] / (1.0 - 0.9f64.powi(round));
            let spread: f64 = second[index] / (1.0 - 0.999f64.powi(round));
            weights[index] += step * mean / (spread.sqrt() + 1e-9);
        }
    }
    reached
}

/// Mean log-likelihood and its gradient.
fn slope(cases: &[Vec<Row>], weights: &Weights) -> (f64, Weights) {
    let mut likelihood = 0.0;
    let mut gradient = [0.0; ALL];
    for rows in cases {
        let score = |row: &Row| row.traits.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>();
        let top = rows.iter().map(score).fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = rows.iter().map(|row| (score(row) - top).exp()).collect();
        let all: f64 = shares.iter().sum();
        let right: f64 = rows.iter().zip(&shares).filter(|(r, _)| r.right).map(|(_, s)| s).sum();
        likelihood += (right / all).ln();
        for (row, share) in rows.iter().zip(&shares) {
            let pull = if row.right { share / right } else { 0.0 } - share / all;
            for (sum, x) in gradient.iter_mut().zip(row.traits) {
                *sum += pull * x;
            }
        }
    }
    let count = cases.len() as f64;
    (likelihood / count, gradient.map(|sum| sum / count))
}
