//! One instance of the page: issue, files, changes with their evidence, diffs, losses, scripts.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::artifact::{Candidate, CandidateId, InstanceOutcome};
use crate::report::page::escape::{escape, shorten};
use crate::report::page::{Limits, Section, matrix};
use crate::report::{Evidence, Funnel, Grade, summary};

/// Candidates that are the same change.
pub(super) struct Change<'a> {
    /// The one with the lowest sample index: it was tested, and it names the change.
    pub(super) first: &'a Candidate,
    /// All of them.
    pub(super) members: Vec<CandidateId>,
    /// What the policy looked at; absent before the ranking.
    pub(super) evidence: Option<&'a serde_json::Map<String, serde_json::Value>>,
}

pub(super) fn write(out: &mut impl Write, section: &Section, limits: &Limits) -> io::Result<()> {
    let evidence = &section.evidence;
    let (state, word) = state(evidence);
    let (grade_state, grade) = match &section.grade {
        None => ("", String::new()),
        Some(Grade::Resolved) => ("resolved", "resolved".to_owned()),
        Some(Grade::Unresolved { reason }) if reason.is_empty() => {
            ("unresolved", "unresolved".to_owned())
        }
        Some(Grade::Unresolved { reason }) => ("unresolved", format!("unresolved: {reason}")),
        Some(Grade::Error { message }) => ("grade-error", format!("no verdict: {message}")),
        Some(Grade::NoPatch) => ("unresolved", "unresolved: no patch".to_owned()),
    };
    let id = escape(&section.id);
    write!(
        out,
        "<details class=\"instance\" id=\"{id}\" data-state=\"{state} {grade_state}\">\n\
         <summary><b>{id}</b> <span class=\"tag\">{word}</span>"
    )?;
    if !grade.is_empty() {
        let (grade, _) = shorten(&grade, 300);
        write!(out, "<span class=\"tag {}\">{}</span>", grade_class(grade_state), escape(grade))?;
    }
    let line = summary(evidence);
    writeln!(out, " <span class=\"soft\">{}</span></summary>", escape(shorten(&line, 500).0))?;
    if !section.place.is_empty() {
        writeln!(out, "<p class=\"soft\">{}</p>", escape(&section.place))?;
    }
    if let Some(InstanceOutcome::Failed { message, hint, .. }) = &evidence.outcome {
        writeln!(out, "<p class=\"fail\">{}</p>", escape(message))?;
        if !hint.is_empty() {
            writeln!(out, "<p>hint: {}</p>", escape(hint))?;
        }
    }
    stages(out, section)?;
    if let Some(issue) = &section.issue {
        writeln!(out, "<details><summary>issue</summary>")?;
        text(out, issue, limits.text)?;
        writeln!(out, "</details>")?;
    }
    files(out, evidence, limits)?;
    let changes = changes(evidence);
    samples(out, evidence)?;
    ranking(out, evidence, &changes, limits)?;
    matrix::write(out, evidence, &changes, limits)?;
    diffs(out, evidence, &changes, limits)?;
    rejected(out, evidence, limits)?;
    scripts(out, evidence, limits)?;
    writeln!(out, "</details>")
}

fn state(evidence: &Evidence) -> (&'static str, &'static str) {
    match evidence.outcome {
        Some(InstanceOutcome::Solved) => ("solved", "patch"),
        Some(InstanceOutcome::NoCandidate) => ("no-candidate", "no candidate"),
        Some(InstanceOutcome::Failed { .. }) => ("failed", "failed"),
        Some(InstanceOutcome::Cancelled) => ("unfinished", "stopped"),
        None => ("unfinished", "not finished"),
    }
}

fn grade_class(state: &str) -> &'static str {
    match state {
        "resolved" => "pass",
        "unresolved" => "fail",
        _ => "error",
    }
}

fn stages(out: &mut impl Write, section: &Section) -> io::Result<()> {
    if section.stages.is_empty() {
        return Ok(());
    }
    writeln!(out, "<div class=\"scroll\"><table>")?;
    for (stage, seconds, line) in &section.stages {
        let line = escape(shorten(line, 500).0);
        writeln!(
            out,
            "<tr><td>{stage}</td><td class=\"n\">{seconds:.1} s</td><td>{line}</td></tr>"
        )?;
    }
    writeln!(out, "</table></div>")
}

fn files(out: &mut impl Write, evidence: &Evidence, limits: &Limits) -> io::Result<()> {
    let Some(localization) = &evidence.localization else { return Ok(()) };
    writeln!(out, "<h3>Files</h3>\n<ol>")?;
    for file in localization.ranked.iter().take(limits.files) {
        let reasons = file.reasons.join("; ");
        writeln!(
            out,
            "<li><code>{}</code> <span class=\"soft\">{}</span>",
            escape(&file.path),
            escape(shorten(&reasons, 400).0)
        )?;
        for place in file.places.iter().take(3) {
            let [first, last] = place.lines;
            let name = if place.name.is_empty() { "module level" } else { &place.name };
            writeln!(
                out,
                "<br><span class=\"soft\">{}, lines {first}-{last} {}</span>",
                escape(name),
                escape(shorten(&place.reasons.join("; "), 200).0)
            )?;
        }
        writeln!(out, "</li>")?;
    }
    writeln!(out, "</ol>")?;
    more(out, localization.ranked.len(), limits.files, "files")
}

