//! A run as one HTML file: opens offline, loads nothing, and can be read without its script.
//!
//! Written as a stream, an instance at a time, and bounded in each part: a run may be larger than
//! the memory, and what a browser can hold is less than that.

mod escape;
mod matrix;
mod section;

use std::io::{self, Write};

use crate::artifact::Stage;
use crate::report::{Evidence, Funnel, Grade, Totals};

use escape::escape;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What is said of the run as a whole.
#[derive(Debug, Clone, Default)]
pub struct Heading {
    /// Its directory.
    pub run: String,
    /// Names and values: model, dataset, versions.
    pub facts: Vec<(String, String)>,
    /// Settings that are not built in: key, value, origin.
    pub settings: Vec<[String; 3]>,
    /// Prompts by name, with their digests.
    pub prompts: Vec<(String, String)>,
}

/// One instance.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its id.
    pub id: String,
    /// Repository and commit.
    pub place: String,
    /// The issue, if it is stored.
    pub issue: Option<String>,
    /// What the stages saved.
    pub evidence: Evidence,
    /// Finished stages: time and a line for people.
    pub stages: Vec<(Stage, f64, String)>,
    /// What the grader said, if it was asked.
    pub grade: Option<Grade>,
}

/// How much of one instance is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Ranked files.
    files: usize,
    /// Changes, which are the matrix's rows.
    changes: usize,
    /// Changes whose diffs are shown.
    diffs: usize,
    /// The matrix's columns of each family.
    columns: usize,
    /// Rejected samples.
    rejected: usize,
    /// Scripts with their sources.
    scripts: usize,
    /// Bytes of a text: an issue, a script, a diff.
    text: usize,
}

impl Limits {
    /// Instances of a small run are shown nearly whole; 500 must stay a page that opens.
    fn of(instances: usize) -> Self {
        if instances <= 50 {
            Self {
                files: 30,
                changes: 60,
                diffs: 30,
                columns: 60,
                rejected: 60,
                scripts: 40,
                text: 20_000,
            }
        } else {
            Self {
                files: 12,
                changes: 16,
                diffs: 4,
                columns: 20,
                rejected: 12,
                scripts: 4,
                text: 5_000,
            }
        }
    }
}

/// The page being written.
pub struct Page<W: Write> {
    out: W,
    limits: Limits,
}

