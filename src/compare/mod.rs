//! Two runs side by side: what differs, at which stage first, and whether chance explains it.
//!
//! Pure: artifacts and records in, differences out. Times never count as a difference.

mod chance;
mod settings;
mod stages;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::artifact::{InstanceId, InstanceOutcome, Stage};
use crate::report::Evidence;
use crate::store::{InstanceDir, StoreError};

pub use chance::mcnemar;
pub use settings::{SettingDiff, decides, settings};
pub use stages::{StageDiff, stages};

/// The saved artifacts of an instance, as far as they exist.
///
/// # Errors
/// [`StoreError`] when one cannot be read.
pub fn evidence(dir: &InstanceDir) -> Result<Evidence, StoreError> {
    Ok(Evidence {
        outcome: dir.outcome()?,
        localization: dir.localization()?,
        candidates: dir.candidates()?,
        tests: dir.tests()?,
        executions: dir.executions()?,
        ranking: dir.ranking()?,
        environment: dir.environment()?,
    })
}

/// The verdicts of a grade report, by the harness's field names; others are let through.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Grades {
    /// Right ones.
    pub resolved_ids: BTreeSet<InstanceId>,
    /// Graded and wrong.
    #[serde(default)]
    pub unresolved_ids: BTreeSet<InstanceId>,
    /// Predictions without a verdict.
    #[serde(default)]
    pub error_ids: BTreeSet<InstanceId>,
    /// Predictions without a patch.
    #[serde(default)]
    pub empty_patch_ids: BTreeSet<InstanceId>,
}

impl Grades {
    /// Whether the instance is resolved; nothing where the report gives no verdict.
    #[must_use]
    pub fn resolved(&self, id: &InstanceId) -> Option<bool> {
        let wrong = [&self.unresolved_ids, &self.error_ids, &self.empty_patch_ids];
        if self.resolved_ids.contains(id) {
            return Some(true);
        }
        wrong.iter().any(|ids| ids.contains(id)).then_some(false)
    }
}

/// One instance in both runs, or in one of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceDiff {
    /// Which.
    pub instance_id: InstanceId,
    /// How it ended in A; absent where A does not have it.
    pub a: Option<String>,
    /// How it ended in B.
    pub b: Option<String>,
    /// The first stage whose artifact differs.
    pub first: Option<Stage>,
    /// Every stage whose artifact differs, in words.
    pub stages: Vec<StageDiff>,
    /// How the images differ in which the tests ran.
    pub image: Option<String>,
    /// Whether A's grade report calls it resolved.
    pub resolved_a: Option<bool>,
    /// Whether B's does.
    pub resolved_b: Option<bool>,
}

impl InstanceDiff {
    /// Compares one instance; a side that is absent lacks the instance.
    #[must_use]
    pub fn new(id: &InstanceId, a: Option<&Evidence>, b: Option<&Evidence>) -> Self {
        let stages = match (a, b) {
            (Some(a), Some(b)) => stages(a, b),
            _ => Vec::new(),
        };
        let environment = |side: Option<&Evidence>| side.and_then(|side| side.environment.clone());
        let image = environment(a).zip(environment(b)).and_then(|(a, b)| b.other_image(&a));
        Self {
            instance_id: id.clone(),
            a: a.map(ended),
            b: b.map(ended),
            first: stages.first().map(|diff| diff.stage),
            stages,
            image,
            resolved_a: None,
            resolved_b: None,
        }
    }

    /// Adds what the grade reports say.
    #[must_use]
    pub fn graded(mut self, a: Option<&Grades>, b: Option<&Grades>) -> Self {
        self.resolved_a = a.and_then(|grades| grades.resolved(&self.instance_id));
        self.resolved_b = b.and_then(|grades| grades.resolved(&self.instance_id));
        self
    }

    /// Whether anything differs.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.a != self.b || self.first.is_some() || self.image.is_some() || self.flip().is_some()
    }

    /// `Some(true)` for unresolved → resolved, `Some(false)` for the way back.
    #[must_use]
    pub fn flip(&self) -> Option<bool> {
        match (self.resolved_a, self.resolved_b) {
            (Some(a), Some(b)) if a != b => Some(b),
            _ => None,
        }
    }

    fn render(&self, out: &mut String) {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "not there".into());
        let (a, b) = (side(&self.a), side(&self.b));
        let ended = if a == b { a } else { format!("{a} → {b}") };
        let grade = match self.flip() {
            Some(true) => "; unresolved → resolved",
            Some(false) => "; resolved → unresolved",
            None => "",
        };
        let first = match (self.first, &self.a, &self.b) {
            (Some(stage), ..) => format!("; first differs at {stage}"),
            (None, Some(_), Some(_)) => String::new(),
            (None, Some(_), None) => "; only in A".into(),
            (None, ..) => "; only in B".into(),
        };
        let _ = writeln!(out, "  {}  {ended}{grade}{first}", self.instance_id);
        if let Some(image) = &self.image {
            let _ = writeln!(out, "      image     {image}");
        }
        for diff in &self.stages {
            let _ = writeln!(out, "      {:<9} {}", diff.stage.name(), diff.note);
        }
    }
}

