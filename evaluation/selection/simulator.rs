//! Matrices where truth is known.
//!
//! One instance is drawn so:
//!
//! 1. Its sample accuracy is Beta distributed around the cell's `accuracy` with concentration
//!    `spread` (issues differ in difficulty); its share of valid scripts likewise around `validity`.
//! 2. Each of the `candidates` samples has no patch with probability `lost`; else it shows the right
//!    behaviour with the instance's accuracy, else one of `wrong` wrong behaviours, the k-th with
//!    weight `k^-zipf`. Samples of one behaviour may differ in text and so in class: the next
//!    sample is a new class with probability `split / (split + samples so far)`.
//! 3. Each of the `tests` scripts is valid with the instance's share; else it always says
//!    `reproduced` (probability `dead`), always `resolved` (`lax`), or is misled (the rest).
//!    What a script says about a behaviour depends on the [`Structure`]. A valid one is
//!    over-specific with probability `strict`: it then fails each right class with probability 1/2.
//! 4. Each verdict is flipped with probability `flaky`.
//! 5. Of `regressions` regression tests, each wrong behaviour breaks one to three with probability
//!    `catch`; with probability `breaks` one test contradicts the fix: it fails on every right
//!    class and on wrong ones with probability 1/2. Their verdicts are flipped with `flaky / 4`.
//!
//! As in the pipeline, tests run once a class, on its first member.

use std::collections::BTreeSet;

use agent::artifact::{
    Candidate, CandidateId, CandidateStatus, Execution, Outcome, Subject, TestKind,
};

use crate::random::Random;

/// How errors of scripts hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Structure {
    /// Every script errs on its own: a valid one passes each wrong behaviour with probability
    /// `fooled`, a misled one passes any behaviour with probability 0.3.
    Independent,
    /// Wrong behaviours differ in how plausible they are (Beta around `fooled`, for all valid
    /// scripts alike); a misled script wants what one wrong behaviour does, drawn by size, passes
    /// others with probability 0.1, and the right one too.
    Correlated,
    /// All misled scripts want what the largest wrong behaviour does and fail the right one; the
    /// second largest is nearly right: valid scripts pass it with probability `2 * fooled`.
    Adversarial,
}

impl Structure {
    pub(crate) const ALL: [Self; 3] = [Self::Independent, Self::Correlated, Self::Adversarial];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Independent => "independent",
            Self::Correlated => "correlated",
            Self::Adversarial => "adversarial",
        }
    }
}

/// Parameters of the generator; see the module's text.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) structure: Structure,
    pub(crate) candidates: usize,
    pub(crate) tests: usize,
    pub(crate) accuracy: f64,
    pub(crate) spread: f64,
    pub(crate) lost: f64,
    pub(crate) wrong: usize,
    pub(crate) zipf: f64,
    pub(crate) split: f64,
    pub(crate) validity: f64,
    pub(crate) validity_spread: f64,
    pub(crate) dead: f64,
    pub(crate) lax: f64,
    pub(crate) fooled: f64,
    pub(crate) strict: f64,
    pub(crate) flaky: f64,
    pub(crate) regressions: usize,
    pub(crate) catch: f64,
    pub(crate) breaks: f64,
}

impl Cell {
    /// A cell like SWE-RL's setting.
    pub(crate) fn swe_rl(structure: Structure, accuracy: f64, validity: f64) -> Self {
        Self {
            name: format!("{} p={accuracy} v={validity}", structure.name()),
            structure,
            candidates: 40,
            tests: 20,
            accuracy,
            spread: 2.0,
            lost: 0.05,
            wrong: 30,
            zipf: 1.0,
            split: 1.0,
            validity,
            validity_spread: 6.0,
            dead: 0.3,
            lax: 0.2,
            fooled: 0.25,
            strict: 0.15,
            flaky: 0.03,
            regressions: 10,
            catch: 0.3,
            breaks: 0.05,
        }
    }
}

/// One instance with its truth.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) executions: Vec<Execution>,
    /// Digests of the right classes.
    pub(crate) right: BTreeSet<String>,
}

/// Draws instance `number` of a cell. `stream` tells cells apart.
pub(crate) fn draw(cell: &Cell, seed: u64, stream: u64, number: u64) -> Case {
    let random = &mut Random::new(seed, &[stream, number]);
    let accuracy = random.beta(cell.accuracy, cell.spread);
    let (candidates, classes) = samples(cell, accuracy, random);
    let mut verdicts = scripts(cell, &classes, random);
    verdicts.extend(regressions(cell, &classes, random));
    let executions = classes
        .iter()
        .enumerate()
        .flat_map(|(class, (_, first))| {
            verdicts.iter().map(move |(kind, name, passes)| Execution {
                subject: Subject::Candidate(*first),
                test: name.clone(),
                kind: *kind,
                outcome: if passes[class] { Outcome::Pass } else { Outcome::Fail },
                seconds: 0.0,
            })
        })
        .collect();
    let right = candidates
        .iter()
        .filter(|candidate| candidate.class.starts_with("b0."))
        .map(|candidate| candidate.class.clone())
        .collect();
    Case { candidates, executions, right }
}

