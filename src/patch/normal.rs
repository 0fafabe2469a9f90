//! The normal form of a Python source: what two sources share when they differ only in layout,
//! comments, docstrings, names of local variables and the order of some imports.
//!
//! It is made of one digest for each statement of the module, and of each statement of a class
//! there, so that an edit inside of one statement leaves the others' digests as they were.

use std::hash::{Hash, Hasher};

use ruff_python_ast::comparable::ComparableStmt;
use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_python_ast::{Expr, ModModule, Stmt, Suite};
use ruff_python_parser::Parsed;
use ruff_text_size::Ranged as _;
use sha2::{Digest as _, Sha256};

use crate::patch::imports::{Imported, Shadows, as_set, movable};
use crate::patch::lines::coding_cookie;
use crate::patch::locals;
use crate::patch::python::{MAX_DEPTH, depth, on_enough_stack, parse};

/// A SHA-256.
pub(crate) type Hash256 = [u8; 32];

/// A statement of a module or of a class there.
pub(crate) struct Node {
    digest: Hash256,
    role: Role,
    /// What it binds, if it may change places with its neighbours.
    imports: Option<Vec<Imported>>,
    /// Where its line starts, when no other statement and no backslash reaches into that line.
    pub(crate) start: Option<usize>,
    pub(crate) class: Option<Body>,
}

/// The body of a class.
pub(crate) struct Body {
    /// Digest of the class without its body.
    header: Hash256,
    pub(crate) nodes: Vec<Node>,
    /// What its lines start with; nothing when the body does not begin on a line of its own.
    pub(crate) indent: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Plain,
    /// Without effect: `pass` or a literal.
    Idle,
    /// A string, which is a docstring where it comes first.
    Text,
    /// `from __future__ import`.
    Future,
}

/// Whether the text of a source forbids a normal form: the parser reads all lone surrogates as one
/// character, which would merge sources that differ.
pub(crate) fn is_lossy(source: &str) -> bool {
    memchr::memchr_iter(b'\\', source.as_bytes()).any(|at| {
        let rest = &source.as_bytes()[at + 1..];
        let starts = |text: &[u8]| {
            rest.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text))
        };
        starts(b"ud") || starts(b"u0000d")
    })
}

/// Whether code may read docstrings: in a source that says `__doc__` or `docopt`.
pub(crate) fn keeps_docs(source: &str) -> bool {
    ["__doc__", "docopt"]
        .iter()
        .any(|word| memchr::memmem::find(source.as_bytes(), word.as_bytes()).is_some())
}

/// A hash of what a source means: its syntax tree without comments, layout and docstrings, string
/// literals by value; the encoding it declares and its `#!` line. Nothing when it has errors or the
/// tree would lose something that counts.
///
/// A docstring stays where code may read it: see [`keeps_docs`], and in functions named `p_*` and
/// `t_*`, whose docstrings are the grammar of a PLY parser.
pub(crate) fn normal_form(source: &str, shadows: &Shadows) -> Option<Hash256> {
    let depth = depth(source, MAX_DEPTH)?;
    on_enough_stack(depth, || {
        let keep_docs = keeps_docs(source);
        let nodes = nodes(parse(source, None)?, source, keep_docs)?;
        Some(digest(source.as_bytes(), nodes.iter(), keep_docs, shadows))
    })?
}

/// The statements of a module; nothing when it has errors or the tree would lose something.
pub(crate) fn nodes(parsed: Parsed<ModModule>, source: &str, keep_docs: bool) -> Option<Vec<Node>> {
    // A template string keeps the text of its expressions.
    let templates = parsed.tokens().iter().any(|token| token.kind() == TokenKind::TStringStart);
    if !parsed.errors().is_empty() || templates || is_lossy(source) {
        return None;
    }
    let tokens = parsed.tokens().clone();
    let reader = Reader { tokens, source, keep_docs };
    Some(parsed.into_syntax().body.into_iter().map(|stmt| reader.node(stmt)).collect())
}

/// The digest of a module: of its statements, and of the lines at the top of `text` that count.
pub(crate) fn digest<'a>(
    text: &[u8],
    nodes: impl Iterator<Item = &'a Node> + Clone,
    keep_docs: bool,
    shadows: &Shadows,
) -> Hash256 {
    // Before the last `from __future__` import only a docstring may stand.
    let future = nodes.clone().enumerate().filter(|(_, node)| node.role == Role::Future);
    let bound = future.last().map_or(0, |(index, _)| index);
    let first_line = text.split(|&byte| byte == b'\n').next().map(<[u8]>::trim_ascii_end);
    let mut buffer = Buffer::default();
    coding_cookie(text).hash(&mut buffer);
    first_line.filter(|line| line.starts_with(b"#!")).hash(&mut buffer);
    let mut run: Vec<&Node> = Vec::new();
    let kept = nodes.enumerate().filter(|(at, node)| match node.role {
        Role::Text if *at == 0 => keep_docs,
        Role::Text | Role::Idle => *at < bound,
        Role::Plain | Role::Future => true,
    });
    for (_, node) in kept {
        let moves = |all: &Vec<Imported>| all.iter().all(|one| !shadows.may_hide(one.module));
        if node.imports.as_ref().is_some_and(moves) {
            run.push(node);
        } else {
            buffer.run(&run);
            run.clear();
            buffer.0.push(0);
            buffer.0.extend(node.digest);
        }
    }
    buffer.run(&run);
    buffer.digest()
}

