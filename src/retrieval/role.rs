//! What a file is for, judged by its path: tests, documentation and examples crowd the top of any
//! lexical ranking and are almost never what a fix edits.

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Part of the program.
    Source,
    /// Tests and their helpers.
    Test,
    /// Documentation, examples, benchmarks.
    Aside,
}

const TEST_DIRECTORIES: &[&str] = &["test", "tests", "testing"];

const ASIDE_DIRECTORIES: &[&str] = &[
    "doc",
    "docs",
    "example",
    "examples",
    "benchmark",
    "benchmarks",
    "bench",
    "asv_bench",
    "galleries",
    "tutorials",
];

/// The role by path alone. A `testing` directory that other sources import is found out later,
/// from the imports.
#[must_use]
pub fn role(path: &str) -> Role {
    let (directories, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut role = Role::Source;
    for directory in directories.split('/') {
        if TEST_DIRECTORIES.contains(&directory) {
            return Role::Test;
        }
        if ASIDE_DIRECTORIES.contains(&directory) {
            role = Role::Aside;
        }
    }
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let test = stem.starts_with("test_")
        || stem.ends_with("_test")
        || stem == "conftest"
        || stem == "tests";
    if test { Role::Test } else { role }
}

/// For a path inside a `test` or `testing` directory that looks like shipped code: the directory.
pub(crate) fn shipped_directory(path: &str) -> Option<&str> {
    let (directories, name) = path.rsplit_once('/')?;
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    if stem.starts_with("test_") || stem.ends_with("_test") || stem == "conftest" || stem == "tests"
    {
        return None;
    }
    let mut end = 0;
    let mut found = None;
    for directory in directories.split('/') {
        end += directory.len() + usize::from(end > 0);
        if directory == "tests" || ASIDE_DIRECTORIES.contains(&directory) {
            return None;
        }
        if found.is_none() && TEST_DIRECTORIES.contains(&directory) && end > directory.len() {
            found = Some(&path[..end]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_follow_whole_names_not_prefixes() {
        for (path, expected) in [
            ("django/db/models/query.py", Role::Source),
            ("tests/queries/models.py", Role::Test),
            ("testing/test_mark.py", Role::Test),
            ("src/_pytest/conftest.py", Role::Test),
            ("pkg/foo_test.py", Role::Test),
            ("docs/conf.py", Role::Aside),
            ("doc/tests/x.py", Role::Test),
            ("examples/a/b.py", Role::Aside),
            ("pkg/testclient.py", Role::Source),
            ("pkg/latest/protest.py", Role::Source),
            ("setup.py", Role::Source),
        ] {
            assert_eq!(role(path), expected, "{path}");
        }
        assert_eq!(shipped_directory("django/test/client.py"), Some("django/test"));
        assert_eq!(shipped_directory("numpy/testing/_private/utils.py"), Some("numpy/testing"));
        assert_eq!(shipped_directory("testing/helper.py"), None);
        assert_eq!(shipped_directory("django/test/tests/a.py"), None);
        assert_eq!(shipped_directory("pkg/test/test_x.py"), None);
    }
}
