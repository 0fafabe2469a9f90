//! Maximum likelihood of a conditional logit, by Newton steps.

/// Alternatives of which some are right.
pub(crate) struct Choice {
    /// Numbers of each alternative, and whether it is right.
    pub(crate) rows: Vec<(Vec<f64>, bool)>,
    /// Score of one alternative more, which no weight changes, and whether it is right.
    pub(crate) offset: Option<(f64, bool)>,
    /// How often the choice counts.
    pub(crate) count: f64,
}

/// What a weight may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Free,
    NotPositive,
}

const ROUNDS: usize = 100;

/// Added to the diagonal of the information matrix, a case.
const RIDGE: f64 = 1e-6;

fn score(row: &[f64], weights: &[f64]) -> f64 {
    row.iter().zip(weights).map(|(x, w)| x * w).sum()
}

/// Logarithm of the sum of the exponentials of the alternatives' scores.
pub(crate) fn spare(choice: &Choice, weights: &[f64]) -> f64 {
    let scores: Vec<f64> = choice.rows.iter().map(|(row, _)| score(row, weights)).collect();
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + scores.iter().map(|s| (s - top).exp()).sum::<f64>().ln()
}

/// The weights, and the mean log-likelihood they reach.
///
/// A step solves the information matrix of "which alternative" against the gradient: with several
/// right alternatives that bounds the true curvature, so that steps fall short but never overshoot
/// far.
pub(crate) fn climb(choices: &[Choice], bounds: &[Bound]) -> (Vec<f64>, f64) {
    let mut weights = vec![0.0; bounds.len()];
    let mut reached = f64::NEG_INFINITY;
    let mut last: Vec<f64> = weights.clone();
    for _ in 0..ROUNDS {
        let (likelihood, gradient, information) = slope(choices, &weights);
        if likelihood < reached - 1e-12 {
            // Too far: half the way back.
            for (weight, old) in weights.iter_mut().zip(&last) {
                *weight = 0.5 * (*weight + old);
            }
            continue;
        }
        let gained = likelihood - reached;
        reached = likelihood;
        last.clone_from(&weights);
        if gained < 1e-9 {
            break;
        }
        let free: Vec<usize> = (0..weights.len())
            .filter(|&i| bounds[i] == Bound::Free || weights[i] < 0.0 || gradient[i] < 0.0)
            .collect();
        let system =
            free.iter().map(|&i| free.iter().map(|&j| information[i][j]).collect()).collect();
        let step = solve(system, free.iter().map(|&i| gradient[i]).collect());
        for (&place, step) in free.iter().zip(step) {
            weights[place] += step;
            if bounds[place] == Bound::NotPositive {
                weights[place] = weights[place].min(0.0);
            }
        }
    }
    (last, reached)
}

/// Mean log-likelihood, its gradient, and the information matrix of "which alternative".
fn slope(choices: &[Choice], weights: &[f64]) -> (f64, Vec<f64>, Vec<Vec<f64>>) {
    let size = weights.len();
    let (mut likelihood, mut gradient) = (0.0, vec![0.0; size]);
    let mut information = vec![vec![0.0; size]; size];
    let count: f64 = choices.iter().map(|choice| choice.count).sum();
    for choice in choices {
        let scores: Vec<f64> = choice.rows.iter().map(|(row, _)| score(row, weights)).collect();
        let offset = choice.offset.map_or(f64::NEG_INFINITY, |(score, _)| score);
        let top = scores.iter().copied().fold(offset, f64::max);
        let shares: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
        let fixed = (offset - top).exp();
        let all = fixed + shares.iter().sum::<f64>();
        let rows = || choice.rows.iter().zip(&shares);
        let right = rows().filter(|((_, right), _)| *right).map(|(_, share)| share).sum::<f64>()
            + if choice.offset.is_some_and(|(_, right)| right) { fixed } else { 0.0 };
        let right = right.max(1e-300);
        likelihood += choice.count * (right / all).ln();
        let mut mean = vec![0.0; size];
        for ((row, is_right), share) in rows() {
            let pull = if *is_right { share / right } else { 0.0 } - share / all;
            for (place, x) in row.iter().enumerate() {
                gradient[place] += choice.count * pull * x;
                mean[place] += share / all * x;
                let scaled = choice.count * share / all * x;
                for (sum, y) in information[place].iter_mut().zip(&row[..=place]) {
                    *sum += scaled * y;
                }
            }
        }
        for (place, x) in mean.iter().enumerate() {
            for (sum, y) in information[place].iter_mut().zip(&mean[..=place]) {
                *sum -= choice.count * x * y;
            }
        }
    }
    let lower = information.clone();
    for (place, row) in information.iter_mut().enumerate() {
        gradient[place] /= count;
        for (other, value) in row.iter_mut().enumerate() {
            *value = if other < place { *value } else { lower[other][place] } / count;
        }
        row[place] += RIDGE;
    }
    (likelihood / count, gradient, information)
}

/// Gaussian elimination of a positive definite system.
pub(crate) fn solve(mut system: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for pivot in 0..size {
        for row in pivot + 1..size {
            let factor = system[row][pivot] / system[pivot][pivot];
            let (upper, lower) = system.split_at_mut(row);
            for (value, above) in lower[0].iter_mut().zip(&upper[pivot]).skip(pivot) {
                *value -= factor * above;
            }
            right[row] -= factor * right[pivot];
        }
    }
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|column| system[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / system[row][row];
    }
    right
}