impl Node {
    /// The class with other statements in its place; nothing when it is no class.
    pub(crate) fn with_body<'a>(
        &self,
        nodes: impl Iterator<Item = &'a Self>,
        keep_docs: bool,
    ) -> Option<Self> {
        let digest = class_digest(&self.class.as_ref()?.header, nodes, keep_docs);
        Some(Self { digest, role: Role::Plain, imports: None, start: None, class: None })
    }
}

fn class_digest<'a>(
    header: &Hash256,
    nodes: impl Iterator<Item = &'a Node>,
    keep_docs: bool,
) -> Hash256 {
    let mut buffer = Buffer(b"class".to_vec());
    buffer.0.extend(header);
    for (index, node) in nodes.enumerate() {
        let doc = index == 0 && keep_docs && node.role == Role::Text;
        if doc || !matches!(node.role, Role::Text | Role::Idle) {
            buffer.0.extend(node.digest);
        }
    }
    buffer.digest()
}

/// Collects what values hash. The standard library's hashes are free of prefixes, so values with
/// one digest are equal. Many small updates of a SHA-256 would cost more than the parser.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl Buffer {
    fn run(&mut self, run: &[&Node]) {
        match as_set(run.iter().filter_map(|node| node.imports.as_ref())) {
            Some(all) if !all.is_empty() => {
                self.0.push(1);
                self.write_usize(all.len());
                for imported in all {
                    imported.module.hash(self);
                    imported.member.hash(self);
                    imported.bound.hash(self);
                }
            }
            _ => {
                for node in run {
                    self.0.push(0);
                    self.0.extend(node.digest);
                }
            }
        }
    }

    fn digest(&self) -> Hash256 {
        Sha256::digest(&self.0).into()
    }
}

impl Hasher for Buffer {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        self.digest().iter().take(8).fold(0, |value, &byte| value << 8 | u64::from(byte))
    }
}

fn digest_of(stmt: &Stmt) -> Hash256 {
    let mut buffer = Buffer::default();
    ComparableStmt::from(stmt).hash(&mut buffer);
    buffer.digest()
}

struct Reader<'a> {
    tokens: Tokens,
    source: &'a str,
    keep_docs: bool,
}

impl Reader<'_> {
    fn node(&self, mut stmt: Stmt) -> Node {
        let start = self.own_line(&stmt);
        let role = match &stmt {
            Stmt::ImportFrom(import)
                if import.module.as_ref().is_some_and(|name| name.as_str() == "__future__") =>
            {
                Role::Future
            }
            stmt if is_string(stmt) => Role::Text,
            stmt if is_idle(stmt) => Role::Idle,
            _ => Role::Plain,
        };
        let imports = movable(&stmt);
        let mut class = None;
        let digest = match &mut stmt {
            Stmt::ClassDef(def) => {
                let body = std::mem::take(&mut def.body);
                let first = body.first().filter(|first| {
                    self.own_line(first).is_some_and(|line| line > def.name.start().to_usize())
                });
                let indent = first.and_then(|first| {
                    Some(
                        self.source
                            .get(self.own_line(first)?..first.start().to_usize())?
                            .to_owned(),
                    )
                });
                let header = digest_of(&stmt);
                let nodes: Vec<Node> = body.into_iter().map(|stmt| self.node(stmt)).collect();
                let digest = class_digest(&header, nodes.iter(), self.keep_docs);
                class = Some(Body { header, nodes, indent });
                digest
            }
            other => {
                if let Stmt::FunctionDef(def) = other {
                    locals::rename(def, &self.tokens, self.source);
                }
                prune(other, self.keep_docs);
                digest_of(other)
            }
        };
        Node { digest, role, imports, start, class }
    }

    fn own_line(&self, stmt: &Stmt) -> Option<usize> {
        let before = self.source.get(..stmt.start().to_usize())?;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let continues = before[..start].trim_end_matches(['\r', '\n']).ends_with('\\');
        let blank = before[start..].bytes().all(|byte| matches!(byte, b' ' | b'\t'));
        (blank && !continues).then_some(start)
    }
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
