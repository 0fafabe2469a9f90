//! Local variables of a function by their order of first binding, so that two functions that differ
//! only in how they call them have one normal form.
//!
//! A renamed variable gets a name that no identifier can have. So a function and its renamed form
//! behave alike wherever the renaming covers every use of the variable and nothing observes the
//! name, and two functions with one renamed form behave alike too. Each condition below is there
//! because Python would show the name, or find another variable, without it:
//!
//! - The function stands in a module or in a class there: inside of another function its names may
//!   be the outer function's. It has no decorator but [`PLAIN`] ones (others may read the code
//!   object) and no type parameters.
//! - It holds no word of [`WATCHED`] (they lead to frames and source text) and no `assert` (pytest
//!   shows the source of one that fails).
//! - Every token of the name is a plain variable, an attribute or a keyword argument outside of
//!   nested functions, classes, lambdas and comprehensions. That leaves out parameters, `global` and
//!   `nonlocal`, `except ... as` (which deletes), imports, captures of `match`, `del`, and closures
//!   (cells are destroyed by order of name).
//! - The name is bound by an assignment, `for` or `with`, and every other use comes after that
//!   binding within its block: never unbound, so no error message tells the name.
//! - No string of the function mentions it (`%(name)s`, `query("@name")`), it is ASCII (others are
//!   folded) and holds no `__` (mangling).
//!
//! What stays outside: code called from the function that walks its callers' frames under a name
//! that is not watched.

use ruff_python_ast::name::Name;
use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_python_ast::visitor::transformer::{self, Transformer};
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, Keyword, Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged as _, TextRange};
use rustc_hash::{FxHashMap, FxHashSet};

/// Decorators that do not look at the function's code.
const PLAIN: &[&str] = &["staticmethod", "classmethod", "property"];

/// Names through which code sees variables' names, frames or source text.
const WATCHED: &[&str] = &[
    "breakpoint",
    "co_varnames",
    "compile",
    "cr_frame",
    "currentframe",
    "dir",
    "eval",
    "evaluate",
    "exc_info",
    "exception",
    "exec",
    "f_back",
    "f_code",
    "f_locals",
    "format_exc",
    "getframe",
    "gi_frame",
    "globals",
    "inspect",
    "locals",
    "pdb",
    "print_exc",
    "query",
    "set_trace",
    "setprofile",
    "settrace",
    "stack",
    "sys",
    "tb_frame",
    "traceback",
    "vars",
];

/// Renames what can be renamed. `tokens` and `source` are those of the whole text that the function
/// was parsed from.
pub(crate) fn rename(def: &mut StmtFunctionDef, tokens: &Tokens, source: &str) {
    let is_plain = |expr: &Expr| matches!(expr, Expr::Name(name) if PLAIN.contains(&&*name.id));
    let plain = def.decorator_list.iter().all(|decorator| is_plain(&decorator.expression));
    if !plain || def.type_params.is_some() {
        return;
    }
    let mut uses = Uses::default();
    uses.visit_body(&def.body);
    if uses.binders.is_empty() {
        return;
    }
    let Some(words) = Words::of(tokens, def.range(), source) else { return };
    let mut found: Vec<(TextRange, &str)> = uses
        .variables
        .iter()
        .filter(|(name, places)| {
            let others = uses.others.get(**name).copied().unwrap_or(0);
            words.names.get(**name) == Some(&(places.len() + others))
                && name.is_ascii()
                && !name.contains("__")
                && !words.mentioned.contains(**name)
                && uses.binders.iter().any(|binder| binder.covers(name, places))
        })
        .filter_map(|(name, places)| Some((first(places)?, *name)))
        .collect();
    found.sort_by_key(|(place, _)| place.start());
    let names = found.iter().enumerate();
    // The parser lets no identifier start with a NUL.
    let names = names.map(|(index, (_, name))| ((*name).to_owned(), format!("\0{index}").into()));
    let renamer = Renamer(names.collect());
    if !renamer.0.is_empty() {
        renamer.visit_body(&mut def.body);
    }
}

fn first(places: &[TextRange]) -> Option<TextRange> {
    places.iter().min_by_key(|place| place.start()).copied()
}

/// What the tokens of a function say.
#[derive(Default)]
struct Words<'a> {
    /// How many tokens each name has.
    names: FxHashMap<&'a str, usize>,
    /// Every word inside of a string.
    mentioned: FxHashSet<&'a str>,
}

