//! Lines by expected gain for their tokens.
//!
//! What is to be made large is the expected number of changed files of which something is shown,
//! and of changed lines that are shown. A unit of lines in the file at rank r brings
//! `P(file r is changed) * its expected share of the changed lines`, the first unit of a file
//! moreover `FILE * P(file r is changed)`. Taking units by gain over tokens is the greedy rule for
//! the knapsack problem, whose loss is at most one unit, small against a context.

use crate::context::draw::{self, NOTE, push};
use crate::context::units::{Parts, Unit};
use crate::context::{Context, ContextFile};

/// Probability that a fix changes the file at this rank: shares of the development rows
/// (`evaluation/localization/README.md`), smoothed. Later ranks have the last value.
const CHANGED: [f64; 20] = [
    0.600, 0.140, 0.065, 0.045, 0.030, 0.022, 0.014, 0.010, 0.008, 0.0065, 0.0055, 0.0048, 0.0042,
    0.0037, 0.0033, 0.0029, 0.0026, 0.0023, 0.0021, 0.0019,
];

/// What it is worth that a changed file is shown at all, against all of its changed lines.
const FILE: f64 = 0.2;

/// Tokens of an elision line, rounded up.
const ELISION: f64 = 12.0;

/// One part of the budget in this many is kept for signatures of functions that are left out.
const SIGNATURES: f64 = 20.0;

/// A unit is at most one part in this many of the budget.
const UNITS: usize = 4;
const SMALLEST: usize = 40;

/// How often what is left of the budget is given out.
const REFILLS: usize = 4;

/// Lines chosen so far.
struct Chosen<'a> {
    files: &'a [Parts<'a>],
    keep: Vec<Vec<bool>>,
    open: Vec<bool>,
    spent: f64,
    /// What was added, in order, with its cost.
    taken: Vec<(usize, Unit, f64)>,
}

/// As [`crate::context::select`], where not everything fits.
pub(super) fn choose(
    files: &[ContextFile],
    issue: &str,
    budget: usize,
    count: &dyn Fn(&str) -> usize,
) -> Context {
    let most = (budget / UNITS).max(SMALLEST);
    let parts = files.iter().map(|file| Parts::of(file, issue, most, count)).collect::<Vec<_>>();
    let mut chosen = Chosen {
        files: &parts,
        keep: parts.iter().map(|file| vec![false; file.lines.len()]).collect(),
        open: vec![false; parts.len()],
        spent: count(NOTE) as f64,
        taken: Vec::new(),
    };
    let limit = budget as f64;
    let order = by_gain(&parts);
    chosen.take(&order, limit * (1.0 - 1.0 / SIGNATURES));
    chosen.sign(limit);
    let mut best = None;
    let mut refills = 0;
    loop {
        let context = chosen.draw(files);
        let tokens = count(&context.text);
        if tokens > budget && chosen.taken.is_empty() {
            return best.unwrap_or_else(|| skipped(files));
        } else if tokens > budget {
            chosen.give_back((tokens - budget) as f64);
        } else {
            best = Some(context);
            // Costs were estimated as if no two units touched: there is something left.
            chosen.spent = tokens as f64;
            refills += 1;
            if refills == REFILLS || !chosen.take(&order, limit) {
                return best.unwrap_or_default();
            }
        }
    }
}

fn skipped(files: &[ContextFile]) -> Context {
    Context { skipped: files.iter().map(|file| file.path.clone()).collect(), ..Context::default() }
}

fn changed(rank: usize) -> f64 {
    CHANGED[rank.min(CHANGED.len() - 1)]
}

/// All units as (file, unit), the highest gain for its tokens first.
fn by_gain(files: &[Parts<'_>]) -> Vec<(usize, usize)> {
    let mut order = Vec::new();
    for (rank, file) in files.iter().enumerate() {
        let cost = |unit: &Unit| file.tokens(unit.lines.clone()) + ELISION;
        let mut own = (0..file.units.len())
            .map(|at| (changed(rank) * file.units[at].share / cost(&file.units[at]), at))
            .collect::<Vec<_>>();
        own.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        if let Some((gain, at)) = own.first_mut() {
            *gain += changed(rank) * FILE / cost(&file.units[*at]);
        }
        order.extend(own.into_iter().map(|(gain, at)| (gain, rank, at)));
    }
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    order.into_iter().map(|(_, file, at)| (file, at)).collect()
}

impl Chosen<'_> {
    /// Adds what fits in this order; says whether anything did.
    fn take(&mut self, order: &[(usize, usize)], limit: f64) -> bool {
        let (files, before) = (self.files, self.taken.len());
        for (file, at) in order {
            self.add(*file, &files[*file].units[*at], limit);
        }
        self.taken.len() > before
    }

    /// Signatures of functions of which nothing is shown, file by file.
    fn sign(&mut self, limit: f64) {
        let files = self.files;
        for (at, file) in files.iter().enumerate() {
            if self.open[at] {
                file.signatures.iter().for_each(|unit| self.add(at, unit, limit));
            }
        }
    }

    fn add(&mut self, file: usize, unit: &Unit, limit: f64) {
        let (keep, files) = (&self.keep[file], self.files);
        let parts = &files[file];
        let lines = || unit.headers.iter().cloned().flatten().chain(unit.lines.clone());
        let new = |line: &usize| !keep[*line];
        if !unit.lines.is_empty() && !unit.lines.clone().any(|line| new(&line)) {
            return;
        }
        // Headers may overlap with one another only where a class and its method share a line.
        let mut cost = parts.tokens(lines().filter(new)) + ELISION;
        if !self.open[file] {
            cost += parts.path.len() as f64 * parts.density + 2.0 * ELISION;
        }
        if self.spent + cost > limit {
            return;
        }
        self.spent += cost;
        self.open[file] = true;
        for line in lines() {
            self.keep[file][line] = true;
        }
        self.taken.push((file, unit.clone(), cost));
    }

    /// Takes back what was added last, about this many tokens of it.
    fn give_back(&mut self, tokens: f64) {
        let mut back = 0.0;
        while back <= tokens
            && let Some((_, _, cost)) = self.taken.pop()
        {
            back += cost;
        }
        let taken = std::mem::take(&mut self.taken);
        self.keep.iter_mut().for_each(|keep| keep.fill(false));
        self.open.fill(false);
        for (file, unit, cost) in taken {
            self.open[file] = true;
            for line in unit.headers.iter().cloned().flatten().chain(unit.lines.clone()) {
                self.keep[file][line] = true;
            }
            self.taken.push((file, unit, cost));
        }
    }

    fn draw(&self, files: &[ContextFile]) -> Context {
        let mut context = Context::default();
        for (at, file) in self.files.iter().enumerate() {
            if self.open[at] {
                let (text, runs) = draw::part(file.path, &file.lines, &self.keep[at]);
                push(&mut context, file.path, &text, Some((runs, file.lines.len())));
            } else {
                context.skipped.push(files[at].path.clone());
            }
        }
        if !context.elided.is_empty() {
            context.text = format!("{NOTE}\n\n{}", context.text);
        }
        context
    }
}
