//! From kept lines to text.

use crate::context::Context;

/// Gaps of at most so many lines and bytes are shown: the line that stands for them would take as
/// much.
const SHORTEST_GAP: (usize, usize) = (2, 100);

/// Said before the first file when some lines are left out.
pub(super) const NOTE: &str = "\
(A line `... N lines not shown ...` is no part of a file: it stands for N lines that are left out \
here. Edits can only search for lines that are shown.)";

/// A file as it is.
pub(super) fn whole(path: &str, text: &str) -> String {
    format!("### {path}\n{}", text.strip_suffix('\n').unwrap_or(text))
}

/// What stands for a gap.
pub(super) fn elision(lines: usize) -> String {
    let noun = if lines == 1 { "line" } else { "lines" };
    format!("... {lines} {noun} not shown ...")
}

/// A file of which the lines in `keep` are shown, and the runs of lines that this makes.
pub(super) fn part(path: &str, lines: &[&str], keep: &[bool]) -> (String, Vec<[usize; 2]>) {
    let runs = runs(lines, keep);
    let mut text = format!("### {path}");
    let mut next = 1;
    for [first, last] in runs.iter().copied().chain([[lines.len() + 1, lines.len()]]) {
        if first > next {
            text.push('\n');
            text.push_str(&elision(first - next));
        }
        for line in &lines[first - 1..last] {
            text.push('\n');
            text.push_str(line);
        }
        next = last + 1;
    }
    (text, runs)
}

/// Runs of kept lines, first and last from 1; short gaps are closed.
fn runs(lines: &[&str], keep: &[bool]) -> Vec<[usize; 2]> {
    let mut runs = Vec::<[usize; 2]>::new();
    let short = |from: usize, to: usize| {
        let gap = &lines[from..to];
        gap.len() <= SHORTEST_GAP.0
            && gap.iter().map(|line| line.len()).sum::<usize>() <= SHORTEST_GAP.1
    };
    for line in (1..=keep.len()).filter(|line| keep[line - 1]) {
        match runs.last_mut() {
            Some(run) if short(run[1], line - 1) => run[1] = line,
            None if short(0, line - 1) => runs.push([1, line]),
            _ => runs.push([line, line]),
        }
    }
    if let Some(run) = runs.last_mut()
        && short(run[1], lines.len())
    {
        run[1] = lines.len();
    }
    runs
}

/// Adds a rendered file; `runs` are its lines shown where these are not all.
pub(super) fn push(
    context: &mut Context,
    path: &str,
    rendered: &str,
    runs: Option<(Vec<[usize; 2]>, usize)>,
) {
    if !context.text.is_empty() {
        context.text.push_str("\n\n");
    }
    context.text.push_str(rendered);
    context.shown.push(path.to_owned());
    let all = |length| if length == 0 { Vec::new() } else { vec![[1, length]] };
    match runs {
        Some((runs, length)) => {
            if runs != all(length) {
                context.elided.push(path.to_owned());
            }
            context.lines.push(runs);
        }
        // The first line of `rendered` is the path's.
        None => context.lines.push(all(rendered.lines().count() - 1)),
    }
}
