//! Python sources through ruff's parser: what parsing them takes, and the first error.
//!
//! The parser grows its own stack, but walking and dropping a deep tree does not: sources nested
//! deeper than [`MAX_DEPTH`] are not parsed (CPython refuses them too), the others on a stack that
//! is large enough.

use std::borrow::Cow;

use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{ModModule, PythonVersion, Stmt};
use ruff_python_parser::{Mode, ParseOptions, Parsed, lexer, parse_unchecked};
use ruff_text_size::{Ranged as _, TextSize};

/// Deepest nesting of brackets, operators and blocks that is parsed.
pub(crate) const MAX_DEPTH: usize = 2_000;
/// Stack for one parse in bytes: 32 KiB for each level.
const STACK: usize = MAX_DEPTH * (32 << 10);
/// Nesting that any thread's stack has room for.
const SHALLOW: usize = 24;

/// A syntax error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// The bytes of a Python file as text: without a byte order mark, and with every byte its own
/// character where they are not UTF-8, which keeps different sources different.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes)
        .map_or_else(|_| bytes.iter().copied().map(char::from).collect(), Cow::Borrowed)
}

/// The first error of a source, by the grammar of the target version if one is given, and by the
/// newest grammar otherwise. Besides the parser's errors it knows `return`, `break` and `continue`
/// where they cannot stand, as edits with wrong indentation leave them.
pub(crate) fn first_error(source: &str, target: Option<(u8, u8)>) -> Option<SyntaxError> {
    let Some(depth) = depth(source, MAX_DEPTH) else { return Some(too_deep()) };
    on_enough_stack(depth, || error_of(&parse(source, target)?, source, target, MODULE))?
}

/// The error of a source that is not parsed.
pub(crate) fn too_deep() -> SyntaxError {
    SyntaxError { line: 1, message: "nested too deeply to be parsed".to_owned() }
}

/// Parses a module, by the grammar of the target version if one is given.
pub(crate) fn parse(source: &str, target: Option<(u8, u8)>) -> Option<Parsed<ModModule>> {
    let mut options = ParseOptions::from(Mode::Module);
    if let Some((major, minor)) = target {
        // The parser knows nothing older than 3.7; what 3.6 lacks of it is rare.
        let version = PythonVersion { major, minor };
        options = options.with_target_version(version.max(PythonVersion::PY37));
    }
    parse_unchecked(source, options).try_into_module()
}

/// The first error of what was parsed; `place` is where its statements stand.
pub(crate) fn error_of(
    parsed: &Parsed<ModModule>,
    source: &str,
    target: Option<(u8, u8)>,
    place: Place,
) -> Option<SyntaxError> {
    let (offset, message) = if let Some(error) = parsed.errors().first() {
        (error.location.start(), error.error.to_string())
    } else if target.is_some()
        && let Some(error) = parsed.unsupported_syntax_errors().first()
    {
        (error.range.start(), error.to_string())
    } else {
        misplaced(&parsed.syntax().body, place)?
    };
    let before = source.get(..offset.to_usize()).unwrap_or(source);
    Some(SyntaxError { line: before.matches('\n').count() + 1, message })
}

/// Runs `work` with a stack for so many levels, on a thread of its own where the caller's may be too
/// small; nothing if there is no thread to be had, or if the parser panics.
pub(crate) fn on_enough_stack<T: Send>(depth: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    if depth <= SHALLOW {
        return std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        thread.ok().and_then(|thread| thread.join().ok())
    })
}

/// How deep the syntax tree is at most, by an upper bound from the tokens: what is open, and the
/// operators in each open bracket since its last comma. Nothing when that is more than `limit`.
pub(crate) fn depth(source: &str, limit: usize) -> Option<usize> {
    let mut deepest = 0;
    let mut lexer = lexer::lex(source, Mode::Module);
    let mut open: Vec<Level> = vec![Level::default()];
    let (mut depth, mut blocks) = (0_usize, 0_usize);
    loop {
        let kind = lexer.next_token();
        let inside = open.len() > 1;
        let level = open.last_mut()?;
        match kind {
            TokenKind::EndOfFile => return Some(deepest),
            TokenKind::Indent => blocks += 1,
            TokenKind::Dedent => blocks = blocks.saturating_sub(1),
            TokenKind::Newline => {
                open.truncate(1);
                open[0] = Level::default();
                depth = 0;
            }
            TokenKind::Comma if !level.lambda => {
                depth -= level.operators;
                level.operators = 0;
            }
            TokenKind::Rpar
            | TokenKind::Rsqb
            | TokenKind::Rbrace
            | TokenKind::FStringEnd
            | TokenKind::TStringEnd
                if inside =>
            {
                depth -= open.pop().map_or(0, |level| level.operators);
            }
            _ if kind.is_operator() || kind.is_keyword() || is_opening(kind) => {
                level.operators += 1;
                level.lambda |= kind == TokenKind::Lambda;
                depth += 1;
                if is_opening(kind) {
                    open.push(Level::default());
                }
            }
            _ => {}
        }
        deepest = deepest.max(depth + blocks);
        if deepest > limit {
            return None;
        }
    }
}

#[derive(Default)]
struct Level {
    operators: usize,
    /// A comma may separate a lambda's parameters, within the same expression.
    lambda: bool,
}

fn is_opening(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Lpar
            | TokenKind::Lsqb
            | TokenKind::Lbrace
            | TokenKind::FStringStart
            | TokenKind::TStringStart
    )
}

/// What surrounds a statement.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    function: bool,
    looped: bool,
}

/// Where the statements of a module stand; those of a class may do no more.
pub(crate) const MODULE: Place = Place { function: false, looped: false };

/// The first statement that its surroundings do not allow.
fn misplaced(body: &[Stmt], place: Place) -> Option<(TextSize, String)> {
    body.iter().find_map(|stmt| match stmt {
        Stmt::Return(_) if !place.function => {
            Some((stmt.start(), "`return` outside of a function".to_owned()))
        }
        Stmt::Break(_) if !place.looped => {
            Some((stmt.start(), "`break` outside of a loop".to_owned()))
        }
        Stmt::Continue(_) if !place.looped => {
            Some((stmt.start(), "`continue` outside of a loop".to_owned()))
        }
        Stmt::FunctionDef(def) => misplaced(&def.body, Place { function: true, looped: false }),
        Stmt::ClassDef(class) => misplaced(&class.body, Place { function: false, looped: false }),
        Stmt::For(for_) => misplaced(&for_.body, Place { looped: true, ..place })
            .or_else(|| misplaced(&for_.orelse, place)),
        Stmt::While(while_) => misplaced(&while_.body, Place { looped: true, ..place })
            .or_else(|| misplaced(&while_.orelse, place)),
        Stmt::If(if_) => misplaced(&if_.body, place).or_else(|| {
            if_.elif_else_clauses.iter().find_map(|clause| misplaced(&clause.body, place))
        }),
        Stmt::With(with) => misplaced(&with.body, place),
        Stmt::Match(match_) => match_.cases.iter().find_map(|case| misplaced(&case.body, place)),
        Stmt::Try(try_) => misplaced(&try_.body, place)
            .or_else(|| {
                try_.handlers.iter().find_map(|handler| {
                    let ruff_python_ast::ExceptHandler::ExceptHandler(handler) = handler;
                    misplaced(&handler.body, place)
                })
            })
            .or_else(|| misplaced(&try_.orelse, place))
            .or_else(|| misplaced(&try_.finalbody, place)),
        _ => None,
    })
}
