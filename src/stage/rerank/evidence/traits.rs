//! What speaks for a class, and in which circumstances: numbers that are computed from all
//! candidates and all tests together.

use crate::stage::rerank::CandidateClass;
use crate::stage::rerank::evidence::likeness::{Bits, likeness};
use crate::stage::rerank::evidence::regression::Regression;
use crate::stage::rerank::matrix::{Cell, Family, Matrix};

/// Numbers that describe a class.
pub const TRAITS: usize = 11;

/// Numbers that describe the instance.
pub const CONTEXTS: usize = 10;

/// A number that describes a class. Scripts that pass everywhere or nowhere change none of them; a
/// script without a row for a class was not passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trait {
    /// Logarithm of the votes.
    Votes,
    /// Share of all votes and a few more (right answers concentrate, wrong ones scatter).
    Share,
    /// Scripts passed, over the square root of the number of scripts that tell classes apart.
    Passed,
    /// Scripts passed, each weighted down by the scripts that say the same (`1 / (1 + likeness to
    /// the others)`), so that one misreading of the issue, sampled ten times, is little more than
    /// one witness.
    Witnesses,
    /// Surprise of the regression failures: sum of `-ln((1 + classes that fail) / (1 + classes))`
    /// over failed tests, tests with equal verdicts counted once. What nearly every class fails is
    /// probably a test that the fix must change. Its weight is never positive.
    Surprise,
    /// Share of the votes that pass a script, summed over the scripts passed, over the same root.
    Company,
    /// Logarithm of the votes of all classes, as far as they behave like this one.
    Behaviour,
    /// Those votes as a share of all and a few more.
    BehaviourShare,
    /// Regression failures beyond the fewest, at most four. Its weight is never positive.
    Failures,
    /// Side on which the class stands of the opinion that most scripts share: its verdicts along the
    /// first principal component of the scripts.
    Consensus,
    /// Surprise of the passes: sum of `-ln` of the share of behaviours that pass a script, over the
    /// scripts passed, over the same root.
    Rarity,
}

impl Trait {
    /// Every trait, with its name in `ranking.json`.
    pub const ALL: [(Self, &'static str); TRAITS] = [
        (Self::Votes, "votes"),
        (Self::Share, "share"),
        (Self::Passed, "passed"),
        (Self::Witnesses, "witnesses"),
        (Self::Surprise, "surprise"),
        (Self::Company, "company"),
        (Self::Behaviour, "behaviour"),
        (Self::BehaviourShare, "behaviour_share"),
        (Self::Failures, "failures"),
        (Self::Consensus, "consensus"),
        (Self::Rarity, "rarity"),
    ];
}

/// A number that describes the instance; a trait's weight may depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// 1.
    Always,
    /// Logarithm of the number of behaviours: classes, those that behave alike counted as one.
    Behaviours,
    /// Logarithm of the number of classes.
    Classes,
    /// Logarithm of the number of votes and one.
    Votes,
    /// Share of the votes that the largest behaviour has.
    Largest,
    /// Logarithm of the number of scripts that tell classes apart, and one.
    Scripts,
    /// Mean share of behaviours that pass a script.
    PassRate,
    /// Largest share of scripts that a class passes.
    Best,
    /// Correlation, over classes, of scripts passed and the logarithm of the behaviour's votes.
    Agreement,
    /// Share of the scripts' variance that their first principal component explains.
    OneOpinion,
}

impl Context {
    /// Every context.
    pub const ALL: [Self; CONTEXTS] = [
        Self::Always,
        Self::Behaviours,
        Self::Classes,
        Self::Votes,
        Self::Largest,
        Self::Scripts,
        Self::PassRate,
        Self::Best,
        Self::Agreement,
        Self::OneOpinion,
    ];
}

/// Votes for nobody, added to all votes: of three samples, two that agree are no majority to trust.
const NOBODY: f64 = 4.0;

/// Classes from which on agreement of scripts counts in full. Among few classes scripts agree by
/// chance, or because they are right.
const ENOUGH_CLASSES: f64 = 20.0;

