//! Python sources through ruff's parser: the first error, and the normal form that two sources share
//! when they differ only in layout, comments and docstrings.
//!
//! The parser grows its own stack, but walking and dropping a deep tree does not: sources nested
//! deeper than [`MAX_DEPTH`] are not parsed (CPython refuses them too), the others on a stack that
//! is large enough.

use std::hash::{Hash, Hasher};

use ruff_python_ast::comparable::ComparableStmt;
use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{Expr, PythonVersion, Stmt, Suite};
use ruff_python_parser::{Mode, ParseOptions, lexer, parse_unchecked};
use ruff_text_size::{Ranged as _, TextSize};
use sha2::{Digest as _, Sha256};

use crate::patch::lines::coding_cookie;

/// Deepest nesting of brackets, operators and blocks that is parsed.
const MAX_DEPTH: usize = 2_000;
/// Stack for one parse in bytes: 32 KiB for each level.
const STACK: usize = MAX_DEPTH * (32 << 10);

/// A syntax error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// The bytes of a Python file as text: without a byte order mark, and with every byte its own
/// character where they are not UTF-8, which keeps different sources different.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes)
        .map_or_else(|_| bytes.iter().copied().map(char::from).collect(), str::to_owned)
}

/// The first error of a source, by the grammar of the target version if one is given, and by the
/// newest grammar otherwise. Besides the parser's errors it knows `return`, `break` and `continue`
/// where they cannot stand, as edits with wrong indentation leave them.
pub(crate) fn first_error(source: &str, target: Option<(u8, u8)>) -> Option<SyntaxError> {
    if is_too_deep(source) {
        return Some(SyntaxError { line: 1, message: "nested too deeply to be parsed".to_owned() });
    }
    let (offset, message) = on_large_stack(|| {
        let mut options = ParseOptions::from(Mode::Module);
        if let Some((major, minor)) = target {
            // The parser knows nothing older than 3.7; what 3.6 lacks of it is rare.
            let version = PythonVersion { major, minor };
            options = options.with_target_version(version.max(PythonVersion::PY37));
        }
        let parsed = parse_unchecked(source, options).try_into_module()?;
        if let Some(error) = parsed.errors().first() {
            return Some((error.location.start(), error.error.to_string()));
        }
        if target.is_some()
            && let Some(error) = parsed.unsupported_syntax_errors().first()
        {
            return Some((error.range.start(), error.to_string()));
        }
        misplaced(&parsed.syntax().body, Place { function: false, looped: false })
    })??;
    let before = source.get(..offset.to_usize()).unwrap_or(source);
    Some(SyntaxError { line: before.matches('\n').count() + 1, message })
}

/// A hash of what a source means: its syntax tree without comments, layout and docstrings, string
/// literals by value; the encoding it declares and its `#!` line. Nothing when it has errors or the
/// tree would lose something that counts.
///
/// A docstring stays where code may read it: in a source that mentions `__doc__` or `docopt`, and
/// in functions named `p_*` and `t_*`, whose docstrings are the grammar of a PLY parser.
pub(crate) fn normal_form(source: &str) -> Option<[u8; 32]> {
    // The parser reads all lone surrogates as one character; a template string keeps the text of
    // its expressions. Both are too rare to be worth more than to be told apart by their text.
    let lower = source.to_ascii_lowercase();
    if lower.contains("\\ud") || lower.contains("\\u0000d") || is_too_deep(source) {
        return None;
    }
    on_large_stack(|| {
        let parsed = parse_unchecked(source, ParseOptions::from(Mode::Module)).try_into_module()?;
        let templates = parsed.tokens().iter().any(|token| token.kind() == TokenKind::TStringStart);
        if !parsed.errors().is_empty() || templates {
            return None;
        }
        let mut module = parsed.into_syntax();
        let keep_docs = source.contains("__doc__") || source.contains("docopt");
        prune_module(&mut module.body, keep_docs);
        let mut hasher = Sha256Hasher(Sha256::new());
        coding_cookie(source.as_bytes()).hash(&mut hasher);
        source.lines().next().filter(|line| line.starts_with("#!")).hash(&mut hasher);
        module.body.len().hash(&mut hasher);
        for stmt in &module.body {
            ComparableStmt::from(stmt).hash(&mut hasher);
        }
        Some(hasher.0.finalize().into())
    })?
}

