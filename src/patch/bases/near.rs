//! The first error of a changed file, from the statements around the change.
//!
//! Everything before the change is as in a base without errors, so the first error is not before the
//! statement that the change begins in or after. Reading from there gives it: to the end of the file, or
//! to the end of an unchanged statement behind the change, provided that every token ends before that (the
//! lexer complains about nothing) and the error lies before that statement, where it depends on nothing
//! that was left out.

use std::borrow::Cow;

use ruff_python_parser::ParseErrorType;

use crate::patch::bases::{Base, Block, CLASS, MAX_PARTS, Part, change_between, without_bom};
use crate::patch::normal::Node;
use crate::patch::python::{
    MAX_DEPTH, MODULE, SyntaxError, depth, error_of, on_enough_stack, parse,
};

/// Text to read.
struct Window {
    start: usize,
    /// Where the error must lie before; nothing if the window reaches to the end of the file.
    before: Option<usize>,
    end: usize,
    level: usize,
}

impl Base {
    /// The first error of a content that has one, if it can be had without parsing the whole file.
    /// Nothing says nothing.
    pub(super) fn error_near(&self, new: &[u8]) -> Option<SyntaxError> {
        let (old, new) = (without_bom(&self.content), without_bom(new));
        let sound = |nodes: &&Vec<Node>| self.error.is_none() && self.utf8 && !nodes.is_empty();
        let nodes = self.nodes.as_ref().filter(sound)?;
        let new = std::str::from_utf8(new).ok()?;
        let change = change_between(old, new.as_bytes());
        let mut part = Part {
            block: Block { nodes, indent: None, level: 0 },
            run: 0..nodes.len(),
            old: 0..old.len(),
            new: 0..new.len(),
        };
        let mut found = None;
        while let Some(inner) = part.before(change.clone()) {
            found = Some(window(&part, &inner, old.len(), new.len()));
            let Some(class) = part.class_around(&inner, &change) else { break };
            part = class;
        }
        let window = found.filter(|window| window.end - window.start <= MAX_PARTS)?;
        self.read_error(new, &window)
    }

    fn read_error(&self, new: &str, window: &Window) -> Option<SyntaxError> {
        let text = new.get(window.start..window.end)?;
        let inside = window.level > 0;
        let text = if inside { Cow::Owned(format!("{CLASS}{text}")) } else { Cow::Borrowed(text) };
        let depth = depth(&text, MAX_DEPTH - window.level)?;
        let error = on_enough_stack(depth, || {
            let parsed = parse(&text, self.python)?;
            let errors = parsed.errors();
            // In a class of a class, the lexer does not know the indentation of the outer one.
            if (window.before.is_some() || window.level > 1)
                && errors.iter().any(|error| is_lexical(&error.error))
            {
                return None;
            }
            if let Some(before) = window.before {
                let header = if inside { CLASS.len() } else { 0 };
                let limit = before - window.start + header;
                if errors.first().is_none_or(|error| error.location.start().to_usize() >= limit) {
                    return None;
                }
            }
            error_of(&parsed, &text, self.python, MODULE)
        })??;
        let lines = new[..window.start].matches('\n').count();
        let line = error.line + lines - usize::from(inside);
        Some(SyntaxError { line, message: error.message })
    }
}

fn is_lexical(error: &ParseErrorType) -> bool {
    matches!(
        error,
        ParseErrorType::Lexical(_)
            | ParseErrorType::FStringError(_)
            | ParseErrorType::TStringError(_)
    )
}

/// From the start of `inner` to the end of the second statement behind it, or of the file. The parser
/// may tell what is missing at the start of the first.
fn window(part: &Part<'_>, inner: &Part<'_>, old: usize, new: usize) -> Window {
    let moved = |place: usize| new - (old - place);
    let (second, before) = part.next(inner.run.end + 1, inner.old.end + 1);
    let (before, end) = if inner.run.end < part.run.end && second < part.run.end {
        let (_, end) = part.next(second + 1, before + 1);
        (Some(moved(before)), moved(end))
    } else {
        (None, new)
    };
    Window { start: inner.old.start, before, end, level: part.block.level }
}
