//! Judging many patches of the same files: each base file is parsed once, and of a file after a
//! patch only the statements around the change.
//!
//! This is exact, not an estimate. A base without errors is at the start of a logical line, outside
//! of brackets and strings, wherever one of its statements starts a line. So what stands between
//! two such places reads the same on its own as in the file, provided that it parses on its own
//! into whole statements of the same block. Then the other statements keep their digests, the file
//! has no error, and the digest of the whole follows from those of its parts. Wherever that cannot
//! be had ([`Base::splice`]) the whole file is parsed.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ruff_python_ast::Stmt;

use crate::patch::class::{Class, Normal, class_of};
use crate::patch::imports::Shadows;
use crate::patch::normal::{Hash256, Node, digest, keeps_docs, nodes};
use crate::patch::python::{
    MAX_DEPTH, MODULE, SyntaxError, decode, depth, error_of, on_enough_stack, parse, too_deep,
};
use crate::patch::syntax::{is_source, rejection};
use crate::patch::{FileChange, FileState, Rejection};

mod near;

/// Base files kept.
const MAX_BASES: usize = 32;
/// Bytes parsed in parts before the whole file is: about what makes that no loss.
const MAX_PARTS: usize = 24 << 10;
/// Bytes of a statement that is looked for in another text.
const MIN_ANCHOR: usize = 24;
/// Bytes compared at a time.
const STEP: usize = 64;
/// What stands before a region of a class, to be parsed as one.
const CLASS: &str = "class _:\n";

/// Judges the patches of one base tree.
pub struct Classifier {
    python: Option<(u8, u8)>,
    shadows: Shadows,
    /// The latest last.
    bases: Mutex<VecDeque<Arc<Base>>>,
}

impl Classifier {
    /// For a base tree with these paths; `python` as for [`crate::patch::check_syntax`].
    #[must_use]
    pub fn new(paths: &[String], python: Option<(u8, u8)>) -> Self {
        Self { python, shadows: Shadows::of(paths), bases: Mutex::default() }
    }

    /// The class of a patch whose files parse: [`crate::patch::check_syntax`] and
    /// [`crate::patch::classify`] in one. Knowing the tree, it also puts imports in order, so its
    /// classes are not to be compared with those of `classify`.
    ///
    /// # Errors
    /// As `check_syntax`.
    pub fn judge(&self, changes: &[FileChange]) -> Result<Class, Rejection> {
        let shadows = self.shadows.after(changes);
        let mut normal = Vec::with_capacity(changes.len());
        for change in changes {
            normal.push(self.normal(change, &shadows)?);
        }
        let pairs = changes.iter().zip(normal);
        Ok(class_of(pairs.filter(|(change, _)| !change.is_unchanged())))
    }

    /// The normal forms before and after.
    fn normal(&self, change: &FileChange, shadows: &Shadows) -> Result<Normal, Rejection> {
        let source = |state: &&FileState| is_source(&change.path, state);
        let base = change.old.as_ref().filter(source).map(|old| self.base(&old.content));
        let before = base.as_ref().and_then(|base| base.digest(shadows));
        let Some(new) = change.new.as_ref().filter(source) else {
            return Ok(Normal { old: before, new: None });
        };
        if let Some(after) = base.as_ref().and_then(|base| base.splice(&new.content, shadows)) {
            return Ok(Normal { old: before, new: Some(after) });
        }
        if let Some(error) = base.as_ref().and_then(|base| base.error_near(&new.content)) {
            return Err(rejection(&change.path, &error));
        }
        let after = Base::new(&new.content, self.python);
        match &after.error {
            Some(error) if base.is_none_or(|base| base.error.is_none()) => {
                Err(rejection(&change.path, error))
            }
            _ => Ok(Normal { old: before, new: after.digest(shadows) }),
        }
    }

    /// What [`Self::judge`] must say of files that parse, without anything taken over.
    #[cfg(test)]
    pub(crate) fn judge_whole(&self, changes: &[FileChange]) -> Class {
        let shadows = self.shadows.after(changes);
        let changed = changes.iter().filter(|change| !change.is_unchanged());
        class_of(changed.map(|change| {
            let form = |state: &Option<FileState>| {
                let state = state.as_ref().filter(|state| is_source(&change.path, state))?;
                crate::patch::normal::normal_form(&decode(&state.content), &shadows)
            };
            (change, Normal { old: form(&change.old), new: form(&change.new) })
        }))
    }

