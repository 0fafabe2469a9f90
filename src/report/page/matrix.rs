//! Changes against tests: who passes what, in words as well as colours.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use crate::artifact::{Outcome, Subject, TestKind};
use crate::report::Evidence;
use crate::report::page::Limits;
use crate::report::page::escape::{escape, shorten};
use crate::report::page::section::{Change, more};

/// Of the repository's tests only those are columns that do not pass everywhere: the others say
/// nothing, and there may be thousands.
pub(super) fn write(
    out: &mut impl Write,
    evidence: &Evidence,
    changes: &[Change<'_>],
    limits: &Limits,
) -> io::Result<()> {
    let mut cells: BTreeMap<(Subject, &str), Outcome> = BTreeMap::new();
    let mut scripts = BTreeSet::new();
    let mut telling = BTreeSet::new();
    let mut tests = BTreeSet::new();
    for row in &evidence.executions {
        cells.insert((row.subject, &row.test), row.outcome);
        match row.kind {
            TestKind::Reproduction => {
                scripts.insert(row.test.as_str());
            }
            TestKind::Regression => {
                tests.insert(row.test.as_str());
                if row.outcome != Outcome::Pass {
                    telling.insert(row.test.as_str());
                }
            }
        }
    }
    if cells.is_empty() {
        return Ok(());
    }
    let shown: Vec<&str> = scripts
        .iter()
        .take(limits.columns)
        .chain(telling.iter().take(limits.columns))
        .copied()
        .collect();
    writeln!(out, "<h3>Changes and tests</h3>\n<div class=\"scroll\"><table><tr><th>change</th>")?;
    let mut legend = Vec::new();
    for test in &shown {
        if scripts.contains(test) {
            writeln!(out, "<th>{}</th>", escape(test))?;
        } else {
            legend.push(*test);
            writeln!(out, "<th>r{}</th>", legend.len())?;
        }
    }
    writeln!(out, "<th>tests of the repository</th></tr>")?;
    let base = std::iter::once(Subject::Base);
    let subjects = base.chain(changes.iter().map(|change| Subject::Candidate(change.first.id)));
    let chosen = evidence.ranking.as_ref().and_then(|ranking| ranking.chosen);
    for subject in subjects.take(limits.changes + 1) {
        let class = match subject {
            Subject::Candidate(id) if Some(id) == chosen => " class=\"chosen\"",
            _ => "",
        };
        write!(out, "<tr{class}><td>{subject}</td>")?;
        for test in &shown {
            let outcome = cells.get(&(subject, test)).copied();
            let (class, word) = word(outcome, scripts.contains(test));
            write!(out, "<td class=\"{class}\">{word}</td>")?;
        }
        let ran = || tests.iter().filter_map(|test| cells.get(&(subject, *test)));
        let passed = ran().filter(|outcome| **outcome == Outcome::Pass).count();
        writeln!(out, "<td>{passed} of {} pass</td></tr>", ran().count())?;
    }
    writeln!(out, "</table></div>")?;
    more(out, changes.len(), limits.changes, "changes")?;
    more(out, scripts.len(), limits.columns, "scripts")?;
    more(out, telling.len(), limits.columns, "tests that fail somewhere")?;
    for (number, test) in legend.iter().enumerate() {
        let test = escape(shorten(test, 300).0);
        writeln!(out, "<div class=\"soft\">r{}: <code>{test}</code></div>", number + 1)?;
    }
    Ok(())
}

/// Class and text of a cell.
fn word(outcome: Option<Outcome>, script: bool) -> (&'static str, &'static str) {
    match (outcome, script) {
        (Some(Outcome::Pass), true) => ("pass", "resolved"),
        (Some(Outcome::Fail), true) => ("fail", "shows it"),
        (Some(Outcome::Pass), false) => ("pass", "pass"),
        (Some(Outcome::Fail), false) => ("fail", "fail"),
        (Some(Outcome::Error), _) => ("error", "error"),
        (Some(Outcome::Timeout), _) => ("timeout", "timeout"),
        (Some(Outcome::NotRun), _) => ("notrun", "not run"),
        (None, _) => ("notrun", "-"),
    }
}
