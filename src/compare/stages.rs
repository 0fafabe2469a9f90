//! Where two runs of one instance part, stage by stage, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::artifact::{
    Candidate, Execution, Localization, Outcome, Ranking, ReproductionTest, Stage, Subject,
    TestKind,
};
use crate::report::Evidence;

/// A stage whose artifact differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageDiff {
    /// Which.
    pub stage: Stage,
    /// What that means.
    pub note: String,
}

/// Every stage whose artifacts differ, first one first.
#[must_use]
pub fn stages(a: &Evidence, b: &Evidence) -> Vec<StageDiff> {
    let notes = [
        (Stage::Localize, localize(a.localization.as_ref(), b.localization.as_ref())),
        (Stage::Repair, repair(&a.candidates, &b.candidates)),
        (Stage::Reproduce, reproduce(&a.tests, &b.tests)),
        (Stage::Execute, execute(&a.executions, &b.executions)),
        (Stage::Rerank, rerank(a, b)),
    ];
    let found = notes.into_iter().filter_map(|(stage, note)| Some((stage, note?)));
    found.map(|(stage, note)| StageDiff { stage, note }).collect()
}

/// For an artifact that only one side has yet.
fn one_side(in_a: bool, in_b: bool) -> Option<String> {
    match (in_a, in_b) {
        (true, false) => Some("not there in B".to_owned()),
        (false, true) => Some("not there in A".to_owned()),
        _ => None,
    }
}

fn localize(a: Option<&Localization>, b: Option<&Localization>) -> Option<String> {
    let (Some(a), Some(b)) = (a, b) else { return one_side(a.is_some(), b.is_some()) };
    let paths = |at: &Localization| -> Vec<String> {
        at.ranked.iter().map(|ranked| ranked.path.clone()).collect()
    };
    let (a, b) = (paths(a), paths(b));
    let at = (0..a.len().max(b.len())).find(|&rank| a.get(rank) != b.get(rank))?;
    let name = |list: &[String]| list.get(at).cloned().unwrap_or_else(|| "nothing".to_owned());
    let in_a: BTreeSet<&String> = a.iter().collect();
    let shared = b.iter().filter(|path| in_a.contains(path)).count();
    Some(format!(
        "{} instead of {} at rank {}; {} vs {} files, {shared} shared",
        name(&b),
        name(&a),
        at + 1,
        a.len(),
        b.len()
    ))
}

/// What counts of a candidate.
fn essence(c: &Candidate) -> (u32, bool, &str, &str, &str) {
    (c.sample, c.is_ok(), &c.class, &c.patch, code(&c.reason))
}

/// The reason's code, before the detail.
fn code(reason: &str) -> &str {
    reason.split(':').next().unwrap_or_default().trim()
}

fn repair(a: &[Candidate], b: &[Candidate]) -> Option<String> {
    if a.iter().map(essence).eq(b.iter().map(essence)) {
        return None;
    }
    if let Some(note) = one_side(!a.is_empty(), !b.is_empty()) {
        return Some(note);
    }
    let classes = |all: &[Candidate]| -> BTreeSet<String> {
        let ok = all.iter().filter(|c| c.is_ok());
        ok.map(|c| if c.class.is_empty() { c.patch.clone() } else { c.class.clone() }).collect()
    };
    let (in_a, in_b) = (classes(a), classes(b));
    let shared = in_a.intersection(&in_b).count();
    let mut note = format!("candidate classes {} vs {}, {shared} shared", in_a.len(), in_b.len());
    if a.len() != b.len() {
        let _ = write!(note, "; samples {} → {}", a.len(), b.len());
    }
    let lost = |all: &[Candidate]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for candidate in all.iter().filter(|c| !c.is_ok()) {
            *counts.entry(code(&candidate.reason).to_owned()).or_default() += 1;
        }
        counts
    };
    if let Some(counts) = changed(&lost(a), &lost(b)) {
        let _ = write!(note, "; lost: {counts}");
    }
    Some(note)
}

