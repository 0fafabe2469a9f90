//! Imports at the top of a module whose order cannot matter.
//!
//! Neighbouring imports count as a set when each takes names that always exist from a module of the
//! standard library whose import does nothing but define things, and when they bind different
//! names. Then no statement between them runs code of the repository, none can fail, and none
//! replaces what another one bound.
//!
//! A file of the repository may hide a module of that name, and what it does on import may depend on
//! the others. So imports move only for a caller that knows the repository's paths, and none of a
//! module that shares its name with any of its files or folders ([`Shadows`]).

use ruff_python_ast::{Alias, Stmt};
use rustc_hash::FxHashSet;

use crate::patch::FileChange;

/// Modules of every Python since 3.6, and names that each has had since then. Left out are modules
/// that register something on import (`logging`, `threading`, `random`), that may be missing
/// (`hashlib`, `ssl`), or that are for fun (`this`).
const MODULES: &[(&str, &[&str])] = &[
    ("abc", &["ABC", "ABCMeta", "abstractmethod"]),
    ("argparse", &["ArgumentParser", "Namespace"]),
    ("ast", &[]),
    ("base64", &["b64decode", "b64encode"]),
    ("bisect", &["bisect", "bisect_left", "bisect_right", "insort"]),
    ("codecs", &[]),
    ("collections", &["ChainMap", "Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"]),
    ("contextlib", &["ExitStack", "closing", "contextmanager", "suppress"]),
    ("copy", &["copy", "deepcopy"]),
    ("csv", &[]),
    ("datetime", &["date", "datetime", "time", "timedelta", "timezone", "tzinfo"]),
    ("decimal", &["Decimal"]),
    ("difflib", &["SequenceMatcher", "get_close_matches", "unified_diff"]),
    ("enum", &["Enum", "Flag", "IntEnum", "unique"]),
    ("errno", &[]),
    ("fnmatch", &["fnmatch"]),
    ("fractions", &["Fraction"]),
    ("functools", &["lru_cache", "partial", "reduce", "total_ordering", "update_wrapper", "wraps"]),
    ("glob", &["glob"]),
    ("heapq", &["heapify", "heappop", "heappush"]),
    ("inspect", &["Parameter", "isclass", "signature"]),
    ("io", &["BytesIO", "StringIO"]),
    (
        "itertools",
        &["chain", "count", "cycle", "groupby", "islice", "product", "repeat", "zip_longest"],
    ),
    ("json", &["dumps", "loads"]),
    ("keyword", &["iskeyword"]),
    ("math", &["ceil", "floor", "inf", "log", "pi", "sqrt"]),
    ("numbers", &["Integral", "Number", "Real"]),
    ("operator", &["attrgetter", "itemgetter", "methodcaller"]),
    ("os", &["path"]),
    ("pathlib", &["Path", "PurePath"]),
    ("pprint", &["pformat", "pprint"]),
    ("re", &["compile"]),
    ("stat", &[]),
    ("string", &["ascii_letters", "digits"]),
    ("struct", &["pack", "unpack"]),
    ("sys", &[]),
    ("textwrap", &["dedent", "indent"]),
    ("time", &["sleep", "time"]),
    ("tokenize", &[]),
    ("traceback", &["format_exc"]),
    ("types", &["FunctionType", "MethodType", "ModuleType", "SimpleNamespace"]),
    (
        "typing",
        &[
            "Any", "Callable", "Dict", "Iterable", "List", "Optional", "Set", "Tuple", "Type",
            "Union",
        ],
    ),
    ("warnings", &["catch_warnings", "warn"]),
];

/// Which of the modules may be a file of the repository.
#[derive(Debug, Clone)]
pub(crate) enum Shadows {
    /// Nothing is known: any.
    Unknown,
    /// Those whose names some path has.
    Known(FxHashSet<&'static str>),
}

impl Shadows {
    /// What these paths may hide.
    pub(crate) fn of(paths: &[String]) -> Self {
        Self::Known(paths.iter().flat_map(|path| listed(path)).collect())
    }

    /// The same, unless the changes themselves bring a file by such a name.
    pub(crate) fn after(&self, changes: &[FileChange]) -> Self {
        let brings = |change: &FileChange| {
            change.old.is_none()
                && match self {
                    Self::Unknown => false,
                    Self::Known(known) => listed(&change.path).any(|name| !known.contains(name)),
                }
        };
        if changes.iter().any(brings) { Self::Unknown } else { self.clone() }
    }

    pub(crate) fn may_hide(&self, module: &str) -> bool {
        match self {
            Self::Unknown => true,
            Self::Known(names) => names.contains(module),
        }
    }
}

/// The modules that a component of the path is called like, whatever comes after its first dot.
fn listed(path: &str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| find(part.split('.').next()?)).map(|(name, _)| *name)
}

fn find(module: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    MODULES.binary_search_by_key(&module, |(name, _)| name).ok().map(|index| &MODULES[index])
}

/// One name that an import binds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Imported {
    pub(crate) module: &'static str,
    /// What is taken out of the module; nothing for the module itself.
    pub(crate) member: Option<String>,
    pub(crate) bound: String,
}

/// What an import binds, if its place among its like does not matter.
pub(crate) fn movable(stmt: &Stmt) -> Option<Vec<Imported>> {
    let bound = |alias: &Alias| {
        let name = alias.asname.as_ref().unwrap_or(&alias.name).to_string();
        // The import system itself reads names such as `__path__` and `__builtins__`.
        (!name.contains("__") && name.is_ascii()).then_some(name)
    };
    match stmt {
        Stmt::Import(import) if !import.is_lazy => import
            .names
            .iter()
            .map(|alias| {
                let (module, _) = find(&alias.name)?;
                Some(Imported { module, member: None, bound: bound(alias)? })
            })
            .collect(),
        Stmt::ImportFrom(import) if import.level == 0 && !import.is_lazy => {
            let (module, members) = find(import.module.as_ref()?)?;
            let member = |alias: &Alias| {
                let member = members.contains(&alias.name.as_str()).then(|| alias.name.to_string());
                Some(Imported { module, member: Some(member?), bound: bound(alias)? })
            };
            import.names.iter().map(member).collect()
        }
        _ => None,
    }
}

/// Sorts what neighbouring imports bind; nothing when two bind one name, so that order counts.
pub(crate) fn as_set<'a>(
    run: impl Iterator<Item = &'a Vec<Imported>>,
) -> Option<Vec<&'a Imported>> {
    let mut all: Vec<&Imported> = run.flatten().collect();
    all.sort();
    let distinct: FxHashSet<&str> = all.iter().map(|imported| imported.bound.as_str()).collect();
    (distinct.len() == all.len()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_as_the_search_needs_it() {
        assert!(MODULES.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn paths_hide_modules_of_their_name() {
        let shadows =
            Shadows::of(&["lib/re.py".into(), "json/x.py".into(), "copy.cpython-39.so".into()]);
        for module in ["re", "json", "copy"] {
            assert!(shadows.may_hide(module), "{module}");
        }
        assert!(!shadows.may_hide("os"));
        let new = FileChange { path: "a/os/b.py".to_owned(), old: None, new: None };
        assert!(shadows.after(&[new]).may_hide("sys"));
    }
}
