//! Which of a repository's test files concern a change: by their names and directories, by what they
//! import, and by the words that they share with the change and with the issue.
//!
//! The weights were set by hand on development rows; evaluation/regression says how well they do.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::repo::Checkout;
use crate::testlog::detect::is_test_file;

/// Localized files that no candidate changes count half.
const LOCALIZED: f64 = 0.5;

/// Weights of the file's own name, of its directories, of its imports, and of words.
const NAME: f64 = 3.0;
const NAMED_DIRECTORY: f64 = 2.0;
const DIRECTORIES: f64 = 1.0;
const NEARNESS: f64 = 1.0;
const IMPORTED: f64 = 1.0;
const IMPORT_DEPTH: f64 = 1.0;
const WORDS: f64 = 6.0;

/// What test files are looked for.
#[derive(Clone, Copy)]
pub struct Concern<'a> {
    /// The repository.
    pub checkout: &'a Checkout,
    /// Changes in git's format with the files that they change.
    pub changes: &'a [(&'a str, &'a [String])],
    /// Files that the issue is about, changed or not.
    pub localized: &'a [&'a str],
    /// The issue's text.
    pub issue: &'a str,
}

/// The best `limit` test files, best first.
#[must_use]
pub fn related_test_files(concern: &Concern<'_>, limit: usize) -> Vec<String> {
    let Concern { checkout, changes, localized, issue } = *concern;
    let mut weights: BTreeMap<&str, f64> =
        localized.iter().map(|path| (*path, LOCALIZED)).collect();
    let changed = changes.iter().flat_map(|(_, files)| files.iter());
    weights.extend(changed.map(|path| (path.as_str(), 1.0)));
    let subjects: Vec<(Subject<'_>, f64)> = weights
        .into_iter()
        .filter(|(path, _)| !is_test_file(path))
        .filter_map(|(path, weight)| Some((Subject::new(path)?, weight)))
        .collect();
    let tests = checkout.files().iter().map(|file| file.path.as_str());
    let tests: Vec<(&str, String)> = tests
        .filter(|path| is_test_file(path))
        .filter_map(|path| {
            let content = checkout.read(path).ok().flatten()?;
            Some((path, String::from_utf8_lossy(&content).into_owned()))
        })
        .collect();
    let change = changes.iter().flat_map(|(patch, _)| hunk_lines(patch));
    let change: BTreeSet<&str> = change.flat_map(words).collect();
    let issue: BTreeSet<&str> = words(issue).collect();
    rank(&subjects, &tests, &[change, issue]).into_iter().take(limit).collect()
}

fn rank(
    subjects: &[(Subject<'_>, f64)],
    tests: &[(&str, String)],
    texts: &[BTreeSet<&str>],
) -> Vec<String> {
    let shared = Shared::new(tests, texts);
    let mut scored: Vec<(f64, &str)> = Vec::new();
    for (index, (path, text)) in tests.iter().enumerate() {
        let test = TestFile::new(path, text);
        let related = subjects
            .iter()
            .map(|(subject, weight)| weight * subject.relation(&test))
            .fold(0.0, f64::max);
        // Words alone make no relation: every test file shares some with every text.
        if related > 0.0 {
            scored.push((related + WORDS * shared.of(index), path));
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().map(|(_, path)| path.to_owned()).collect()
}

/// A test file, by where it lies and what it imports.
struct TestFile<'a> {
    /// Its name in words.
    name: BTreeSet<String>,
    /// Directories below the repository's root.
    directories: Vec<&'a str>,
    /// Those whose names say anything, in words.
    places: Vec<BTreeSet<String>>,
    imports: Vec<BTreeSet<&'a str>>,
}

impl<'a> TestFile<'a> {
    fn new(path: &'a str, text: &'a str) -> Self {
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".py");
        let directories = parts(path);
        let places = directories.iter().map(|directory| name_words(directory));
        let places = places.filter(|words| !words.is_empty()).collect();
        Self { name: name_words(stem), directories, places, imports: imports(text) }
    }
}

/// A file that changes, as tests may refer to it.
#[derive(Debug)]
struct Subject<'a> {
    /// Directories below the repository's root.
    directories: Vec<&'a str>,
    /// `django.db.models` as its parts.
    module: Vec<&'a str>,
    /// The same, each part in words.
    words: Vec<BTreeSet<String>>,
}

impl<'a> Subject<'a> {
    /// Nothing for a file that is no Python module.
    fn new(path: &'a str) -> Option<Self> {
        let stem = path.strip_suffix(".py")?;
        let directories = parts(path);
        let stem = stem.strip_prefix("src/").or_else(|| stem.strip_prefix("lib/")).unwrap_or(stem);
        let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
        let module: Vec<&str> = stem.split('/').collect();
        let words = module.iter().map(|part| name_words(part)).collect();
        Some(Self { directories, module, words })
    }

    /// How much a test file's place and imports have to do with it: 0 for nothing, 9 at most.
    fn relation(&self, test: &TestFile<'_>) -> f64 {
        let Some(name) = self.words.last() else { return 0.0 };
        let common = test.name.intersection(name).count() as f64;
        let either = test.name.union(name).count().max(1) as f64;

        let pairs = test.directories.iter().zip(&self.directories);
        let near = pairs.take_while(|(a, b)| a == b).count() as f64;
        let near = near / self.directories.len().max(1) as f64;
        let shared = self.words.iter().filter(|part| test.places.contains(part)).count() as f64;
        let named = f64::from(u8::from(test.places.contains(name)));

        let (whole, depth) = self.imported(&test.imports);
        NAME * common / either
            + NAMED_DIRECTORY * named
            + DIRECTORIES * shared / self.module.len() as f64
            + NEARNESS * near
            + IMPORTED * f64::from(u8::from(whole))
            + IMPORT_DEPTH * depth as f64 / self.module.len() as f64
    }

    /// Whether the module itself is imported, and how many of its parts the nearest import names.
    fn imported(&self, imports: &[BTreeSet<&str>]) -> (bool, usize) {
        let whole = self.module.join(".");
        let (package, last) = whole.rsplit_once('.').unwrap_or((&whole, &whole));
        let mut depth = 0;
        let mut found = false;
        for names in imports {
            found |=
                names.contains(whole.as_str()) || (names.contains(package) && names.contains(last));
            for name in names {
                let parts: Vec<&str> = name.split('.').collect();
                let equal = parts.iter().zip(&self.module).take_while(|(a, b)| a == b).count();
                // `django.db.utils` is no import of `django.db.models`.
                if equal == parts.len() || equal == self.module.len() {
                    depth = depth.max(equal);
                }
            }
        }
        (found, depth)
    }
}

/// How many of the words of some texts each test file holds; rare words count more.
struct Shared {
    /// A share between 0 and 1 for each text, summed, by test file.
    shares: Vec<f64>,
}

impl Shared {
    fn new(tests: &[(&str, String)], texts: &[BTreeSet<&str>]) -> Self {
        let all: BTreeSet<&str> = texts.iter().flatten().copied().collect();
        let held: Vec<BTreeSet<&str>> = tests
            .iter()
            .map(|(_, text)| words(text).filter(|word| all.contains(word)).collect())
            .collect();
        let mut frequency: HashMap<&str, f64> = HashMap::new();
        for word in held.iter().flatten() {
            *frequency.entry(word).or_default() += 1.0;
        }
        let count = tests.len() as f64;
        let weight =
            |word: &str| frequency.get(word).map_or(0.0, |n| ((count + 1.0) / (n + 0.5)).ln());
        let whole: Vec<f64> =
            texts.iter().map(|text| text.iter().map(|word| weight(word)).sum()).collect();
        let share = |held: &BTreeSet<&str>| -> f64 {
            let of = |(text, whole): (&BTreeSet<&str>, &f64)| {
                let part: f64 = held.intersection(text).map(|word| weight(word)).sum();
                if *whole > 0.0 { part / whole } else { 0.0 }
            };
            texts.iter().zip(&whole).map(of).sum()
        };
        Self { shares: held.iter().map(share).collect() }
    }

    fn of(&self, test: usize) -> f64 {
        self.shares[test]
    }
}

/// The names in each line that imports something, dotted ones whole.
fn imports(text: &str) -> Vec<BTreeSet<&str>> {
    let lines = text.lines().map(str::trim_start);
    lines
        .filter(|line| line.starts_with("from ") || line.starts_with("import "))
        .map(|line| {
            let names = line.split(|c: char| !(c.is_alphanumeric() || "._".contains(c)));
            names.filter(|name| !name.is_empty()).collect()
        })
        .collect()
}

/// The lines of a diff that show code.
fn hunk_lines(patch: &str) -> impl Iterator<Item = &str> {
    patch
        .lines()
        .filter(|line| !line.starts_with("+++ ") && !line.starts_with("--- "))
        .filter_map(|line| line.strip_prefix(['+', '-', ' ']))
}

/// Identifiers of three characters and more.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.len() >= 3 && !word.starts_with(|c: char| c.is_ascii_digit()))
}

/// The words of a name, without those that say that it is a test.
fn name_words(name: &str) -> BTreeSet<String> {
    name.split(['_', '-', '.'])
        .map(str::to_ascii_lowercase)
        .filter(|word| {
            !word.is_empty() && !["test", "tests", "testing", "unittest"].contains(&&**word)
        })
        .filter(|word| !word.chars().all(|c| c.is_ascii_digit()))
        .collect()
}

fn parts(path: &str) -> Vec<&str> {
    path.rsplit_once('/').map_or(Vec::new(), |(dir, _)| dir.split('/').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(subject: &str, tests: &[(&str, &str)], change: &str, issue: &str) -> Vec<String> {
        let subjects = [(Subject::new(subject).unwrap(), 1.0)];
        let tests: Vec<(&str, String)> =
            tests.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
        let texts = [change, issue].map(|text| words(text).collect());
        rank(&subjects, &tests, &texts)
    }

    #[test]
    fn names_directories_imports_and_words_each_lift_a_file() {
        let subject = "shop/cart/prices.py";
        let plain = ("tests/test_zebra.py", "from shop import util\n");
        for better in [
            ("tests/zz/test_prices.py", "from shop import util\n"),
            ("tests/zz/unittest_cart_prices.py", "from shop import util\n"),
            ("tests/zz/prices/tests.py", "from shop import util\n"),
            ("tests/zz/cart_tests/tests.py", "from shop import util\n"),
            ("shop/cart/tests/test_zz.py", "from shop import util\n"),
            ("tests/zz/tests.py", "from shop.cart import prices\n"),
            ("tests/zz/tests.py", "import shop.cart.prices as p\n"),
            ("tests/zz/tests.py", "from shop.cart import Cart\n"),
            ("tests/zz/tests.py", "from shop import util\n# rounding_mode\n"),
            ("tests/zz/tests.py", "from shop import util\n# halfpenny\n"),
        ] {
            let found = ranked(subject, &[plain, better], "x = rounding_mode", "the halfpenny");
            assert_eq!(found, [better.0, plain.0]);
        }
    }

    #[test]
    fn a_file_without_any_relation_is_left_out() {
        let tests = [
            ("tests/test_a.py", "import other\n# rounding_mode\n"),
            ("tests/test_b.py", "import shop\n"),
            ("tests/test_c.py", "import shopping\n"),
        ];
        assert_eq!(ranked("shop/prices.py", &tests, "rounding_mode", ""), ["tests/test_b.py"]);
    }

    #[test]
    fn a_package_and_a_source_directory_are_seen_as_tests_import_them() {
        let subject = Subject::new("src/shop/cart/__init__.py").unwrap();
        assert_eq!(subject.module, ["shop", "cart"]);
        assert_eq!(subject.imported(&imports("from shop.cart import Cart")), (true, 2));
        assert_eq!(subject.imported(&imports("    from shop import cart")), (true, 1));
        assert_eq!(subject.imported(&imports("from shop.other import x")), (false, 0));
        assert_eq!(subject.imported(&imports("# from shop.cart import x")), (false, 0));
        assert!(Subject::new("README.md").is_none());
    }

    #[test]
    fn only_code_of_a_diff_is_read() {
        let patch = "diff --git a/long/path.py b/long/path.py\nindex 1..2 100644\n\
                     --- a/long/path.py\n+++ b/long/path.py\n@@ -1,2 +1,2 @@\n kept\n-gone\n+come\n";
        let found: Vec<&str> = hunk_lines(patch).flat_map(words).collect();
        assert_eq!(found, ["kept", "gone", "come"]);
    }
}