/// Scripts at which two classes with equal verdicts are taken as half the same behaviour.
const ENOUGH_SCRIPTS: f64 = 5.0;

/// Steps of the power iteration that finds the principal component, from equal weights.
const STEPS: usize = 8;

/// What the evidence says about the judged classes.
pub(crate) struct Traits {
    /// One row a class, in the order of [`Trait`].
    pub(crate) rows: Vec<[f64; TRAITS]>,
    /// In the order of [`Context`].
    pub(crate) context: [f64; CONTEXTS],
    /// For each script: how much of a witness it is; 0 if it does not tell classes apart.
    pub(crate) weights: Vec<f64>,
    /// Number of scripts that do.
    pub(crate) telling: usize,
    /// Whether any test tells classes apart.
    pub(crate) sees: bool,
    /// `alike[a][b]`: how alike two judged classes behave, 0 to 1: like scripts, and with fewer
    /// scripts to see a difference by, less.
    pub(crate) alike: Vec<Vec<f64>>,
    /// Votes of each class's behaviour.
    pub(crate) pooled: Vec<f64>,
}

/// Describes the classes in `judged`, in that order.
pub(crate) fn traits(classes: &[CandidateClass], judged: &[usize], matrix: &Matrix<'_>) -> Traits {
    let count = judged.len();
    let votes: Vec<f64> = judged.iter().map(|&class| classes[class].votes() as f64).collect();
    let all: f64 = votes.iter().sum();
    let columns: Vec<Option<Bits>> = (0..matrix.reproduction.tests.len())
        .map(|test| column(&matrix.reproduction, judged, test))
        .collect();
    let telling: Vec<&Bits> = columns.iter().flatten().collect();
    let scripts = telling.len() as f64;
    let root = scripts.max(1.0).sqrt();
    let verdicts: Vec<Vec<f64>> = (0..count)
        .map(|row| telling.iter().map(|column| f64::from(u8::from(column.get(row)))).collect())
        .collect();

    let alike = alike(&verdicts);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let pooled: Vec<f64> = alike.iter().map(|row| dot(row, &votes)).collect();
    let single: Vec<f64> = alike.iter().map(|row| 1.0 / row.iter().sum::<f64>()).collect();
    let behaviours: f64 = single.iter().sum();
    let mean = |weights: &[f64], total: f64| -> Vec<f64> {
        let share = |script| verdicts.iter().zip(weights).map(|(v, w)| v[script] * w).sum::<f64>();
        (0..telling.len()).map(|script| share(script) / total.max(1e-9)).collect()
    };
    let (rates, company) = (mean(&single, behaviours), mean(&votes, all));
    let rarity: Vec<f64> = rates
        .iter()
        .map(|rate| ((1.0 + behaviours) / behaviours.mul_add(*rate, 1.0)).ln())
        .collect();
    let witnesses = witnesses(&telling, count);
    let opinion = Opinion::new(&verdicts, &rates, &single, behaviours);
    let regression = Regression::new(judged, matrix);
    let passed: Vec<f64> = verdicts.iter().map(|row| row.iter().sum()).collect();

    let rows = (0..count)
        .map(|row| {
            let verdicts = &verdicts[row];
            [
                votes[row].ln(),
                votes[row] / (all + NOBODY),
                passed[row] / root,
                dot(verdicts, &witnesses),
                regression.surprise[row],
                dot(verdicts, &company) / root,
                pooled[row].ln(),
                pooled[row] / (all + NOBODY),
                regression.extra[row],
                opinion.side(verdicts, &rates),
                dot(verdicts, &rarity) / root,
            ]
        })
        .collect();
    let logarithms: Vec<f64> = pooled.iter().map(|votes| votes.ln()).collect();
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let context = [
        1.0,
        behaviours.max(1.0).ln(),
        (count.max(1) as f64).ln(),
        (all + 1.0).ln(),
        most(&pooled) / all.max(1.0),
        scripts.ln_1p(),
        rates.iter().sum::<f64>() / scripts.max(1.0),
        most(&passed) / scripts.max(1.0),
        correlation(&logarithms, &passed),
        opinion.share,
    ];
    let (telling, mut witnesses) = (telling.len(), witnesses.into_iter());
    let weights = columns
        .iter()
        .map(|column| column.as_ref().and_then(|_| witnesses.next()).unwrap_or(0.0))
        .collect();
    let sees = telling > 0 || regression.sees();
    Traits { rows, context, weights, telling, sees, alike, pooled }
}