/// A class's behaviour (0 is right) and its first member.
type Class = (usize, CandidateId);

fn samples(cell: &Cell, accuracy: f64, random: &mut Random) -> (Vec<Candidate>, Vec<Class>) {
    let weights: Vec<f64> = (1..=cell.wrong).map(|k| (k as f64).powf(-cell.zipf)).collect();
    let mut texts: Vec<Vec<f64>> = vec![Vec::new(); cell.wrong + 1];
    let mut classes: Vec<Class> = Vec::new();
    let mut candidates = Vec::new();
    for (_, sample) in (0..cell.candidates).zip(0u32..) {
        if random.chance(cell.lost) {
            candidates.push(Candidate::invalid(sample, "no_edit".to_owned()));
            continue;
        }
        let behaviour = if random.chance(accuracy) { 0 } else { 1 + random.weighted(&weights) };
        let sizes = &mut texts[behaviour];
        let seen: f64 = sizes.iter().sum();
        let text = if random.chance(cell.split / (cell.split + seen)) || sizes.is_empty() {
            sizes.push(0.0);
            classes.push((behaviour, CandidateId(sample)));
            sizes.len() - 1
        } else {
            random.weighted(sizes)
        };
        sizes[text] += 1.0;
        candidates.push(Candidate {
            status: CandidateStatus::Ok,
            class: format!("b{behaviour}.{text}"),
            ..Candidate::invalid(sample, String::new())
        });
    }
    (candidates, classes)
}

/// A test's family, its name, and whether it passes each class.
type Verdicts = (TestKind, String, Vec<bool>);

fn scripts(cell: &Cell, classes: &[Class], random: &mut Random) -> Vec<Verdicts> {
    let valid_share = random.beta(cell.validity, cell.validity_spread);
    let plausible: Vec<f64> = (0..=cell.wrong).map(|_| random.beta(cell.fooled, 1.5)).collect();
    (0..cell.tests)
        .map(|test| {
            let behaviours = if random.chance(valid_share) {
                valid(cell, &plausible, random)
            } else {
                invalid(cell, random)
            };
            let strict = behaviours.0 && random.chance(cell.strict);
            let passes = classes
                .iter()
                .map(|&(behaviour, _)| {
                    let rejected = strict && behaviour == 0 && random.chance(0.5);
                    (behaviours.1[behaviour] && !rejected) ^ random.chance(cell.flaky)
                })
                .collect();
            (TestKind::Reproduction, format!("t{test:03}"), passes)
        })
        .collect()
}

/// Whether the script is valid, and whether it passes each behaviour.
type Opinion = (bool, Vec<bool>);

fn valid(cell: &Cell, plausible: &[f64], random: &mut Random) -> Opinion {
    let passes = (0..=cell.wrong).map(|behaviour| {
        let fooled = match cell.structure {
            _ if behaviour == 0 => 1.0,
            Structure::Independent => cell.fooled,
            Structure::Correlated => plausible[behaviour],
            Structure::Adversarial if behaviour == 2 => 2.0 * cell.fooled,
            Structure::Adversarial => cell.fooled / 2.0,
        };
        random.chance(fooled)
    });
    (true, passes.collect())
}

fn invalid(cell: &Cell, random: &mut Random) -> Opinion {
    let kind = random.unit();
    if kind < cell.dead {
        return (false, vec![false; cell.wrong + 1]);
    }
    if kind < cell.dead + cell.lax {
        return (false, vec![true; cell.wrong + 1]);
    }
    let weights: Vec<f64> = (1..=cell.wrong).map(|k| (k as f64).powf(-cell.zipf)).collect();
    let wanted = match cell.structure {
        Structure::Independent => None,
        Structure::Correlated => Some(1 + random.weighted(&weights)),
        Structure::Adversarial => Some(1),
    };
    let passes = (0..=cell.wrong).map(|behaviour| match (cell.structure, wanted) {
        (_, Some(wanted)) if wanted == behaviour => true,
        (Structure::Independent, _) => random.chance(0.3),
        (Structure::Adversarial, _) if behaviour == 0 => false,
        _ => random.chance(0.1),
    });
    (false, passes.collect())
}