fn samples(out: &mut impl Write, evidence: &Evidence) -> io::Result<()> {
    if evidence.candidates.is_empty() {
        return Ok(());
    }
    let mut funnel = Funnel::default();
    funnel.add(&evidence.candidates, &evidence.tests, &evidence.executions);
    writeln!(out, "<h3>Samples</h3>\n<p>{}", escape(&funnel.samples_line()))?;
    if !evidence.tests.is_empty() {
        writeln!(out, "<br>{}", escape(&funnel.scripts_line()))?;
    }
    writeln!(out, "</p>")
}

/// In the ranking's order; those that it lacks follow by sample.
fn changes(evidence: &Evidence) -> Vec<Change<'_>> {
    let mut groups: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
    for candidate in evidence.candidates.iter().filter(|candidate| candidate.is_ok()) {
        let class = &candidate.class;
        let key = if class.is_empty() { &candidate.patch } else { class };
        groups.entry(key).or_default().push(candidate);
    }
    let ranked = evidence.ranking.as_ref().map_or(&[][..], |ranking| &ranking.ranked);
    let mut changes: Vec<(usize, u32, Change<'_>)> = groups
        .into_values()
        .filter_map(|mut group| {
            group.sort_by_key(|candidate| candidate.sample);
            let members: Vec<CandidateId> = group.iter().map(|candidate| candidate.id).collect();
            let place = ranked.iter().position(|entry| members.contains(&entry.candidate));
            let named = place.map(|place| ranked[place].candidate);
            let first = group.iter().find(|one| Some(one.id) == named).or(group.first())?;
            let evidence = place.map(|place| &ranked[place].evidence);
            let order = place.unwrap_or(usize::MAX);
            Some((order, first.sample, Change { first, members, evidence }))
        })
        .collect();
    changes.sort_by_key(|(order, sample, _)| (*order, *sample));
    changes.into_iter().map(|(_, _, change)| change).collect()
}

fn ranking(
    out: &mut impl Write,
    evidence: &Evidence,
    changes: &[Change<'_>],
    limits: &Limits,
) -> io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let policy = evidence.ranking.as_ref().map_or("", |ranking| &ranking.policy);
    let title = if policy.is_empty() {
        String::new()
    } else {
        format!(" by the policy {}", escape(policy))
    };
    writeln!(out, "<h3>Changes{title}</h3>")?;
    writeln!(
        out,
        "<div class=\"scroll\"><table><tr><th>change</th><th>votes</th><th>scripts resolved</th>\
         <th>tests broken</th><th>P(right)</th><th>files</th><th>all the policy looked at</th></tr>"
    )?;
    for change in changes.iter().take(limits.changes) {
        row(out, evidence, change)?;
    }
    writeln!(out, "</table></div>")?;
    more(out, changes.len(), limits.changes, "changes")
}

fn row(out: &mut impl Write, evidence: &Evidence, change: &Change<'_>) -> io::Result<()> {
    let empty = serde_json::Map::new();
    let map = change.evidence.unwrap_or(&empty);
    let list = |key: &str| map.get(key).and_then(|v| v.as_array()).map(Vec::len);
    let passed = list("reproduction_passed");
    let scripts = passed.map_or_else(String::new, |passed| {
        format!("{passed} of {}", passed + list("reproduction_failed").unwrap_or(0))
    });
    let broken = match list("not_run") {
        Some(n) if n > 0 => format!("{n} not run"),
        _ => map.get("regression_failures").map_or_else(String::new, ToString::to_string),
    };
    let right = map.get("posterior").and_then(serde_json::Value::as_f64);
    let right = right.map_or_else(String::new, |right| format!("{right:.2}"));
    let chosen = evidence.ranking.as_ref().is_some_and(|r| r.chosen == Some(change.first.id));
    let (class, mark) = if chosen { (" class=\"chosen\"", " chosen") } else { ("", "") };
    let members: Vec<String> = change.members.iter().take(12).map(ToString::to_string).collect();
    let rest = change.members.len().saturating_sub(12);
    let others = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let cosmetic = if change.first.substantive { "" } else { " (comments only)" };
    let rest = serde_json::Value::Object(
        map.iter()
            .filter(|(key, _)| *key != "members")
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    )
    .to_string();
    let rest = if change.evidence.is_some() { shorten(&rest, 1_000).0 } else { "not ranked" };
    writeln!(
        out,
        "<tr{class}><td>{}{mark}</td><td title=\"{}{others}\">{}</td><td>{scripts}</td><td>{}</td>\
         <td>{right}</td><td>{}{cosmetic}</td><td><details><summary>evidence</summary>\
         <code>{}</code></details></td></tr>",
        change.first.id,
        members.join(" "),
        change.members.len(),
        escape(&broken),
        escape(shorten(&change.first.files.join(" "), 300).0),
        escape(rest),
    )
}