    /// Whether the new file need not be parsed whole.
    #[cfg(test)]
    pub(crate) fn splices(&self, change: &FileChange) -> bool {
        let (Some(old), Some(new)) = (&change.old, &change.new) else { return false };
        self.base(&old.content).splice(&new.content, &self.shadows).is_some()
    }

    fn base(&self, content: &[u8]) -> Arc<Base> {
        let lock = || self.bases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(base) = lock().iter().find(|base| base.content == content) {
            return Arc::clone(base);
        }
        let base = Arc::new(Base::new(content, self.python));
        let mut bases = lock();
        if bases.len() >= MAX_BASES {
            bases.pop_front();
        }
        bases.push_back(Arc::clone(&base));
        base
    }
}

/// A parsed file.
struct Base {
    content: Vec<u8>,
    python: Option<(u8, u8)>,
    error: Option<SyntaxError>,
    keep_docs: bool,
    utf8: bool,
    /// Nothing when there is no normal form.
    nodes: Option<Vec<Node>>,
}

impl Base {
    fn new(content: &[u8], python: Option<(u8, u8)>) -> Self {
        let source = decode(content);
        let keep_docs = keeps_docs(&source);
        let (error, nodes) = match depth(&source, MAX_DEPTH) {
            None => (Some(too_deep()), None),
            Some(depth) => on_enough_stack(depth, || {
                let parsed = parse(&source, python)?;
                let error = error_of(&parsed, &source, python, MODULE);
                Some((error, nodes(parsed, &source, keep_docs)))
            })
            .flatten()
            .unwrap_or_default(),
        };
        let utf8 = std::str::from_utf8(content).is_ok();
        Self { content: content.to_vec(), python, error, keep_docs, utf8, nodes }
    }

    fn digest(&self, shadows: &Shadows) -> Option<Hash256> {
        let text = without_bom(&self.content);
        Some(digest(text, self.nodes.as_ref()?.iter(), self.keep_docs, shadows))
    }

    /// The normal form of another content that has no error, by way of what it shares with this
    /// one. Nothing, which says nothing about it, when
    ///
    /// - this file has an error, no normal form, or is not UTF-8;
    /// - some change has no run of statements around it, in the module or in a class (of a class)
    ///   there, that parses on its own into statements of that block: it has an error, ends within
    ///   a line, with a backslash or in the middle of another block, holds a form feed or a byte
    ///   order mark;
    /// - these runs are long together ([`MAX_PARTS`]);
    /// - the change decides whether docstrings count, or holds what has no normal form.
    fn splice(&self, new: &[u8], shadows: &Shadows) -> Option<Hash256> {
        let (old, new) = (without_bom(&self.content), without_bom(new));
        let nodes =
            self.nodes.as_ref().filter(|nodes| self.error.is_none() && !nodes.is_empty())?;
        if !self.utf8 {
            return None;
        }
        if self.keep_docs && !std::str::from_utf8(new).is_ok_and(keeps_docs) {
            return None;
        }
        let splice = Splice { base: self, old, new, budget: Cell::new(MAX_PARTS) };
        let part = Part {
            block: Block { nodes, indent: None, level: 0 },
            run: 0..nodes.len(),
            old: 0..old.len(),
            new: 0..new.len(),
        };
        let pieces = splice.rebuild(&part)?;
        Some(digest(new, pieces.iter().map(Piece::node), self.keep_docs, shadows))
    }
}

/// The statements of a module, or of a class in it.
#[derive(Clone, Copy)]
struct Block<'a> {
    nodes: &'a [Node],
    /// How the lines of the class start; nothing for the module.
    indent: Option<&'a str>,
    /// How many classes are around it.
    level: usize,
}

/// A run of statements of a block with all lines up to the next one, and the bytes that took their
/// place.
struct Part<'a> {
    block: Block<'a>,
    run: Range<usize>,
    old: Range<usize>,
    new: Range<usize>,
}

enum Piece<'a> {
    Kept(&'a Node),
    Read(Node),
}

impl Piece<'_> {
    fn node(&self) -> &Node {
        match self {
            Self::Kept(node) => node,
            Self::Read(node) => node,
        }
    }
}

