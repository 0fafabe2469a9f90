//! One instance's trace for people: what was found, asked, answered, tested and chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use crate::artifact::{Candidate, Execution, Instance, Outcome, Subject, TestKind};
use crate::llm::{Call, Exchange, Recorded};
use crate::report::{Evidence, explain};

/// Everything that the run kept of one instance.
pub(super) struct Trace<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) instance: Option<&'a Instance>,
    pub(super) evidence: &'a Evidence,
    pub(super) recorded: Option<&'a Recorded>,
}

/// Writes the trace as Markdown.
pub(super) fn write(out: &mut impl Write, trace: &Trace<'_>) -> io::Result<()> {
    let Trace { id, model, evidence, .. } = trace;
    writeln!(out, "# {id}\n")?;
    writeln!(
        out,
        "Model: {model}. The stages recorded what follows while they ran; here it is only put \
         in order. Every sample is listed, also those that led to nothing.\n"
    )?;
    match trace.recorded {
        None => writeln!(out, "The model's answers were not recorded with this run.\n")?,
        Some(recorded) if recorded.skipped > 0 => writeln!(
            out,
            "{} lines of the record of answers could not be read.\n",
            recorded.skipped
        )?,
        Some(_) => {}
    }
    if let Some(instance) = trace.instance {
        writeln!(out, "## Issue\n\n{} at {}\n", instance.repo, instance.base_commit)?;
        fence(out, "", &instance.problem_statement)?;
    }
    localization(out, trace)?;
    repair(out, trace)?;
    scripts(out, trace)?;
    exchanges(out, trace, Call::SelectRegression, "Tests that the fix may change")?;
    executions(out, evidence)?;
    choice(out, trace)
}

fn localization(out: &mut impl Write, trace: &Trace<'_>) -> io::Result<()> {
    writeln!(out, "## Localization\n")?;
    if let Some(localization) = &trace.evidence.localization {
        for (place, file) in localization.ranked.iter().enumerate() {
            let reasons = file.reasons.join("; ");
            writeln!(out, "{}. {} ({:.4}): {}", place + 1, code(&file.path), file.score, reasons)?;
            for place in &file.places {
                let [first, last] = place.lines;
                let name = if place.name.is_empty() { "module level" } else { &place.name };
                let reasons = place.reasons.join("; ");
                writeln!(out, "    - lines {first}-{last}, {}: {reasons}", code(name))?;
            }
        }
        writeln!(out)?;
    }
    exchanges(out, trace, Call::Localize, "Asked of the model")
}

fn repair(out: &mut impl Write, trace: &Trace<'_>) -> io::Result<()> {
    writeln!(out, "## Repair: {} samples\n", trace.evidence.candidates.len())?;
    let names = prompts(out, trace, Call::Repair)?;
    for candidate in &trace.evidence.candidates {
        writeln!(out, "### {}\n", candidate.id)?;
        answers(out, trace, Call::Repair, candidate.sample, &names)?;
        if candidate.is_ok() {
            writeln!(out, "Patch, class {}:\n", code(&candidate.class))?;
            fence(out, "diff", &candidate.patch)?;
        } else {
            writeln!(out, "No patch: {}\n", candidate.reason)?;
        }
    }
    Ok(())
}

fn scripts(out: &mut impl Write, trace: &Trace<'_>) -> io::Result<()> {
    writeln!(out, "## Reproduction scripts: {} samples\n", trace.evidence.tests.len())?;
    let names = prompts(out, trace, Call::Reproduce)?;
    for test in &trace.evidence.tests {
        writeln!(out, "### {}\n", test.id)?;
        answers(out, trace, Call::Reproduce, test.sample, &names)?;
        let said = serde_json::to_value(test.base)?;
        let said = said.as_str().unwrap_or_default();
        writeln!(out, "On the base commit: {said}. {}\n", test.reason)?;
        fence(out, "python", &test.source)?;
    }
    Ok(())
}

/// Prompts and answers of a kind that leaves no artifact a sample.
fn exchanges(out: &mut impl Write, trace: &Trace<'_>, call: Call, title: &str) -> io::Result<()> {
    let samples: BTreeSet<u32> = of(trace, call).map(|exchange| exchange.sample).collect();
    if samples.is_empty() {
        return Ok(());
    }
    writeln!(out, "### {title}\n")?;
    let names = prompts(out, trace, call)?;
    for sample in samples {
        answers(out, trace, call, sample, &names)?;
    }
    Ok(())
}

fn of<'a>(trace: &Trace<'a>, call: Call) -> impl Iterator<Item = &'a Exchange> {
    let exchanges = trace.recorded.map_or(&[][..], |recorded| &recorded.exchanges);
    exchanges.iter().filter(move |exchange| exchange.call == call)
}