/// `not_found 3 → 0, syntax 0 → 1`; nothing when all counts are equal.
fn changed(a: &BTreeMap<String, usize>, b: &BTreeMap<String, usize>) -> Option<String> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let count = |of: &BTreeMap<String, usize>, name: &str| of.get(name).copied().unwrap_or(0);
    let texts: Vec<String> = names
        .into_iter()
        .map(|name| (name, count(a, name), count(b, name)))
        .filter(|(_, a, b)| a != b)
        .map(|(name, a, b)| format!("{name} {a} → {b}"))
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn reproduce(a: &[ReproductionTest], b: &[ReproductionTest]) -> Option<String> {
    let same = a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| (a.sample, &a.source, a.base) == (b.sample, &b.source, b.base));
    if same {
        return None;
    }
    if let Some(note) = one_side(!a.is_empty(), !b.is_empty()) {
        return Some(note);
    }
    let sources = |all: &[ReproductionTest]| -> BTreeSet<String> {
        all.iter().map(|t| t.source.clone()).filter(|source| !source.is_empty()).collect()
    };
    let (in_a, in_b) = (sources(a), sources(b));
    let shared = in_a.intersection(&in_b).count();
    let counts = |all: &[ReproductionTest]| all.iter().filter(|test| test.counts()).count();
    Some(format!(
        "scripts {} vs {}, {shared} shared; reproducing the issue {} → {}",
        in_a.len(),
        in_b.len(),
        counts(a),
        counts(b)
    ))
}

fn execute(a: &[Execution], b: &[Execution]) -> Option<String> {
    type Rows<'a> = BTreeMap<(Subject, TestKind, &'a str), Outcome>;
    fn rows(all: &[Execution]) -> Rows<'_> {
        all.iter().map(|row| ((row.subject, row.kind, row.test.as_str()), row.outcome)).collect()
    }
    let (a, b) = (rows(a), rows(b));
    if a == b {
        return None;
    }
    if let Some(note) = one_side(!a.is_empty(), !b.is_empty()) {
        return Some(note);
    }
    let shared = a.keys().filter(|key| b.contains_key(*key)).count();
    let other =
        a.iter().filter(|(key, outcome)| b.get(*key).is_some_and(|b| b != *outcome)).count();
    Some(format!(
        "{other} of {shared} runs of the same test on the same candidate end otherwise; \
         {} only in A, {} only in B",
        a.len() - shared,
        b.len() - shared
    ))
}

fn rerank(a: &Evidence, b: &Evidence) -> Option<String> {
    let (Some(in_a), Some(in_b)) = (&a.ranking, &b.ranking) else {
        return one_side(a.ranking.is_some(), b.ranking.is_some());
    };
    let (Some(id_a), Some(id_b)) = (in_a.chosen, in_b.chosen) else {
        return match (in_a.chosen, in_b.chosen) {
            (None, Some(id)) => Some(format!("chose {id} instead of nothing")),
            (Some(id), None) => Some(format!("chose nothing instead of {id}")),
            _ => None,
        };
    };
    let find = |all: &[Candidate], ranking: &Ranking| {
        all.iter().find(|c| Some(c.id) == ranking.chosen).cloned()
    };
    let (Some(a), Some(b)) = (find(&a.candidates, in_a), find(&b.candidates, in_b)) else {
        return (id_a != id_b).then(|| format!("chose {id_b} instead of {id_a}"));
    };
    let class: String = b.class.chars().take(8).collect();
    if a.patch == b.patch {
        (id_a != id_b).then(|| format!("same patch by another sample: {id_b} instead of {id_a}"))
    } else if !a.class.is_empty() && a.class == b.class {
        Some(format!("same change in another text: {id_b} instead of {id_a} (class {class})"))
    } else {
        Some(format!("chose another change: {id_b} (class {class}) instead of {id_a}"))
    }
}