fn ended(evidence: &Evidence) -> String {
    match &evidence.outcome {
        Some(InstanceOutcome::Solved) => "solved".into(),
        Some(InstanceOutcome::NoCandidate) => "no candidate".into(),
        Some(InstanceOutcome::Failed { stage, cause, .. }) => {
            format!("failed at {stage} ({cause})")
        }
        Some(InstanceOutcome::Cancelled) => "cancelled".into(),
        None if evidence.ranking.is_some() => "ranked".into(),
        None => "unfinished".into(),
    }
}

/// Flips between two grade reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flips {
    /// Instances with a verdict in both reports.
    pub graded_in_both: usize,
    /// Unresolved in A, resolved in B.
    pub gained: Vec<InstanceId>,
    /// Resolved in A, unresolved in B.
    pub lost: Vec<InstanceId>,
    /// Exact two-sided McNemar test: how often chance alone gives flips at least this uneven.
    pub p_value: f64,
}

/// Everything that differs between two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// What could not be compared, and why.
    pub missing: Vec<String>,
    /// Settings and versions with two values.
    pub settings: Vec<SettingDiff>,
    /// Every instance of either run.
    pub instances: Vec<InstanceDiff>,
    /// Where both runs are graded.
    pub grades: Option<Flips>,
    /// Whether anything differs at all.
    pub differ: bool,
}

impl Comparison {
    /// Sums up; `graded` when both runs have a report.
    #[must_use]
    pub fn new(
        missing: Vec<String>,
        settings: Vec<SettingDiff>,
        instances: Vec<InstanceDiff>,
        graded: bool,
    ) -> Self {
        let of = |way: bool| -> Vec<InstanceId> {
            let flipped = instances.iter().filter(|diff| diff.flip() == Some(way));
            flipped.map(|diff| diff.instance_id.clone()).collect()
        };
        let (gained, lost) = (of(true), of(false));
        let both = |d: &&InstanceDiff| d.resolved_a.is_some() && d.resolved_b.is_some();
        let grades = graded.then(|| Flips {
            graded_in_both: instances.iter().filter(both).count(),
            p_value: mcnemar(gained.len(), lost.len()),
            gained,
            lost,
        });
        let differ = !settings.is_empty() || instances.iter().any(InstanceDiff::differs);
        Self { missing, settings, instances, grades, differ }
    }

    /// For the terminal; `a` and `b` are the runs' names.
    #[must_use]
    pub fn render(&self, a: &str, b: &str) -> String {
        let mut out = format!("A {a}\nB {b}\n");
        for line in &self.missing {
            let _ = writeln!(out, "note: {line}");
        }
        out.push_str("\nsettings\n");
        if self.settings.is_empty() {
            out.push_str("  none differs\n");
        }
        for diff in &self.settings {
            let value = |value: &Option<serde_json::Value>| {
                value.as_ref().map_or_else(|| "not set".to_owned(), ToString::to_string)
            };
            let _ = writeln!(out, "  {}: {} → {}", diff.key, value(&diff.a), value(&diff.b));
        }
        let differing = self.instances.iter().filter(|diff| diff.differs()).count();
        let _ = writeln!(out, "\ninstances: {differing} of {} differ", self.instances.len());
        let images = self.instances.iter().filter(|diff| diff.image.is_some()).count();
        if images > 0 {
            let _ = writeln!(out, "images: {images} differ");
        }
        for diff in self.instances.iter().filter(|diff| diff.differs()) {
            diff.render(&mut out);
        }
        if let Some(flips) = &self.grades {
            let (up, down) = (flips.gained.len(), flips.lost.len());
            let _ = writeln!(
                out,
                "\ngrades: {} instances graded in both\n  unresolved → resolved {up}, \
                 resolved → unresolved {down}; exact McNemar p = {:.3}: {}",
                flips.graded_in_both,
                flips.p_value,
                if flips.p_value < 0.05 { "hardly chance" } else { "chance may explain it" }
            );
        }
        out
    }
}

#[cfg(test)]
mod tests;
