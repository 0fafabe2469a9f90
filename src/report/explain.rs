//! Why a patch won, in words and one table.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::artifact::{
    Candidate, EnvironmentRecord, Execution, InstanceOutcome, Localization, Outcome, Ranking,
    ReproductionTest, Subject, TestKind,
};
use crate::report::Funnel;

/// The saved artifacts of one instance, as far as they exist.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// How it ended.
    pub outcome: Option<InstanceOutcome>,
    /// Ranked files.
    pub localization: Option<Localization>,
    /// All samples.
    pub candidates: Vec<Candidate>,
    /// All scripts.
    pub tests: Vec<ReproductionTest>,
    /// All runs.
    pub executions: Vec<Execution>,
    /// The order.
    pub ranking: Option<Ranking>,
    /// Where it ran.
    pub environment: Option<EnvironmentRecord>,
}

/// Text for the terminal, without colours; ends with a line end.
#[must_use]
pub fn explain(instance: &str, evidence: &Evidence) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{instance}: {}", headline(evidence));
    if let Some(InstanceOutcome::Failed { hint, .. }) = &evidence.outcome
        && !hint.is_empty()
    {
        let _ = writeln!(out, "  {hint}");
    }
    files(&mut out, evidence);
    let mut funnel = Funnel::default();
    funnel.add(&evidence.candidates, &evidence.tests, &evidence.executions);
    samples(&mut out, evidence, &funnel);
    witnesses(&mut out, evidence, &funnel);
    table(&mut out, evidence);
    weights(&mut out, evidence);
    rejected(&mut out, evidence);
    environment(&mut out, evidence);
    out
}

fn environment(out: &mut String, evidence: &Evidence) {
    let Some(record) = &evidence.environment else { return };
    let image = record.image.as_deref().unwrap_or("a copy of the base commit's tree");
    let _ = writeln!(out, "\nenvironment\n  {}: {image}", record.sandbox);
    if let Some(digest) = &record.digest {
        let _ = writeln!(out, "  {digest}");
    }
    let Some(leaks) = &record.leaks else { return };
    if leaks.found.is_empty() {
        let _ = writeln!(out, "  leak guard: nothing beside or after HEAD {:.12}", leaks.head);
    }
    for leak in &leaks.found {
        let _ = writeln!(
            out,
            "  leak guard: {} {} {}: {}",
            leak.action.name(),
            leak.count,
            leak.kind,
            leak.detail
        );
    }
}

/// One line on how an instance ended, for a table of many; without a line end.
#[must_use]
pub fn summary(evidence: &Evidence) -> String {
    let patches = evidence.candidates.iter().filter(|c| c.is_ok()).count();
    let judges = evidence.tests.iter().filter(|test| test.counts()).count();
    let Some(first) = evidence.ranking.as_ref().and_then(|ranking| ranking.ranked.first()) else {
        return format!(
            "{}; {patches} of {} samples",
            headline(evidence),
            evidence.candidates.len()
        );
    };
    let votes = first.evidence.get("votes").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let sure = first.evidence.get("posterior").and_then(serde_json::Value::as_f64);
    let sure = sure.map_or_else(String::new, |right| format!(", P(right) {right:.2}"));
    format!(
        "{} with {votes} votes of {patches} patches from {} samples, {judges} scripts{sure}",
        first.candidate,
        evidence.candidates.len()
    )
}

fn headline(evidence: &Evidence) -> String {
    let chosen = evidence.ranking.as_ref().and_then(|ranking| ranking.chosen);
    match (&evidence.outcome, chosen) {
        (Some(InstanceOutcome::Solved), Some(id)) => {
            let policy = evidence.ranking.as_ref().map_or("", |ranking| ranking.policy.as_str());
            format!("{id} was chosen by the policy `{policy}`")
        }
        (Some(InstanceOutcome::NoCandidate), _) => "no sample gave a usable patch".to_owned(),
        (Some(InstanceOutcome::Failed { stage, cause, message, .. }), _) => {
            format!("failed in {stage} ({cause}): {message}")
        }
        (Some(InstanceOutcome::Cancelled), _) => "was stopped before its end".to_owned(),
        _ => "is not finished".to_owned(),
    }
}

