//! Fits the weights of `evidence`: conditional logit over the classes of a case.
//!
//! First the weights of the terms, on the cases with a right class. Then, with those, the score of
//! "none is right" on all cases. (Fitted at once, it bends the weights, and the choice gets worse.)
//! Half of the cases come from the measured grid (with another seed), half from cells with every
//! parameter drawn at random, so that the weights suit no single generator. Cells in which another
//! policy was ahead count more ([`MORE`]).

use std::fmt::Write as _;

use agent::stage::rerank::evidence::{
    CONTEXTS, Context, SCALES, TERMS, TRAITS, Trait, describe, scaled,
};

use crate::logit::{Bound, Choice, climb, spare};
use crate::random::Random;
use crate::simulator::{Case, draw, grid, random_cell};

/// Cells that count more than once, since another policy was ahead there with equal weights.
const MORE: [(&str, f64); 8] = [
    ("independent p=0.2 v=0.7", 6.0),
    ("independent p=0.1", 6.0),
    ("independent 3 wrong behaviours", 10.0),
    ("correlated strict 0.5", 16.0),
    ("correlated fooled 0.5", 6.0),
    ("correlated 3 wrong behaviours", 8.0),
    ("adversarial v=0.2", 6.0),
    ("adversarial 3 wrong behaviours", 6.0),
];

/// Traits whose weight must not be positive, or a new regression failure could help a class.
const NEVER_FOR: [Trait; 2] = [Trait::Surprise, Trait::Failures];

struct Example {
    rows: Vec<([f64; TRAITS], bool)>,
    context: [f64; CONTEXTS],
    root: f64,
    count: f64,
}

impl Example {
    fn new(case: &Case, count: f64) -> Self {
        let found = describe(&case.candidates, &case.executions);
        let row = |(digest, traits)| (traits, case.right.contains::<String>(&digest));
        Self {
            rows: found.classes.into_iter().map(row).collect(),
            context: found.context,
            root: (found.telling as f64).sqrt(),
            count,
        }
    }

    fn solvable(&self) -> bool {
        self.rows.iter().any(|(_, right)| *right)
    }
}

fn examples(seed: u64, count: usize) -> Vec<Example> {
    let cells = grid();
    let each = count.div_ceil(cells.len());
    let mut examples = Vec::new();
    for ((_, cell), stream) in cells.iter().zip(0u64..) {
        let more = MORE.iter().find(|(name, _)| *name == cell.name).map_or(1.0, |(_, more)| *more);
        let case = |number| Example::new(&draw(cell, seed, stream, number), more);
        examples.extend((0..each as u64).map(case));
    }
    for number in 0..count as u64 {
        let cell = random_cell(&mut Random::new(seed, &[1000, number]));
        examples.push(Example::new(&draw(&cell, seed, 1001, number), 1.0));
    }
    examples.retain(|example| !example.rows.is_empty());
    examples
}

/// Mean and standard deviation of each context, to three digits; the constant stays as it is.
fn scales(examples: &[Example]) -> [(f64, f64); CONTEXTS] {
    let count = examples.len() as f64;
    let mut scales = SCALES;
    for (place, scale) in scales.iter_mut().enumerate() {
        let values = || examples.iter().map(|example| example.context[place]);
        let mean = values().sum::<f64>() / count;
        let spread = (values().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
        let round = |value: f64| (value * 1e3).round() / 1e3;
        *scale = if place == Context::Always as usize {
            (0.0, 1.0)
        } else {
            (round(mean), round(spread))
        };
    }
    scales
}

/// The text of `src/stage/rerank/evidence/weights.rs`, and the mean log-likelihoods of both fits.
pub(crate) fn fit(seed: u64, count: usize) -> (String, [f64; 2]) {
    let examples = examples(seed, count);
    let scales = scales(&examples);
    let choices: Vec<Choice> = examples
        .iter()
        .map(|example| {
            let context = scaled(&example.context, &scales);
            let row = |traits: &[f64; TRAITS]| {
                TERMS.iter().map(|(t, c, _)| traits[*t as usize] * context[*c as usize]).collect()
            };
            Choice {
                rows: example.rows.iter().map(|(traits, right)| (row(traits), *right)).collect(),
                offset: None,
                count: example.count,
            }
        })
        .collect();
    let bounds: Vec<Bound> = TERMS
        .iter()
        .map(|(t, _, _)| if NEVER_FOR.contains(t) { Bound::NotPositive } else { Bound::Free })
        .collect();
    let (solvable, rest): (Vec<_>, Vec<_>) =
        choices.into_iter().zip(&examples).partition(|(_, example)| example.solvable());
    let strip = |pairs: Vec<(Choice, _)>| -> Vec<Choice> {
        pairs.into_iter().map(|(choice, _): (Choice, &Example)| choice).collect()
    };
    let owners: Vec<&Example> = solvable.iter().chain(&rest).map(|(_, e)| *e).collect();
    let mut choices = strip(solvable);
    let (weights, first) = climb(&choices, &bounds);

    choices.extend(strip(rest));
    let against: Vec<Choice> = choices
        .iter()
        .zip(owners)
        .map(|(choice, example)| {
            let mut row = scaled(&example.context, &scales).to_vec();
            row.push(example.root);
            Choice {
                rows: vec![(row, !example.solvable())],
                offset: Some((spare(choice, &weights), example.solvable())),
                count: 1.0,
            }
        })
        .collect();
    let (none, second) = climb(&against, &[Bound::Free; CONTEXTS + 1]);
    (text(&weights, &scales, &none), [first, second])
}

fn text(weights: &[f64], scales: &[(f64, f64); CONTEXTS], none: &[f64]) -> String {
    let mut out = format!(
        "//! Weights of the score: what `evaluation/selection` printed, command `fit`.\n\n\
         use crate::stage::rerank::evidence::traits::{{CONTEXTS, Context, Trait}};\n\n\
         /// A trait, a context and the weight of their product.\n\
         pub type Term = (Trait, Context, f64);\n\n\
         /// The score of a class is the sum over these.\n\
         pub const TERMS: [Term; {}] = [\n",
        TERMS.len()
    );
    for ((kind, context, _), weight) in TERMS.iter().zip(weights) {
        let _ = writeln!(out, "    (Trait::{kind:?}, Context::{context:?}, {weight:.3}),");
    }
    out.push_str(
        "];\n\n/// Mean and spread of each context over the cases of the fit: contexts count in these \
         units.\npub const SCALES: [(f64, f64); CONTEXTS] = [\n",
    );
    for (context, (mean, spread)) in Context::ALL.iter().zip(scales) {
        let _ = writeln!(out, "    ({mean:.3}, {spread:.3}), // {context:?}");
    }
    out.push_str(
        "];\n\n/// Score of \"no candidate is right\": a weight for each context, then one for the square \
         root of the\n/// number of scripts that tell classes apart, since these raise every class's \
         score.\npub const NONE_RIGHT: [f64; CONTEXTS + 1] = [\n",
    );
    for weight in none {
        let _ = writeln!(out, "    {weight:.3},");
    }
    out.push_str("];\n");
    out
}