/// One new content next to its base.
struct Splice<'a> {
    base: &'a Base,
    old: &'a [u8],
    new: &'a [u8],
    /// Bytes that may still be parsed.
    budget: Cell<usize>,
}

impl<'a> Splice<'a> {
    /// The statements of a part whose new bytes start at the start of a logical line.
    fn rebuild(&self, part: &Part<'a>) -> Option<Vec<Piece<'a>>> {
        let kept = |run: Range<usize>| part.block.nodes[run].iter().map(Piece::Kept);
        let (old, new) = (&self.old[part.old.clone()], &self.new[part.new.clone()]);
        if old == new {
            return Some(kept(part.run.clone()).collect());
        }
        let change = change_between(old, new);
        let change = part.old.start + change.start..part.old.start + change.end;
        // Lines added between two statements may belong to either, or to what is inside of it.
        let mut narrowed = vec![
            part.around(change.start..change.end, false),
            part.around(change.start.saturating_sub(1)..change.end, false),
            part.around(change.start..change.end, true),
        ];
        narrowed.sort_by_key(|part| part.old.len());
        narrowed.dedup_by(|a, b| a.run == b.run);
        narrowed.iter().find_map(|inner| {
            let middle = self.inside(inner, &change).or_else(|| self.split(inner));
            let middle = middle.or_else(|| self.read(inner))?;
            let before = kept(part.run.start..inner.run.start);
            Some(before.chain(middle).chain(kept(inner.run.end..part.run.end)).collect())
        })
    }

    /// By way of the class that all of the change is in.
    fn inside(&self, part: &Part<'a>, change: &Range<usize>) -> Option<Vec<Piece<'a>>> {
        let [node] = &part.block.nodes[part.run.clone()] else { return None };
        let inner = part.class_around(part, change)?;
        let pieces = self.rebuild(&inner)?;
        let node = node.with_body(pieces.iter().map(Piece::node), self.base.keep_docs)?;
        Some(vec![Piece::Read(node)])
    }

    /// In two, at a statement that stands in the new bytes as it did in the old.
    fn split(&self, part: &Part<'a>) -> Option<Vec<Piece<'a>>> {
        let text = &self.new[part.new.clone()];
        let (index, place, found) = (part.run.start + 1..part.run.end).find_map(|index| {
            let place = part.block.nodes[index].start?;
            let (_, end) = part.next(index + 1, place + 1);
            let unit = &self.old[place..end];
            if unit.len() < MIN_ANCHOR {
                return None;
            }
            let found = memchr::memmem::find(text, unit)?;
            (found == 0 || text[found - 1] == b'\n').then_some((index, place, found))
        })?;
        let at = part.new.start + found;
        let left = Part {
            block: part.block,
            run: part.run.start..index,
            old: part.old.start..place,
            new: part.new.start..at,
        };
        let right = Part {
            block: part.block,
            run: index..part.run.end,
            old: place..part.old.end,
            new: at..part.new.end,
        };
        let mut pieces = self.rebuild(&left)?;
        pieces.extend(self.rebuild(&right)?);
        Some(pieces)
    }

    /// The statements of the new bytes, parsed on their own.
    fn read(&self, part: &Part<'a>) -> Option<Vec<Piece<'a>>> {
        let text = std::str::from_utf8(&self.new[part.new.clone()]).ok()?;
        let base = self.base;
        if !part.block.fits(text, part.new.end == self.new.len())
            || !base.keep_docs && keeps_docs(text)
        {
            return None;
        }
        self.budget.set(self.budget.get().checked_sub(text.len())?);
        let inside = part.block.indent.is_some();
        let text = if inside { Cow::Owned(format!("{CLASS}{text}")) } else { Cow::Borrowed(text) };
        let depth = depth(&text, MAX_DEPTH - part.block.level)?;
        let nodes = on_enough_stack(depth, || {
            let parsed = parse(&text, base.python)?;
            if error_of(&parsed, &text, base.python, MODULE).is_some() {
                return None;
            }
            if inside && !matches!(&parsed.syntax().body[..], [Stmt::ClassDef(_)]) {
                return None;
            }
            let mut nodes = nodes(parsed, &text, base.keep_docs)?;
            if inside { Some(nodes.pop()?.class?.nodes) } else { Some(nodes) }
        })??;
        Some(nodes.into_iter().map(Piece::Read).collect())
    }
}

impl<'a> Part<'a> {
    /// The smallest run of statements that holds these old bytes, perhaps with the one before.
    fn around(&self, change: Range<usize>, before: bool) -> Self {
        let nodes = self.block.nodes;
        let starts = |index: &usize| nodes[*index].start.is_some_and(|at| at <= change.start);
        let mut first = self.run.clone().rev().find(starts).unwrap_or(self.run.start);
        if before {
            let mut earlier = (self.run.start..first).rev();
            first = earlier.find(|&index| nodes[index].start.is_some()).unwrap_or(self.run.start);
        }
        let start = match nodes[first].start {
            Some(start) if first > self.run.start => start,
            _ => self.old.start,
        };
        let (next, end) = self.next(first + 1, change.end.max(change.start + 1));
        Self {
            block: self.block,
            run: first..next,
            old: start..end,
            new: self.new.start + (start - self.old.start)..self.new.end - (self.old.end - end),
        }
    }

    /// The smallest run of statements that holds these old bytes and of which the first line is
    /// before them, so that it starts a statement in any text with the same beginning.
    fn before(&self, change: Range<usize>) -> Option<Self> {
        let starts_before = |part: &Self| part.old.start < change.start;
        let near = self.around(change.clone(), false);
        let part = Some(near).filter(starts_before);
        let part = part.or_else(|| Some(self.around(change.clone(), true)));
        let whole_file = |part: &Self| part.block.indent.is_none() && part.old.start == 0;
        part.filter(|part| starts_before(part) || whole_file(part))
    }

    /// The body of the class that this run, a part of this one, is, if it holds the change.
    fn class_around(&self, run: &Self, change: &Range<usize>) -> Option<Self> {
        let [node] = &self.block.nodes[run.run.clone()] else { return None };
        let body = node.class.as_ref()?;
        let start = body.nodes.first()?.start?;
        if change.start < start {
            return None;
        }
        Some(Part {
            block: Block {
                nodes: &body.nodes,
                indent: Some(body.indent.as_deref()?),
                level: self.block.level + 1,
            },
            run: 0..body.nodes.len(),
            old: start..run.old.end,
            new: run.new.start + (start - run.old.start)..run.new.end,
        })
    }

    /// The first statement from `index` on that starts a line at `place` or later, and where.
    fn next(&self, index: usize, place: usize) -> (usize, usize) {
        let starts = |index: usize| self.block.nodes[index].start.filter(|&at| at >= place);
        let next = (index..self.run.end).find_map(|index| Some((index, starts(index)?)));
        next.unwrap_or((self.run.end, self.old.end))
    }
}

impl Block<'_> {
    /// Whether the text may be statements of the block: a test that costs less than to parse it.
    fn fits(&self, text: &str, last: bool) -> bool {
        if text.contains(['\u{c}', '\u{feff}']) || !(last || text.ends_with('\n')) {
            return false;
        }
        if text.trim_end_matches(['\r', '\n']).ends_with('\\') {
            return false;
        }
        let Some(indent) = self.indent else { return true };
        let code = |line: &&str| !matches!(line.trim_start().as_bytes().first(), None | Some(b'#'));
        text.split('\n').find(code).is_some_and(|line| {
            line.strip_prefix(indent).is_some_and(|rest| !rest.starts_with([' ', '\t']))
        })
    }
}

/// The bytes of the old text that the new one replaces, in whole lines.
pub(crate) fn change_between(old: &[u8], new: &[u8]) -> Range<usize> {
    let starts = old.chunks_exact(STEP).zip(new.chunks_exact(STEP));
    let same = starts.take_while(|(a, b)| a == b).count() * STEP;
    let same = same + old[same..].iter().zip(&new[same..]).take_while(|(a, b)| a == b).count();
    let start = old[..same].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let (one, two) = (&old[start..], &new[start..]);
    let ends = one.rchunks_exact(STEP).zip(two.rchunks_exact(STEP));
    let same = ends.take_while(|(a, b)| a == b).count() * STEP;
    let rest = one[..one.len() - same].iter().rev().zip(two[..two.len() - same].iter().rev());
    let tail = old.len() - same - rest.take_while(|(a, b)| a == b).count();
    let end =
        old[tail..].iter().position(|&byte| byte == b'\n').map_or(old.len(), |at| tail + at + 1);
    start..end
}

fn without_bom(content: &[u8]) -> &[u8] {
    content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content)
}
