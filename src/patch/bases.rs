//! Judging many patches of the same files: each base file is parsed once, and of a file after a
//! patch only the statements around the change.
//!
//! This is exact, not an estimate. A base without errors is at the start of a logical line, outside
//! of brackets and strings, wherever one of its statements starts a line. So what stands between
//! two such places reads the same on its own as in the file, provided that it parses on its own
//! into whole statements of the same block. Then the other statements keep their digests, the file
//! has no error, and the digest of the whole follows from those of its parts. Wherever that cannot
//! be had ([`Base::splice`]) the whole file is parsed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ruff_python_ast::Stmt;

use crate::patch::class::{Class, Normal, class_of};
use crate::patch::imports::Shadows;
use crate::patch::normal::{Hash256, Node, digest, is_lossy, keeps_docs, nodes};
use crate::patch::python::{
    MAX_DEPTH, MODULE, SyntaxError, decode, depth, error_of, on_enough_stack, parse, too_deep,
};
use crate::patch::syntax::{is_source, rejection};
use crate::patch::{FileChange, FileState, Rejection};

/// Base files kept.
const MAX_BASES: usize = 32;
/// Regions tried before the whole file is parsed.
const MAX_TRIES: usize = 4;
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
        let after = Base::new(&new.content, self.python);
        match &after.error {
            Some(error) if base.is_none_or(|base| base.error.is_none()) => {
                Err(rejection(&change.path, error))
            }
            _ => Ok(Normal { old: before, new: after.digest(shadows) }),
        }
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
        Self { content: content.to_vec(), python, error, keep_docs, nodes }
    }

    fn digest(&self, shadows: &Shadows) -> Option<Hash256> {
        let text = without_bom(&self.content);
        Some(digest(text, self.nodes.as_ref()?.iter(), self.keep_docs, shadows))
    }

    /// The normal form of another content that has no error, by way of what it shares with this
    /// one. Nothing, which says nothing about it, when
    ///
    /// - this file has an error, no normal form, or is not UTF-8;
    /// - no run of statements around the change, in the module or in a class (of a class) there,
    ///   parses on its own into statements of that block: it has an error, ends within a line, with
    ///   a backslash or in the middle of another block, holds a form feed or a byte order mark;
    /// - the change decides whether docstrings count, or holds what has no normal form.
    fn splice(&self, new: &[u8], shadows: &Shadows) -> Option<Hash256> {
        let (old, new) = (without_bom(&self.content), without_bom(new));
        let nodes =
            self.nodes.as_ref().filter(|nodes| self.error.is_none() && !nodes.is_empty())?;
        std::str::from_utf8(old).ok()?;
        let change = change_between(old, new);
        let mut regions = Vec::new();
        // Lines added between two statements may belong to either's block.
        for at in [change.start, change.start.saturating_sub(1)] {
            levels(nodes, at..change.end.max(at + 1), old.len(), &mut regions);
        }
        regions.sort_by_key(|region| region.bytes.len());
        regions.dedup_by(|a, b| a.bytes == b.bytes && a.path.len() == b.path.len());
        regions
            .iter()
            .filter_map(|region| {
                let end = (region.bytes.end + new.len()).checked_sub(old.len())?;
                let text = std::str::from_utf8(new.get(region.bytes.start..end)?).ok()?;
                region.fits(text, end == new.len()).then_some((region, text))
            })
            .take(MAX_TRIES)
            .find_map(|(region, text)| {
                let inner = self.read(region, text, old)?;
                region.digest(inner, self.keep_docs, |all| {
                    digest(new, all.iter().copied(), self.keep_docs, shadows)
                })
            })
    }

    /// The statements of a region's new text.
    fn read(&self, region: &Region<'_>, text: &str, old: &[u8]) -> Option<Vec<Node>> {
        let says = if self.keep_docs {
            let outside = [&old[..region.bytes.start], &old[region.bytes.end..]];
            keeps_docs(text)
                || outside.iter().any(|part| std::str::from_utf8(part).is_ok_and(keeps_docs))
        } else {
            keeps_docs(text)
        };
        if says != self.keep_docs || is_lossy(text) {
            return None;
        }
        let inside = region.indent.is_some();
        let text = if inside { format!("{CLASS}{text}") } else { text.to_owned() };
        let depth = depth(&text, MAX_DEPTH - region.path.len())?;
        on_enough_stack(depth, || {
            let parsed = parse(&text, self.python)?;
            if error_of(&parsed, &text, self.python, MODULE).is_some() {
                return None;
            }
            if inside && !matches!(&parsed.syntax().body[..], [Stmt::ClassDef(_)]) {
                return None;
            }
            let mut nodes = nodes(parsed, &text, self.keep_docs)?;
            if inside { Some(nodes.pop()?.class?.nodes) } else { Some(nodes) }
        })?
    }
}

