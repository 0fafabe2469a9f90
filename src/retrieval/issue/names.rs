//! Names in an issue: what looks like code, dotted names, and what code blocks import.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::retrieval::issue::Issue;
use crate::retrieval::terms;

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($text).expect("a constant pattern that the tests use"));
    };
}

pattern!(BACKTICKED, r"`([^`\n]{1,80})`");
pattern!(CALLED, r"([A-Za-z_][[:word:]]*)\(");
pattern!(DOTTED, r"[A-Za-z_][[:word:]]*(?:\.[A-Za-z_][[:word:]]*)+");
pattern!(
    FROM,
    r"(?m)(?-u:\b)from[ \t]+([A-Za-z_][[:word:].]*)[ \t]+import[ \t]+(\([^)]{1,2000}\)|[[:word:], \t*]+)"
);
pattern!(
    IMPORT,
    r"(?m)^\s*import[ \t]+([A-Za-z_][[:word:].]*(?:[ \t]+as[ \t]+[[:word:]]+)?(?:[ \t]*,[ \t]*[A-Za-z_][[:word:].]*(?:[ \t]+as[ \t]+[[:word:]]+)?)*)"
);

/// See the fields of [`Issue`].
pub(super) struct Names {
    pub(super) code: BTreeSet<String>,
    pub(super) words: BTreeMap<String, usize>,
    pub(super) titled: BTreeSet<String>,
    pub(super) dotted: BTreeSet<String>,
    pub(super) imported: BTreeSet<(String, String)>,
}

impl Names {
    pub(super) fn of(issue: &Issue) -> Self {
        let mut words = BTreeMap::<String, usize>::new();
        for range in terms::identifiers(&issue.text) {
            let word = &issue.text[range];
            if telling(word) {
                match words.get_mut(word) {
                    Some(count) => *count += 1,
                    None => drop(words.insert(word.to_owned(), 1)),
                }
            }
        }
        let titled = terms::identifiers(&issue.title).map(|range| issue.title[range].to_owned());
        let titled = titled.filter(|word| telling(word)).collect();
        let (imported, aliases) = imports(&format!("{}\n{}", issue.program, issue.prose));
        let mut dotted = BTreeSet::new();
        for found in DOTTED.find_iter(&issue.text) {
            let found = found.as_str();
            let (first, rest) = found.split_once('.').unwrap_or((found, ""));
            dotted.insert(match aliases.get(first) {
                Some(module) => format!("{module}.{rest}"),
                None => found.to_owned(),
            });
        }
        Self { code: code_names(&issue.text), words, titled, dotted, imported }
    }
}

/// Whether a name is more than a variable of a formula: short ones are if they begin as classes do.
fn telling(name: &str) -> bool {
    name.len() > 2 || name.starts_with(char::is_uppercase)
}

type Imported = BTreeSet<(String, String)>;

/// What import statements name, and what local names stand for.
fn imports(text: &str) -> (Imported, BTreeMap<String, String>) {
    let mut imported = Imported::new();
    let mut aliases = BTreeMap::new();
    for found in FROM.captures_iter(text) {
        let names = found[2].trim_matches(['(', ')']).split([',', '\n']);
        for name in names {
            let mut words = name.split_whitespace();
            let Some(name) = words.next() else { continue };
            imported.insert((found[1].to_owned(), name.to_owned()));
            let local = if words.next() == Some("as") { words.next() } else { None };
            aliases.insert(local.unwrap_or(name).to_owned(), format!("{}.{name}", &found[1]));
        }
    }
    for found in IMPORT.captures_iter(text) {
        for module in found[1].split(',') {
            let mut words = module.split_whitespace();
            let Some(module) = words.next() else { continue };
            imported.insert((module.to_owned(), String::new()));
            if let (Some("as"), Some(local)) = (words.next(), words.next()) {
                aliases.insert(local.to_owned(), module.to_owned());
            }
        }
    }
    (imported, aliases)
}

fn code_names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |piece: &str| {
        for range in terms::identifiers(piece) {
            if telling(&piece[range.clone()]) {
                names.insert(piece[range].to_owned());
            }
        }
    };
    for found in BACKTICKED.captures_iter(text) {
        add(&found[1]);
    }
    for found in CALLED.captures_iter(text) {
        add(&found[1]);
    }
    for found in DOTTED.find_iter(text) {
        add(found.as_str());
    }
    for range in terms::identifiers(text) {
        let name = &text[range];
        let inner = name.trim_matches('_');
        let camel =
            inner.chars().any(char::is_lowercase) && inner.chars().skip(1).any(char::is_uppercase);
        if inner.contains('_') || camel || (inner.len() > 2 && inner.len() < name.len()) {
            add(name);
        }
    }
    names
}
