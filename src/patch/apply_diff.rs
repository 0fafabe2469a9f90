//! Applying unified diffs to the base tree, as `git apply` does: exact context, at the line that
//! the hunk names or at the nearest one where it fits.

use std::collections::BTreeMap;

use crate::patch::binary::{BinaryHunk, apply_delta};
use crate::patch::matching::occurrences;
use crate::patch::parse_diff::{FileDiff, Hunk, parse_diff};
use crate::patch::paths::{check_new_paths, check_parents, check_path, is_directory};
use crate::patch::{BaseTree, FileChange, FileMode, FileState, ReasonCode, Rejection};

/// Diffs longer than this are refused, in bytes.
const MAX_DIFF: usize = 64 << 20;
/// Lines looked through for hunks that do not lie where they say, in one diff.
const SEARCH_BUDGET: usize = 4_000_000;

/// From a unified diff in git's format to file changes, sorted by path; all or nothing.
///
/// Renames become a deletion and a creation. Files that the diff leaves as they are (a rename of a
/// file to itself, a hunk without effect) are not in the result.
///
/// # Errors
/// `bad_diff` when the text cannot be read, `not_found` when a hunk or a file does not fit the base
/// tree, `unsafe_path` and `path_conflict` for names, `unchanged` when nothing changes.
pub fn apply_diff(diff: &str, base: &dyn BaseTree) -> Result<Vec<FileChange>, Rejection> {
    if diff.len() > MAX_DIFF {
        let detail = format!("the diff has {} bytes, more than {MAX_DIFF}", diff.len());
        return Err(Rejection::new(ReasonCode::TooLarge, detail));
    }
    let mut tree = Tree { base, files: BTreeMap::new(), budget: SEARCH_BUDGET };
    for file in parse_diff(diff)? {
        tree.apply(&file)?;
    }
    tree.finish()
}

struct Tree<'a> {
    base: &'a dyn BaseTree,
    /// State before and after, of every path that the diff names.
    files: BTreeMap<String, (Option<FileState>, Option<FileState>)>,
    budget: usize,
}