fn regressions(cell: &Cell, classes: &[Class], random: &mut Random) -> Vec<Verdicts> {
    let mut broken = vec![vec![false; cell.regressions]; cell.wrong + 1];
    if cell.regressions > 0 {
        for row in &mut broken[1..] {
            if random.chance(cell.catch) {
                for _ in 0..=random.below(3) {
                    row[random.below(cell.regressions)] = true;
                }
            }
        }
        if random.chance(cell.breaks) {
            let test = random.below(cell.regressions);
            for (behaviour, row) in broken.iter_mut().enumerate() {
                row[test] |= behaviour == 0 || random.chance(0.5);
            }
        }
    }
    (0..cell.regressions)
        .map(|test| {
            let passes = classes
                .iter()
                .map(|&(behaviour, _)| !broken[behaviour][test] ^ random.chance(cell.flaky / 4.0))
                .collect();
            (TestKind::Regression, format!("tests/test_{test}.py::test"), passes)
        })
        .collect()
}

/// The cells that are measured: SWE-RL-like ones, easier and harder ones.
pub(crate) fn grid() -> Vec<(bool, Cell)> {
    let mut cells = Vec::new();
    for structure in Structure::ALL {
        for accuracy in [0.2, 0.3, 0.4] {
            for validity in [0.4, 0.55, 0.7] {
                cells.push((true, Cell::swe_rl(structure, accuracy, validity)));
            }
        }
    }
    for structure in Structure::ALL {
        let base = Cell::swe_rl(structure, 0.3, 0.55);
        let other = |what: &str, change: &dyn Fn(&mut Cell)| {
            let mut cell = base.clone();
            change(&mut cell);
            cell.name = format!("{} {what}", structure.name());
            (false, cell)
        };
        cells.extend([
            other("p=0.1", &|c| c.accuracy = 0.1),
            other("p=0.6", &|c| c.accuracy = 0.6),
            other("v=0.2", &|c| c.validity = 0.2),
            other("v=0.9", &|c| c.validity = 0.9),
            other("no flakiness, no strict scripts", &|c| (c.flaky, c.strict) = (0.0, 0.0)),
            other("flaky 0.1", &|c| c.flaky = 0.1),
            other("strict 0.5", &|c| c.strict = 0.5),
            other("fooled 0.5", &|c| c.fooled = 0.5),
            other("one class a behaviour", &|c| c.split = 0.0),
            other("classes split 5", &|c| c.split = 5.0),
            other("equal difficulty", &|c| c.spread = f64::INFINITY),
            other("3 wrong behaviours", &|c| (c.wrong, c.zipf) = (3, 0.5)),
            other("no scripts", &|c| c.tests = 0),
            other("no regression tests", &|c| c.regressions = 0),
            other("no tests at all", &|c| (c.tests, c.regressions) = (0, 0)),
            other("regressions contradict fix 0.3", &|c| c.breaks = 0.3),
            other("10 candidates, 6 scripts", &|c| (c.candidates, c.tests) = (10, 6)),
            other("120 candidates, 30 scripts", &|c| (c.candidates, c.tests) = (120, 30)),
        ]);
    }
    cells
}

/// A cell with every parameter drawn at random over wide ranges: what weights are fitted on, so
/// that they suit no single generator.
pub(crate) fn random_cell(random: &mut Random) -> Cell {
    let structure = Structure::ALL[random.below(Structure::ALL.len())];
    let mut cell = Cell::swe_rl(structure, 0.3, 0.5);
    let mut between = |low: f64, high: f64| low + (high - low) * random.unit();
    cell.accuracy = between(0.1, 0.6);
    cell.validity = between(0.2, 0.9);
    cell.zipf = between(0.5, 1.5);
    cell.split = between(0.0, 4.0);
    cell.dead = between(0.1, 0.5);
    cell.lax = between(0.05, 0.3);
    cell.fooled = between(0.1, 0.5);
    cell.strict = between(0.0, 0.4);
    cell.flaky = between(0.0, 0.1);
    cell.catch = between(0.1, 0.5);
    cell.breaks = between(0.0, 0.2);
    cell.lost = between(0.0, 0.3);
    cell.spread = [1.0, 2.0, 4.0][random.below(3)];
    cell.validity_spread = [3.0, 6.0, 20.0][random.below(3)];
    cell.wrong = [3, 10, 30, 60][random.below(4)];
    cell.candidates = [5, 10, 20, 40, 40, 80, 120, 300][random.below(8)];
    cell.tests = [1, 3, 6, 10, 20, 20, 20, 30][random.below(8)];
    cell.regressions = [0, 5, 10, 20][random.below(4)];
    cell
}