impl<W: Write> Page<W> {
    /// Writes everything above the instances.
    ///
    /// # Errors
    /// When `out` takes no more.
    pub fn begin(mut out: W, heading: &Heading, totals: &Totals) -> io::Result<Self> {
        let run = escape(&heading.run);
        // The policy forbids every request, should anything ever slip through the escaping.
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; \
             form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{run}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{run}</h1>\n"
        )?;
        table(&mut out, &[], heading.facts.iter().map(|(name, value)| vec![name, value]))?;
        write_totals(&mut out, totals)?;
        if !heading.settings.is_empty() {
            let title = format!("{} settings that are not built in", heading.settings.len());
            writeln!(out, "<details open><summary>{title}</summary>")?;
            let rows = heading.settings.iter().map(|row| row.iter().collect());
            table(&mut out, &["setting", "value", "said by"], rows)?;
            writeln!(out, "</details>")?;
        }
        if !heading.prompts.is_empty() {
            writeln!(out, "<details><summary>SHA-256 of the prompts</summary>")?;
            let rows = heading.prompts.iter().map(|(name, digest)| vec![name, digest]);
            table(&mut out, &["prompt", "digest"], rows)?;
            writeln!(out, "</details>")?;
        }
        writeln!(out, "<h2>Instances</h2>\n<div id=\"tools\" hidden>")?;
        writeln!(
            out,
            "<input id=\"text\" type=\"search\" placeholder=\"filter\" aria-label=\"filter by text\"> \
             <select id=\"state\" aria-label=\"filter by state\"><option value=\"\">all</option>"
        )?;
        let mut states = vec!["solved", "no-candidate", "failed", "unfinished"];
        if totals.grades.is_some() {
            states.extend(["resolved", "unresolved", "grade-error"]);
        }
        for state in states {
            writeln!(out, "<option value=\"{state}\">{}</option>", state.replace('-', " "))?;
        }
        writeln!(out, "</select> <span id=\"count\" class=\"soft\"></span></div>")?;
        Ok(Self { out, limits: Limits::of(totals.instances) })
    }

    /// Writes one instance.
    ///
    /// # Errors
    /// When the output takes no more.
    pub fn instance(&mut self, section: &Section) -> io::Result<()> {
        section::write(&mut self.out, section, &self.limits)
    }

    /// Ends the page and gives the output back.
    ///
    /// # Errors
    /// When the output takes no more.
    pub fn finish(mut self) -> io::Result<W> {
        write!(self.out, "<script>\n{SCRIPT}</script>\n</body>\n</html>\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn write_totals(out: &mut impl Write, totals: &Totals) -> io::Result<()> {
    writeln!(out, "<h2>Totals</h2>")?;
    let mut rows = vec![
        ("instances".to_owned(), totals.instances.to_string()),
        ("with a patch".to_owned(), totals.solved.to_string()),
        ("no candidate".to_owned(), totals.no_candidate.to_string()),
    ];
    for (cause, count) in &totals.failed {
        rows.push((format!("failed ({cause})"), count.to_string()));
    }
    if totals.unfinished > 0 {
        rows.push(("not finished".to_owned(), totals.unfinished.to_string()));
    }
    if let Some(grades) = &totals.grades {
        let [low, high] = grades.interval.map(|bound| bound * 100.0);
        let rate = grades.rate * 100.0;
        rows.push((
            "resolved".to_owned(),
            format!(
                "{} of {} graded: {rate:.1} % (Wilson's interval at 95 %: {low:.1} to {high:.1} %)",
                grades.resolved, grades.graded
            ),
        ));
        if grades.errors > 0 {
            rows.push(("no verdict".to_owned(), grades.errors.to_string()));
        }
    }
    table(out, &[], rows.iter().map(|(name, value)| vec![name, value]))?;
    write_funnel(out, &totals.funnel)?;
    write_time(out, totals)
}

fn write_funnel(out: &mut impl Write, funnel: &Funnel) -> io::Result<()> {
    writeln!(out, "<h3>Where samples were lost</h3>")?;
    let mut steps = vec![("samples drawn".to_owned(), funnel.samples)];
    steps.extend(sorted(&funnel.lost).map(|(code, n)| (format!("lost: {code}"), n)));
    steps.push(("with a patch".to_owned(), funnel.patches));
    steps.extend(sorted(&funnel.rules).map(|(rule, n)| (format!("edits placed: {rule}"), n)));
    steps.push(("different changes".to_owned(), funnel.changes));
    steps.push(("of these, comments or layout only".to_owned(), funnel.cosmetic));
    steps.push(("of these, refused by the sandbox".to_owned(), funnel.not_run));
    steps.push(("scripts drawn".to_owned(), funnel.scripts));
    steps.extend(
        sorted(&funnel.scripts_by_verdict).map(|(what, n)| (format!("scripts that {what}"), n)),
    );
    let steps: Vec<_> = steps.into_iter().map(|(name, n)| (name, n.to_string())).collect();
    table(out, &[], steps.iter().map(|(name, n)| vec![name, n]))
}

fn write_time(out: &mut impl Write, totals: &Totals) -> io::Result<()> {
    if !totals.stages.is_empty() {
        writeln!(out, "<h3>Time</h3>")?;
        let rows: Vec<Vec<String>> = totals
            .stages
            .iter()
            .map(|(stage, time)| {
                vec![
                    stage.to_string(),
                    time.finished.to_string(),
                    format!("{:.1} s", time.seconds),
                    format!("{:.1} s", time.longest),
                ]
            })
            .collect();
        let head = ["stage", "instances that finished it", "sum", "longest"];
        table(out, &head, rows.iter().map(|row| row.iter().collect()))?;
    }
    if !totals.model.is_empty() {
        writeln!(out, "<h3>The model</h3>")?;
        let rows: Vec<Vec<String>> = totals
            .model
            .iter()
            .map(|(call, spent)| {
                let numbers = [
                    spent.asked as u64,
                    spent.journaled as u64,
                    spent.retried as u64,
                    spent.usage.prompt_tokens,
                    spent.usage.cached_tokens,
                    spent.usage.completion_tokens,
                ];
                std::iter::once(call.clone())
                    .chain(numbers.iter().map(ToString::to_string))
                    .collect()
            })
            .collect();
        if let Some(cost) = totals.cost {
            writeln!(out, "<p>cost {cost:.2}</p>")?;
        }
        let head = [
            "request",
            "answers",
            "from a journal",
            "repeated",
            "prompt tokens",
            "of these cached",
            "answer tokens",
        ];
        table(out, &head, rows.iter().map(|row| row.iter().collect()))?;
    }
    Ok(())
}

/// The most first.
fn sorted(
    counts: &std::collections::BTreeMap<String, usize>,
) -> impl Iterator<Item = (&str, usize)> {
    let mut counts: Vec<(&str, usize)> = counts.iter().map(|(k, n)| (k.as_str(), *n)).collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    counts.into_iter()
}

/// A table; cells that are numbers stand on the right.
fn table<'a>(
    out: &mut impl Write,
    head: &[&str],
    rows: impl Iterator<Item = Vec<&'a String>>,
) -> io::Result<()> {
    writeln!(out, "<div class=\"scroll\"><table>")?;
    if !head.is_empty() {
        let cells: String = head.iter().map(|name| format!("<th>{name}</th>")).collect();
        writeln!(out, "<tr>{cells}</tr>")?;
    }
    for row in rows {
        write!(out, "<tr>")?;
        for cell in row {
            let number = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
            let class = if number { " class=\"n\"" } else { "" };
            write!(out, "<td{class}>{}</td>", escape(cell))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</table></div>")
}

#[cfg(test)]
mod tests;