fn files(out: &mut String, evidence: &Evidence) {
    let Some(localization) = &evidence.localization else { return };
    out.push_str("\nfiles\n");
    for (place, file) in localization.ranked.iter().take(8).enumerate() {
        let _ = writeln!(out, "  {:>2}. {}  ({})", place + 1, file.path, file.reasons.join("; "));
        for place in file.places.iter().take(if place < 3 { 3 } else { 0 }) {
            let [first, last] = place.lines;
            let name = if place.name.is_empty() { "module level" } else { &place.name };
            let why = place.reasons.join("; ");
            let line = format!("        {:.2}  {name}, lines {first}-{last}  {why}", place.score);
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    if localization.ranked.len() > 8 {
        let _ = writeln!(out, "      and {} more", localization.ranked.len() - 8);
    }
}

fn samples(out: &mut String, evidence: &Evidence, funnel: &Funnel) {
    if !evidence.candidates.is_empty() {
        let _ = writeln!(out, "\nsamples\n  {}", funnel.samples_line());
    }
}

fn witnesses(out: &mut String, evidence: &Evidence, funnel: &Funnel) {
    if evidence.tests.is_empty() && evidence.executions.is_empty() {
        return;
    }
    let regression = evidence.executions.iter().filter(|row| {
        row.subject == Subject::Base
            && row.kind == TestKind::Regression
            && row.outcome == Outcome::Pass
    });
    let passing: BTreeSet<&str> = regression.map(|row| row.test.as_str()).collect();
    let judged: BTreeSet<&str> = evidence
        .executions
        .iter()
        .filter(|row| row.subject != Subject::Base && row.kind == TestKind::Regression)
        .map(|row| row.test.as_str())
        .collect();
    let _ = write!(
        out,
        "\ntests\n  {}\n  {} tests of the repository pass on the base commit",
        funnel.scripts_line(),
        passing.len()
    );
    let outdated: Vec<&str> = passing.difference(&judged).copied().collect();
    if !judged.is_empty() && !outdated.is_empty() {
        let _ =
            write!(out, "; {} of them not used, since a right fix may break them", outdated.len());
    }
    out.push('\n');
}

fn table(out: &mut String, evidence: &Evidence) {
    let Some(ranking) = &evidence.ranking else { return };
    let belief = ranking.ranked.iter().any(|entry| entry.evidence.contains_key("posterior"));
    let title = if belief { "  P(right)" } else { "" };
    let _ = writeln!(out, "\n    change  votes  scripts resolved  tests broken{title}  files");
    for entry in &ranking.ranked {
        let number = |key: &str| entry.evidence.get(key).and_then(serde_json::Value::as_u64);
        let list = |key: &str| {
            entry.evidence.get(key).and_then(|value| value.as_array()).map_or(0, Vec::len)
        };
        let resolved = list("reproduction_passed");
        let all = resolved + list("reproduction_failed");
        let broken = match list("not_run") {
            0 => number("regression_failures").unwrap_or(0).to_string(),
            n => format!("{n} not run"),
        };
        let right = match entry.evidence.get("posterior").and_then(serde_json::Value::as_f64) {
            Some(right) => format!("  {right:>8.2}"),
            None => String::new(),
        };
        let candidate = evidence.candidates.iter().find(|c| c.id == entry.candidate);
        let files = candidate.map(|c| c.files.join(" ")).unwrap_or_default();
        let mark = if ranking.chosen == Some(entry.candidate) { '*' } else { ' ' };
        let cosmetic =
            if candidate.is_some_and(|c| !c.substantive) { " (comments only)" } else { "" };
        let _ = writeln!(
            out,
            "  {mark} {:6}  {:>5}  {:>16}  {broken:>12}{right}  {files}{cosmetic}",
            entry.candidate.to_string(),
            number("votes").unwrap_or(0),
            format!("{resolved} of {all}"),
        );
    }
}

/// What each script is worth as a witness, where the policy says so.
fn weights(out: &mut String, evidence: &Evidence) {
    let first = evidence.ranking.as_ref().and_then(|ranking| ranking.ranked.first());
    let Some(first) = first else { return };
    if let Some(weights) = first.evidence.get("test_weights").and_then(|value| value.as_object())
        && !weights.is_empty()
    {
        let mut weights: Vec<(f64, &str)> = weights
            .iter()
            .map(|(test, weight)| (weight.as_f64().unwrap_or(0.0), test.as_str()))
            .collect();
        weights.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let shown: Vec<String> =
            weights.iter().take(10).map(|(weight, test)| format!("{test} {weight:.2}")).collect();
        let more = match weights.len().saturating_sub(10) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let _ = writeln!(
            out,
            "\nweight of each script (0: tells no changes apart; less than 1: others say the same)\n  \
             {}{more}",
            shown.join(", ")
        );
    }
    if let Some(none) = first.evidence.get("none_right").and_then(serde_json::Value::as_f64) {
        let _ = writeln!(out, "\nprobability that no change is right: {none:.2}");
    }
}

fn rejected(out: &mut String, evidence: &Evidence) {
    let invalid: Vec<&Candidate> = evidence.candidates.iter().filter(|c| !c.is_ok()).collect();
    if invalid.is_empty() {
        return;
    }
    out.push_str("\nrejected\n");
    for candidate in invalid.iter().take(20) {
        let reason = candidate.reason.lines().next().unwrap_or_default();
        let _ = writeln!(out, "  {}  {reason}", candidate.id);
    }
    if invalid.len() > 20 {
        let _ = writeln!(out, "  and {} more", invalid.len() - 20);
    }
}