/// The bytes of the old text that the new one replaces, in whole lines.
fn change_between(old: &[u8], new: &[u8]) -> Range<usize> {
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

/// A run of statements of one block, with the lines up to the next statement.
struct Region<'a> {
    /// The classes around it, the outermost first: the block that each stands in, and where.
    path: Vec<(&'a [Node], usize)>,
    block: &'a [Node],
    /// Which statements of the block.
    run: Range<usize>,
    bytes: Range<usize>,
    /// How the lines of its class start; nothing in the module's block.
    indent: Option<&'a str>,
}

/// The regions that hold these bytes, in the module and in each class around them, each also with
/// the statement before it.
fn levels<'a>(nodes: &'a [Node], change: Range<usize>, len: usize, regions: &mut Vec<Region<'a>>) {
    let mut path: Vec<(&[Node], usize)> = Vec::new();
    let (mut block, mut whole, mut indent) = (nodes, 0..len, None);
    loop {
        let starts = |node: &Node, test: &dyn Fn(usize) -> bool| node.start.is_some_and(test);
        let first = block.iter().rposition(|node| starts(node, &|at| at <= change.start));
        let first = first.unwrap_or(0);
        let next = block.iter().position(|node| starts(node, &|at| at >= change.end));
        let next = next.unwrap_or(block.len()).max(first + 1);
        let end = block.get(next).and_then(|node| node.start).unwrap_or(whole.end);
        let begin = |index: usize| match index {
            0 => whole.start,
            _ => block[index].start.unwrap_or(whole.start),
        };
        let before = block[..first].iter().rposition(|node| node.start.is_some()).unwrap_or(0);
        for index in [first, before] {
            let bytes = begin(index)..end;
            regions.push(Region { path: path.clone(), block, run: index..next, bytes, indent });
        }
        let Some(body) = block[first].class.as_ref().filter(|_| next == first + 1) else { return };
        let (Some(inner), Some(start)) = (&body.indent, body.nodes.first().and_then(|n| n.start))
        else {
            return;
        };
        if change.start < start || change.end > end {
            return;
        }
        path.push((block, first));
        (block, whole, indent) = (&body.nodes, start..end, Some(inner.as_str()));
    }
}

impl Region<'_> {
    /// Whether the text may be statements of the block: a test that costs less than to parse it.
    fn fits(&self, text: &str, last: bool) -> bool {
        if text.contains(['\u{c}', '\u{feff}']) || !(last || text.ends_with('\n')) {
            return false;
        }
        let line_end = text.trim_end_matches(['\r', '\n']);
        if line_end.ends_with('\\') {
            return false;
        }
        let Some(indent) = self.indent else { return true };
        let code = |line: &&str| !matches!(line.trim_start().as_bytes().first(), None | Some(b'#'));
        text.split('\n').find(code).is_some_and(|line| {
            line.strip_prefix(indent).is_some_and(|rest| !rest.starts_with([' ', '\t']))
        })
    }

    /// The digest of the module with other statements in the region.
    fn digest(
        &self,
        inner: Vec<Node>,
        keep_docs: bool,
        whole: impl FnOnce(&[&Node]) -> Hash256,
    ) -> Option<Hash256> {
        let (mut block, mut run, mut inner) = (self.block, self.run.clone(), inner);
        for &(outer, index) in self.path.iter().rev() {
            let all = block[..run.start].iter().chain(&inner).chain(&block[run.end..]);
            inner = vec![outer[index].with_body(all, keep_docs)?];
            (block, run) = (outer, index..index + 1);
        }
        let all: Vec<&Node> =
            block[..run.start].iter().chain(&inner).chain(&block[run.end..]).collect();
        Some(whole(&all))
    }
}