/// Feeds what a value hashes into SHA-256. The standard library's hashes are free of prefixes, so
/// values with one digest are equal.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |value, &byte| value << 8 | u64::from(byte))
    }
}

/// Runs `work` on a thread with a stack for [`MAX_DEPTH`] levels; nothing if there is no thread to
/// be had.
fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        thread.ok().and_then(|thread| thread.join().ok())
    })
}

/// Whether the syntax tree may be deeper than [`MAX_DEPTH`], by an upper bound from the tokens:
/// what is open, and the operators in each open bracket since its last comma.
fn is_too_deep(source: &str) -> bool {
    // Fewer bytes than levels cannot nest too deeply.
    if source.len() < MAX_DEPTH {
        return false;
    }
    let mut lexer = lexer::lex(source, Mode::Module);
    let mut open: Vec<Level> = vec![Level::default()];
    let (mut depth, mut blocks) = (0_usize, 0_usize);
    loop {
        let kind = lexer.next_token();
        let inside = open.len() > 1;
        let Some(level) = open.last_mut() else { return true };
        match kind {
            TokenKind::EndOfFile => return false,
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
        if depth + blocks > MAX_DEPTH {
            return true;
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

/// Every block of a compound statement.
fn blocks(stmt: &mut Stmt) -> Vec<&mut Suite> {
    match stmt {
        Stmt::FunctionDef(def) => vec![&mut def.body],
        Stmt::ClassDef(class) => vec![&mut class.body],
        Stmt::With(with) => vec![&mut with.body],
        Stmt::For(for_) => vec![&mut for_.body, &mut for_.orelse],
        Stmt::While(while_) => vec![&mut while_.body, &mut while_.orelse],
        Stmt::If(if_) => std::iter::once(&mut if_.body)
            .chain(if_.elif_else_clauses.iter_mut().map(|clause| &mut clause.body))
            .collect(),
        Stmt::Match(match_) => match_.cases.iter_mut().map(|case| &mut case.body).collect(),
        Stmt::Try(try_) => {
            let mut all = vec![&mut try_.body];
            for handler in &mut try_.handlers {
                let ruff_python_ast::ExceptHandler::ExceptHandler(handler) = handler;
                all.push(&mut handler.body);
            }
            all.extend([&mut try_.orelse, &mut try_.finalbody]);
            all
        }
        _ => Vec::new(),
    }
}

/// Drops statements without effect: docstrings, other literals, `pass`. What a block is left with
/// is empty where it did nothing.
fn prune_module(body: &mut Suite, keep_docs: bool) {
    // Before the last `from __future__` import only a docstring may stand.
    let is_future = |stmt: &Stmt| {
        matches!(stmt, Stmt::ImportFrom(import)
            if import.module.as_ref().is_some_and(|module| module.as_str() == "__future__"))
    };
    let bound = body.iter().rposition(is_future).unwrap_or(0);
    let mut index = 0;
    body.retain(|stmt| {
        let at = index;
        index += 1;
        if at == 0 && is_string(stmt) { keep_docs } else { at < bound || !is_idle(stmt) }
    });
    for stmt in body {
        prune(stmt, keep_docs);
    }
}

fn prune(stmt: &mut Stmt, keep_docs: bool) {
    let keeps = match stmt {
        Stmt::FunctionDef(def) => {
            keep_docs || def.name.starts_with("p_") || def.name.starts_with("t_")
        }
        Stmt::ClassDef(_) => keep_docs,
        _ => false,
    };
    for block in blocks(stmt) {
        let mut first = true;
        block.retain(|stmt| {
            let doc = first && keeps && is_string(stmt);
            first = false;
            doc || !is_idle(stmt)
        });
        for stmt in block {
            prune(stmt, keep_docs);
        }
    }
}

fn is_string(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Expr(expr) if matches!(*expr.value, Expr::StringLiteral(_)))
}

fn is_idle(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Pass(_) => true,
        Stmt::Expr(expr) => expr.value.is_literal_expr(),
        _ => false,
    }
}

#[derive(Clone, Copy)]
struct Place {
    function: bool,
    looped: bool,
}

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
