//! Putting a replacement where its search text lies. Lines that search and replacement share keep
//! the file's own bytes; only lines that the answer really adds are written anew, in the file's
//! encoding, with its line ends and, after a shifted match, its indentation.

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::patch::lines::{Eol, Line, TextFile};
use crate::patch::matching::{Placement, Shift};

/// Why a replacement cannot be written at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpliceError {
    /// A line holds characters that the file's encoding lacks.
    Encoding,
    /// The file's indentation is smaller, and a line of the replacement has too little to give.
    Indentation,
}

/// The lines that take the place of `placement`.
fn replacement(
    file: &TextFile,
    search: &[&str],
    replace: &[&str],
    placement: &Placement,
) -> Result<Vec<Line>, SpliceError> {
    let eol = match file.lines.get(placement.range.start).map(|line| line.eol) {
        Some(eol @ (Eol::Lf | Eol::CrLf)) => eol,
        _ => file.usual_eol(),
    };
    let mut out = Vec::new();
    // The first line of the place that is neither written nor dropped yet. Blank lines that only
    // the file has follow the line after them: they stay where that one and the one before stay.
    let mut next = placement.range.start;
    let mut kept_before = true;
    for op in capture_diff_slices(Algorithm::Myers, search, replace) {
        let (_, old, new) = op.as_tag_tuple();
        if matches!(op, DiffOp::Equal { .. }) {
            for line in &placement.lines[old] {
                let Some(at) = *line else { continue };
                let from = if kept_before { next } else { at };
                out.extend_from_slice(&file.lines[from..=at]);
                next = at + 1;
                kept_before = true;
            }
            continue;
        }
        if let Some(last) = placement.lines[old].iter().flatten().last() {
            next = last + 1;
            kept_before = false;
        }
        for line in &replace[new] {
            let shifted = shifted(line, &placement.shift)?;
            let text = file.encode(&shifted).ok_or(SpliceError::Encoding)?;
            out.push(Line { text, eol });
        }
    }
    Ok(out)
}

fn shifted(line: &str, shift: &Shift) -> Result<String, SpliceError> {
    match shift {
        _ if line.trim().is_empty() => Ok(line.to_owned()),
        Shift::Keep => Ok(line.to_owned()),
        Shift::Add(more) => Ok(format!("{more}{line}")),
        Shift::Remove(less) => {
            line.strip_prefix(less.as_str()).map(str::to_owned).ok_or(SpliceError::Indentation)
        }
    }
}

/// Replaces the lines of every placement (in the file's order, not overlapping).
///
/// A missing final newline stays missing when the last line is replaced by another.
pub(crate) fn splice(
    file: &mut TextFile,
    search: &[&str],
    replace: &[&str],
    placements: &[Placement],
) -> Result<(), SpliceError> {
    let usual = file.usual_eol();
    let unfinished = file.lines.last().is_some_and(|line| line.eol == Eol::Missing);
    let mut out: Vec<Line> = Vec::with_capacity(file.lines.len());
    let mut copied = 0;
    for placement in placements {
        out.extend_from_slice(&file.lines[copied..placement.range.start]);
        let lines = replacement(file, search, replace, placement)?;
        let at_end = placement.range.end == file.lines.len();
        let wrote = !lines.is_empty();
        out.extend(lines);
        if at_end
            && wrote
            && unfinished
            && let Some(last) = out.last_mut()
        {
            last.eol = Eol::Missing;
        }
        copied = placement.range.end;
    }
    out.extend_from_slice(&file.lines[copied..]);
    let end = out.len().saturating_sub(1);
    for line in &mut out[..end] {
        if line.eol == Eol::Missing {
            line.eol = usual;
        }
    }
    file.lines = out;
    Ok(())
}

/// Fills a file that is new or blank; every line gets an end.
pub(crate) fn fill(file: &mut TextFile, replace: &[&str]) -> Result<(), SpliceError> {
    let eol = file.usual_eol();
    let mut lines = Vec::with_capacity(replace.len());
    for line in replace {
        lines.push(Line { text: file.encode(line).ok_or(SpliceError::Encoding)?, eol });
    }
    file.lines = lines;
    Ok(())
}
