//! What the stopping rule saves: samples and executions, at which loss.

use std::fmt::Write as _;

use agent::artifact::{Execution, Subject};
use agent::stage::rerank::{Policy, RerankConfig, SIGNS, rerank, should_stop, signs};

use crate::logit::{Bound, Choice, climb};
use crate::measure::is_right;
use crate::output::percent;
use crate::random::Random;
use crate::simulator::{Case, draw, grid, random_cell};

/// Samples between two looks; rounds are multiples of it.
pub(crate) const LOOK: usize = 2;

/// Confidences that are measured.
const CONFIDENCES: [f64; 8] = [0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995, 0.998];

/// A case after some of its samples.
#[derive(Debug, Clone, Copy)]
struct Look {
    samples: usize,
    executions: usize,
    right: bool,
    confidence: f64,
}

/// A case, looked at again and again; the last look is at all samples.
#[derive(Debug, Clone)]
pub(crate) struct Course(Vec<Look>);

impl Course {
    pub(crate) fn new(case: &Case) -> Self {
        let all = case.candidates.len();
        let look = |samples| {
            let part = first(case, samples);
            let left = all - samples;
            let decision = should_stop(&part.candidates, &part.executions, left, 1.0);
            Look {
                samples,
                executions: part.executions.len(),
                right: is_right(case, decision.leader),
                confidence: decision.confidence,
            }
        };
        Self((LOOK..all).step_by(LOOK).chain([all]).map(look).collect())
    }

    fn last(&self) -> Look {
        self.0[self.0.len() - 1]
    }

    /// The first look of a round at which `stop` holds, else the last.
    fn until(&self, round: usize, stop: impl Fn(&Look) -> bool) -> Look {
        let looks = self.0.iter().filter(|look| look.samples.is_multiple_of(round));
        looks.copied().find(|look| stop(look)).unwrap_or_else(|| self.last())
    }
}

/// Sums over cases that stopped somewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Saved {
    cases: usize,
    solved: usize,
    /// Solved with all samples only, and solved before only.
    missed: usize,
    gained: usize,
    samples: (usize, usize),
    /// Runs of one test on one class.
    executions: (usize, usize),
}

impl Saved {
    fn of<'a>(courses: &'a [Course], stopped: impl Fn(&'a Course) -> Look) -> Self {
        let mut sum = Self::default();
        for course in courses {
            let (end, here) = (course.last(), stopped(course));
            sum.cases += 1;
            sum.solved += usize::from(here.right);
            sum.missed += usize::from(end.right && !here.right);
            sum.gained += usize::from(!end.right && here.right);
            sum.samples = (sum.samples.0 + end.samples, sum.samples.1 + here.samples);
            sum.executions =
                (sum.executions.0 + end.executions, sum.executions.1 + here.executions);
        }
        sum
    }

    fn row(&self, name: &str) -> String {
        let count = self.cases.max(1) as f64;
        let loss = (self.missed as f64 - self.gained as f64) / count;
        let moved = (self.missed + self.gained) as f64 / count;
        let width = 1.96 * ((moved - loss * loss) / count).max(0.0).sqrt();
        format!(
            "| {name} | {} % | {:+.2} ± {:.2} | {} % | {} % |\n",
            percent(self.solved, self.cases),
            100.0 * loss,
            100.0 * width,
            percent(self.samples.1, self.samples.0),
            percent(self.executions.1, self.executions.0)
        )
    }
}

/// Tables for rounds of several sizes, and what is possible.
pub(crate) fn report(courses: &[Course]) -> String {
    let mut out = format!(
        "{} cases. Loss against all samples in points of solve rate, paired, with its 95 % \
         interval.\n",
        courses.len()
    );
    let head = |what: &str| {
        format!("| {what} | solved | loss | samples | executions |\n|---|---|---|---|---|\n")
    };
    for round in [4, 2, 8] {
        let _ = write!(out, "\n## Rounds of {round} samples\n\n{}", head("confidence"));
        for confidence in CONFIDENCES {
            let stopped =
                |course: &Course| course.until(round, |look| look.confidence >= confidence);
            out.push_str(&Saved::of(courses, stopped).row(&confidence.to_string()));
        }
    }
    let _ = write!(out, "\n## As many samples for every instance\n\n{}", head("samples"));
    for budget in [4, 8, 12, 16, 20, 24, 28, 32, 36, 40] {
        let stopped = |course: &Course| course.until(4, |look| look.samples >= budget);
        out.push_str(&Saved::of(courses, stopped).row(&budget.to_string()));
    }
    let _ = write!(
        out,
        "\n## With the truth known\n\nRounds of 4; instances that all samples solve run until the \
         choice is right, the others stop after the first round or as soon as the choice is right.\n\n{}",
        head("rule")
    );
    let until_right = |course: &Course| course.until(4, |look| look.right || !course.last().right);
    out.push_str(&Saved::of(courses, until_right).row("truth"));
    out
}

/// The first `samples` candidates, with every test.
fn first(case: &Case, samples: usize) -> Case {
    let belongs = |row: &&Execution| matches!(row.subject, Subject::Candidate(id) if (id.0 as usize) < samples);
    Case {
        candidates: case.candidates[..samples].to_vec(),
        executions: case.executions.iter().filter(belongs).cloned().collect(),
        right: case.right.clone(),
    }
}

/// What the rule is fitted on: twenty looks at a case before its last.
fn choices(case: &Case) -> Vec<Choice> {
    let solved = |case: &Case| {
        let config = RerankConfig { policy: Policy::Evidence };
        is_right(case, rerank(&config, &case.candidates, &case.executions).chosen)
    };
    let (all, end) = (case.candidates.len(), solved(case));
    let step = LOOK.max(all / 20);
    let mut choices = Vec::new();
    for samples in (step..all).step_by(step) {
        let part = first(case, samples);
        let (signs, leader) = signs(&part.candidates, &part.executions, all - samples);
        let mut add = |gain: bool, count: f64| {
            let rows = vec![(signs.to_vec(), gain)];
            choices.push(Choice { rows, offset: Some((0.0, !gain)), count });
        };
        match (end, is_right(case, leader)) {
            (true, false) => add(true, 1.0),
            // A loss is a gain of minus one.
            (false, true) => {
                add(false, 2.0);
                add(true, -1.0);
            }
            _ => add(false, 1.0),
        }
    }
    choices
}

/// The weights of the expected gain, and the mean log-likelihood: on SWE-RL-like cells and as many
/// random ones of ten candidates or more.
pub(crate) fn fit(seed: u64, count: usize) -> ([f64; SIGNS], f64) {
    let cells: Vec<_> = (0u64..).zip(grid()).filter(|(_, (swe_rl, _))| *swe_rl).collect();
    let mut examples = Vec::new();
    for number in 0..count as u64 {
        let (stream, (_, cell)) = &cells[number as usize % cells.len()];
        examples.extend(choices(&draw(cell, seed, *stream, number / cells.len() as u64)));
        let cell = random_cell(&mut Random::new(seed, &[1000, number]));
        if cell.candidates >= 10 {
            examples.extend(choices(&draw(&cell, seed, 1001, number)));
        }
    }
    let (found, reached) = climb(&examples, &[Bound::Free; SIGNS]);
    let mut weights = [0.0; SIGNS];
    weights.copy_from_slice(&found);
    (weights, reached)
}