impl Tree<'_> {
    fn current(&mut self, path: &str) -> Result<&mut Option<FileState>, Rejection> {
        check_path(path)?;
        if !self.files.contains_key(path) {
            check_parents(path, self.base)?;
            let state = self.base.read(path);
            self.files.insert(path.to_owned(), (state.clone(), state));
        }
        match self.files.get_mut(path) {
            Some((_, now)) => Ok(now),
            None => Err(Rejection::new(ReasonCode::NoSuchFile, format!("`{path}`"))),
        }
    }

    /// What a file's diff starts from: what earlier parts of the diff made of the file, but for
    /// renames and copies, which git takes from the base whatever their order.
    fn source(&mut self, path: &str, moved: bool) -> Result<Option<FileState>, Rejection> {
        let now = self.current(path)?.clone();
        Ok(if moved { self.files.get(path).and_then(|(old, _)| old.clone()) } else { now })
    }

    fn apply(&mut self, file: &FileDiff) -> Result<(), Rejection> {
        let moved = file.old.is_some() && file.new.is_some() && file.old != file.new;
        let before = match &file.old {
            None => None,
            Some(path) => match self.source(path, moved)? {
                Some(state) => Some(state),
                None => {
                    let detail = format!("`{path}` is not in the repository");
                    return Err(Rejection::new(ReasonCode::NoSuchFile, detail));
                }
            },
        };
        let name = file.new.as_ref().or(file.old.as_ref()).map_or("", String::as_str);
        let old_content = before.as_ref().map_or(&[][..], |state| &state.content);
        let content = match &file.binary {
            Some(BinaryHunk::Literal(content)) => content.clone(),
            Some(BinaryHunk::Delta(delta)) => apply_delta(old_content, delta).ok_or_else(|| {
                Rejection::new(ReasonCode::NotFound, format!("`{name}`: the delta does not fit"))
            })?,
            None => apply_hunks(name, old_content, &file.hunks, &mut self.budget)?,
        };
        if let Some(path) = &file.old
            && (file.new.is_none() || (moved && !file.copy))
        {
            if file.new.is_none() && !content.is_empty() {
                let detail = format!("`{path}` is to be deleted but the diff leaves lines in it");
                return Err(Rejection::new(ReasonCode::NotFound, detail));
            }
            *self.current(path)? = None;
        }
        let Some(path) = &file.new else { return Ok(()) };
        let mode =
            file.mode.or(before.as_ref().map(|state| state.mode)).unwrap_or(FileMode::Regular);
        let slot = self.current(path)?;
        if slot.is_some() && (file.old.is_none() || moved) {
            let detail = format!("`{path}` is to be created but exists");
            return Err(Rejection::new(ReasonCode::PathConflict, detail));
        }
        *slot = Some(FileState { content, mode });
        if file.old.as_ref() != Some(path) && is_directory(path, self.base) {
            let detail = format!("`{path}` is a directory");
            return Err(Rejection::new(ReasonCode::PathConflict, detail));
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<FileChange>, Rejection> {
        let changes: Vec<FileChange> = self
            .files
            .into_iter()
            .map(|(path, (old, new))| FileChange { path, old, new })
            .filter(|change| !change.is_unchanged())
            .collect();
        check_new_paths(&changes)?;
        if changes.is_empty() {
            return Err(Rejection::new(ReasonCode::Unchanged, "the diff changes no file"));
        }
        Ok(changes)
    }
}

fn apply_hunks(
    path: &str,
    content: &[u8],
    hunks: &[Hunk],
    budget: &mut usize,
) -> Result<Vec<u8>, Rejection> {
    let old: Vec<&[u8]> = content.split_inclusive(|&byte| byte == b'\n').collect();
    // The lines after the last hunk in the old file, and how far they have moved in the new one.
    let mut rest = 0;
    let mut out: Vec<u8> = Vec::new();
    let mut written = 0;
    for hunk in hunks {
        let wanted = hunk.new_start.saturating_sub(1) + rest;
        let guess = wanted.saturating_sub(written);
        let Some(at) = find_hunk(&old, rest, guess, hunk, budget) else {
            let detail = format!(
                "the hunk at line {} of the diff does not fit `{path}` at line {}",
                hunk.line, hunk.old_start
            );
            return Err(Rejection::new(ReasonCode::NotFound, detail));
        };
        old[rest..at].iter().for_each(|line| out.extend_from_slice(line));
        hunk.new.iter().for_each(|line| out.extend_from_slice(line));
        written += at - rest + hunk.new.len();
        rest = at + hunk.old.len();
    }
    old[rest..].iter().for_each(|line| out.extend_from_slice(line));
    Ok(out)
}

/// The line of `old`, not before `from`, at which the hunk fits and which is nearest to `guess`.
/// As in git, a hunk that starts at line 1 fits there alone, and one that ends with a change fits
/// only at the end.
fn find_hunk(
    old: &[&[u8]],
    from: usize,
    guess: usize,
    hunk: &Hunk,
    budget: &mut usize,
) -> Option<usize> {
    let last = old.len().checked_sub(hunk.old.len())?;
    let fits = |at: usize| {
        let here = old.get(at..at + hunk.old.len()).unwrap_or_default();
        at >= from && at <= last && here.iter().zip(&hunk.old).all(|(line, wanted)| line == wanted)
    };
    if hunk.old_start <= 1 {
        let end_too = !hunk.at_end || last == 0;
        return (end_too && fits(0)).then_some(0);
    }
    if hunk.at_end {
        return fits(last).then_some(last);
    }
    if fits(guess) {
        return Some(guess);
    }
    *budget = budget.checked_sub(old.len())?;
    let wanted: Vec<&[u8]> = hunk.old.iter().map(Vec::as_slice).collect();
    occurrences(&old[from..], &wanted)
        .into_iter()
        .map(|at| at + from)
        .min_by_key(|at| at.abs_diff(guess))
}