/// Which classes pass; nothing if all say the same.
fn column(family: &Family<'_>, judged: &[usize], test: usize) -> Option<Bits> {
    let passes: Bits = judged.iter().map(|&c| family.cells[c][test] == Cell::Pass).collect();
    (passes.count() > 0 && passes.count() < judged.len()).then_some(passes)
}

fn alike(verdicts: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let rows: Vec<Bits> =
        verdicts.iter().map(|row| row.iter().map(|&verdict| verdict > 0.5).collect()).collect();
    let scripts = verdicts.first().map_or(0, Vec::len);
    let trust = scripts as f64 / (scripts as f64 + ENOUGH_SCRIPTS);
    let mut alike = vec![vec![1.0; rows.len()]; rows.len()];
    for a in 0..rows.len() {
        for b in 0..a {
            let value = likeness(&rows[a], &rows[b], scripts) * trust;
            (alike[a][b], alike[b][a]) = (value, value);
        }
    }
    alike
}

fn witnesses(columns: &[&Bits], classes: usize) -> Vec<f64> {
    let trust = (classes as f64 / ENOUGH_CLASSES).min(1.0);
    (0..columns.len())
        .map(|own| {
            let others = (0..columns.len()).filter(|&other| other != own);
            let alike: f64 =
                others.map(|other| likeness(columns[own], columns[other], classes)).sum();
            1.0 / alike.mul_add(trust, 1.0)
        })
        .collect()
}

/// First principal component of the scripts, over behaviours.
struct Opinion {
    direction: Vec<f64>,
    share: f64,
}

impl Opinion {
    fn new(verdicts: &[Vec<f64>], rates: &[f64], single: &[f64], behaviours: f64) -> Self {
        let scripts = rates.len();
        if scripts == 0 {
            return Self { direction: Vec::new(), share: 0.0 };
        }
        let mut covariance = vec![vec![0.0; scripts]; scripts];
        for (row, weight) in verdicts.iter().zip(single) {
            let apart: Vec<f64> = row.iter().zip(rates).map(|(x, rate)| x - rate).collect();
            for (sums, x) in covariance.iter_mut().zip(&apart) {
                for (sum, y) in sums.iter_mut().zip(&apart) {
                    *sum += weight / behaviours * x * y;
                }
            }
        }
        let apply = |direction: &[f64]| -> Vec<f64> {
            let dot = |row: &Vec<f64>| row.iter().zip(direction).map(|(a, b)| a * b).sum();
            covariance.iter().map(dot).collect()
        };
        let mut direction = vec![1.0 / (scripts as f64).sqrt(); scripts];
        for _ in 0..STEPS {
            let next = apply(&direction);
            let length = next.iter().map(|x| x * x).sum::<f64>().sqrt();
            if length < 1e-12 {
                break;
            }
            direction = next.into_iter().map(|x| x / length).collect();
        }
        let explained: f64 = apply(&direction).iter().zip(&direction).map(|(a, b)| a * b).sum();
        let trace: f64 = (0..scripts).map(|script| covariance[script][script]).sum();
        Self { direction, share: explained / trace.max(1e-9) }
    }

    fn side(&self, verdicts: &[f64], rates: &[f64]) -> f64 {
        let apart = verdicts.iter().zip(rates).map(|(x, rate)| x - rate);
        apart.zip(&self.direction).map(|(x, weight)| x * weight).sum()
    }
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    if a.len() < 3 {
        return 0.0;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let sum =
        |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - ma, y - mb)).sum::<f64>();
    let spread = sum(&|x, _| x * x) * sum(&|_, y| y * y);
    if spread < 1e-12 { 0.0 } else { sum(&|x, y| x * y) / spread.sqrt() }
}