impl<'a> Words<'a> {
    /// Nothing when a token forbids renaming.
    fn of(tokens: &Tokens, range: TextRange, source: &'a str) -> Option<Self> {
        let mut words = Self::default();
        for token in tokens.in_range(range) {
            let text = source.get(token.range().to_std_range())?;
            match token.kind() {
                TokenKind::Assert => return None,
                TokenKind::Name => {
                    if WATCHED.contains(&text.trim_start_matches('_')) {
                        return None;
                    }
                    *words.names.entry(text).or_insert(0) += 1;
                }
                TokenKind::String | TokenKind::FStringMiddle => words.mention(text),
                _ => {}
            }
        }
        Some(words)
    }

    fn mention(&mut self, text: &'a str) {
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
            self.mentioned.insert(word);
            // The first letter may belong to an escape, or to the string's prefix.
            let mut rest = word.chars();
            if rest.next().is_some() {
                self.mentioned.insert(rest.as_str());
            }
        }
    }
}

/// A statement that binds names, and where they are bound for certain from then on.
struct Binder<'a> {
    targets: Vec<(&'a str, TextRange)>,
    scope: TextRange,
}

impl Binder<'_> {
    /// Whether this is where the name begins and everything else lies within the scope.
    fn covers(&self, name: &str, places: &[TextRange]) -> bool {
        let is_target =
            |place: &TextRange| self.targets.iter().any(|(own, at)| *own == name && at == place);
        first(places).is_some_and(|place| is_target(&place))
            && places.iter().all(|place| is_target(place) || self.scope.contains_range(*place))
    }
}

/// Where a function uses names, nested scopes left out: their tokens are then not accounted for.
#[derive(Default)]
struct Uses<'a> {
    variables: FxHashMap<&'a str, Vec<TextRange>>,
    /// Attributes and keyword arguments of that name, which are not the variable.
    others: FxHashMap<&'a str, usize>,
    binders: Vec<Binder<'a>>,
}

impl<'a> Uses<'a> {
    fn bind(&mut self, targets: impl IntoIterator<Item = &'a Expr>, scope: TextRange) {
        let mut names = Vec::new();
        for target in targets {
            plain_targets(target, &mut names);
        }
        if !names.is_empty() {
            self.binders.push(Binder { targets: names, scope });
        }
    }
}

fn plain_targets<'a>(target: &'a Expr, names: &mut Vec<(&'a str, TextRange)>) {
    match target {
        Expr::Name(name) => names.push((&name.id, name.range())),
        Expr::Starred(starred) => plain_targets(&starred.value, names),
        Expr::Tuple(tuple) => tuple.elts.iter().for_each(|target| plain_targets(target, names)),
        Expr::List(list) => list.elts.iter().for_each(|target| plain_targets(target, names)),
        _ => {}
    }
}

fn extent(block: &[Stmt]) -> TextRange {
    match (block.first(), block.last()) {
        (Some(first), Some(last)) => TextRange::new(first.start(), last.end()),
        _ => TextRange::default(),
    }
}

impl<'a> Visitor<'a> for Uses<'a> {
    fn visit_body(&mut self, body: &'a [Stmt]) {
        let end = extent(body).end();
        for stmt in body {
            match stmt {
                Stmt::Assign(assign) => {
                    self.bind(&assign.targets, TextRange::new(assign.end(), end));
                }
                Stmt::For(for_) => self.bind([&*for_.target], extent(&for_.body)),
                // Only inside: a manager may swallow what a later one raises on entry.
                Stmt::With(with) => {
                    let targets =
                        with.items.iter().filter_map(|item| item.optional_vars.as_deref());
                    self.bind(targets, extent(&with.body));
                }
                _ => {}
            }
        }
        visitor::walk_body(self, body);
    }

    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if !matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_) | Stmt::Delete(_)) {
            visitor::walk_stmt(self, stmt);
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Lambda(_)
            | Expr::ListComp(_)
            | Expr::SetComp(_)
            | Expr::DictComp(_)
            | Expr::Generator(_) => return,
            Expr::Name(name) => self.variables.entry(&name.id).or_default().push(name.range()),
            Expr::Attribute(attribute) => *self.others.entry(&attribute.attr).or_insert(0) += 1,
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }

    fn visit_keyword(&mut self, keyword: &'a Keyword) {
        if let Some(name) = &keyword.arg {
            *self.others.entry(name).or_insert(0) += 1;
        }
        visitor::walk_keyword(self, keyword);
    }
}

/// Puts new names in place of variables.
struct Renamer(FxHashMap<String, Name>);

impl Transformer for Renamer {
    fn visit_expr(&self, expr: &mut Expr) {
        if let Expr::Name(name) = expr
            && let Some(new) = self.0.get(&*name.id)
        {
            name.id = new.clone();
        }
        transformer::walk_expr(self, expr);
    }
}