fn diffs(
    out: &mut impl Write,
    evidence: &Evidence,
    changes: &[Change<'_>],
    limits: &Limits,
) -> io::Result<()> {
    let chosen = evidence.ranking.as_ref().and_then(|ranking| ranking.chosen);
    let of_chosen = |change: &&Change<'_>| Some(change.first.id) == chosen;
    if let Some(change) = changes.iter().find(of_chosen) {
        writeln!(out, "<h3>Chosen patch: {}</h3>", change.first.id)?;
        diff(out, &change.first.patch, limits.text * 2)?;
    }
    let others: Vec<&Change<'_>> = changes.iter().filter(|change| !of_chosen(change)).collect();
    for change in others.iter().take(limits.diffs) {
        writeln!(out, "<details><summary>patch {}</summary>", change.first.id)?;
        diff(out, &change.first.patch, limits.text)?;
        writeln!(out, "</details>")?;
    }
    more(out, others.len(), limits.diffs, "patches")
}

fn diff(out: &mut impl Write, patch: &str, limit: usize) -> io::Result<()> {
    let (shown, left) = shorten(patch, limit);
    write!(out, "<pre>")?;
    for line in shown.split_inclusive('\n') {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let class = match line.as_bytes().first() {
            _ if line.starts_with("+++ ") || line.starts_with("--- ") => "head",
            _ if line.starts_with("diff ") || line.starts_with("index ") => "head",
            Some(b'+') => "add",
            Some(b'-') => "del",
            Some(b'@') => "hunk",
            _ => "",
        };
        if class.is_empty() {
            writeln!(out, "{}", escape(line))?;
        } else {
            writeln!(out, "<span class=\"{class}\">{}</span>", escape(line))?;
        }
    }
    writeln!(out, "</pre>")?;
    left_out(out, left)
}

fn rejected(out: &mut impl Write, evidence: &Evidence, limits: &Limits) -> io::Result<()> {
    let rejected: Vec<&Candidate> = evidence.candidates.iter().filter(|c| !c.is_ok()).collect();
    if rejected.is_empty() {
        return Ok(());
    }
    writeln!(out, "<details><summary>{} rejected samples</summary><ul>", rejected.len())?;
    for candidate in rejected.iter().take(limits.rejected) {
        let reason = escape(shorten(&candidate.reason, 600).0);
        writeln!(out, "<li>{}: {reason}</li>", candidate.id)?;
    }
    writeln!(out, "</ul>")?;
    more(out, rejected.len(), limits.rejected, "samples")?;
    writeln!(out, "</details>")
}

fn scripts(out: &mut impl Write, evidence: &Evidence, limits: &Limits) -> io::Result<()> {
    if evidence.tests.is_empty() {
        return Ok(());
    }
    writeln!(out, "<details><summary>{} scripts</summary>", evidence.tests.len())?;
    // Those that judge come first.
    let mut tests: Vec<_> = evidence.tests.iter().collect();
    tests.sort_by_key(|test| !test.counts());
    for test in tests.into_iter().take(limits.scripts) {
        let verdict = serde_json::to_value(test.base).unwrap_or_default();
        let verdict = verdict.as_str().unwrap_or_default();
        let reason = match shorten(&test.reason, 400).0 {
            "" => String::new(),
            reason => format!(": {}", escape(reason)),
        };
        writeln!(out, "<h3>{} on the base commit: {verdict}{reason}</h3>", test.id)?;
        text(out, &test.source, limits.text)?;
    }
    more(out, evidence.tests.len(), limits.scripts, "scripts")?;
    writeln!(out, "</details>")
}

fn text(out: &mut impl Write, text: &str, limit: usize) -> io::Result<()> {
    let (shown, left) = shorten(text, limit);
    writeln!(out, "<pre class=\"text\">{}</pre>", escape(shown))?;
    left_out(out, left)
}

fn left_out(out: &mut impl Write, bytes: usize) -> io::Result<()> {
    if bytes == 0 { Ok(()) } else { writeln!(out, "<p class=\"soft\">and {bytes} more bytes</p>") }
}

/// `and 7 more files`, where not all are shown.
pub(super) fn more(out: &mut impl Write, all: usize, shown: usize, what: &str) -> io::Result<()> {
    match all.saturating_sub(shown) {
        0 => Ok(()),
        n => writeln!(out, "<p class=\"soft\">and {n} more {what}</p>"),
    }
}