/// Writes each prompt once; gives their names.
fn prompts<'a>(
    out: &mut impl Write,
    trace: &Trace<'a>,
    call: Call,
) -> io::Result<BTreeMap<&'a str, String>> {
    let mut names = BTreeMap::new();
    let Some(recorded) = trace.recorded else { return Ok(names) };
    for digest in of(trace, call).filter_map(|exchange| exchange.prompt.as_deref()) {
        if names.contains_key(digest) {
            continue;
        }
        let name = format!("{}-{}", call.name(), names.len() + 1);
        writeln!(out, "#### Prompt {name}\n")?;
        match recorded.prompts.get(digest) {
            None => writeln!(out, "The text with the digest {digest} was not recorded.\n")?,
            Some(messages) => {
                for message in messages {
                    writeln!(out, "{}:\n", message.role)?;
                    fence(out, "", &message.content)?;
                }
            }
        }
        names.insert(digest, name);
    }
    Ok(names)
}

fn answers(
    out: &mut impl Write,
    trace: &Trace<'_>,
    call: Call,
    sample: u32,
    names: &BTreeMap<&str, String>,
) -> io::Result<()> {
    for exchange in of(trace, call).filter(|exchange| exchange.sample == sample) {
        let name = exchange.prompt.as_deref().and_then(|digest| names.get(digest));
        let to = name.map_or_else(String::new, |name| format!(" to prompt {name}"));
        writeln!(out, "Sample {sample}, answer{to}:\n")?;
        if let Some(reasoning) = &exchange.reply.reasoning {
            writeln!(out, "Thinking:\n")?;
            fence(out, "", reasoning)?;
            writeln!(out, "Answer:\n")?;
        }
        fence(out, "", exchange.reply.content.as_deref().unwrap_or("(empty)"))?;
    }
    Ok(())
}

fn executions(out: &mut impl Write, evidence: &Evidence) -> io::Result<()> {
    writeln!(out, "## Executions\n")?;
    let mut rows: BTreeMap<Subject, Vec<&Execution>> = BTreeMap::new();
    for row in &evidence.executions {
        rows.entry(row.subject).or_default().push(row);
    }
    if rows.is_empty() {
        return writeln!(out, "Nothing ran.\n");
    }
    writeln!(out, "Of each class the first candidate was tested.\n")?;
    for (subject, rows) in rows {
        let regression: Vec<_> =
            rows.iter().filter(|row| row.kind == TestKind::Regression).collect();
        let passed = regression.iter().filter(|row| row.outcome == Outcome::Pass).count();
        writeln!(
            out,
            "- {subject}: {passed} of {} tests of the repository pass",
            regression.len()
        )?;
        for row in &rows {
            if row.kind == TestKind::Reproduction || row.outcome != Outcome::Pass {
                let word = match (row.kind, row.outcome) {
                    (TestKind::Reproduction, Outcome::Pass) => "resolved",
                    (TestKind::Reproduction, Outcome::Fail) => "not resolved",
                    (_, Outcome::Pass) => "pass",
                    (_, Outcome::Fail) => "fail",
                    (_, Outcome::Error) => "error",
                    (_, Outcome::Timeout) => "timeout",
                    (_, Outcome::NotRun) => "not run",
                };
                writeln!(out, "    - {}: {word}", code(&row.test))?;
            }
        }
    }
    writeln!(out)
}

fn choice(out: &mut impl Write, trace: &Trace<'_>) -> io::Result<()> {
    writeln!(out, "## Choice\n")?;
    let Some(ranking) = &trace.evidence.ranking else {
        return writeln!(out, "No choice was made.\n");
    };
    writeln!(
        out,
        "The policy {} orders the changes by the following evidence, best first. It sees \
         candidates and executions, never the benchmark's tests.\n",
        code(&ranking.policy)
    )?;
    for entry in &ranking.ranked {
        writeln!(out, "### {}\n", entry.candidate)?;
        fence(out, "json", &serde_json::to_string_pretty(&entry.evidence)?)?;
    }
    writeln!(out, "### In short\n")?;
    fence(out, "", &explain(trace.id, trace.evidence))?;
    let chosen = |candidate: &&Candidate| Some(candidate.id) == ranking.chosen;
    match trace.evidence.candidates.iter().find(chosen) {
        None => writeln!(out, "No patch was handed in."),
        Some(candidate) => {
            writeln!(out, "### Handed in: {}\n", candidate.id)?;
            fence(out, "diff", &candidate.patch)
        }
    }
}

/// A fenced block that nothing in the text can end.
fn fence(out: &mut impl Write, language: &str, text: &str) -> io::Result<()> {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    let end = if text.ends_with('\n') { "" } else { "\n" };
    writeln!(out, "{fence}{language}\n{text}{end}{fence}\n")
}

fn code(text: &str) -> String {
    let marks = "`".repeat(longest_run(text) + 1);
    let blank = if marks.len() > 1 { " " } else { "" };
    format!("{marks}{blank}{}{blank}{marks}", text.replace(['\n', '\r'], " "))
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_fences_stays_in_its_block() {
        let mut out = Vec::new();
        fence(&mut out, "python", "```python\nx\n````").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "`````python\n```python\nx\n````\n`````\n\n");
        assert_eq!(code("a`b"), "`` a`b ``");
    }
}
