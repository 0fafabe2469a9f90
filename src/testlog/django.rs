//! Django's test runner at verbosity 2, read line by line as the benchmark reads it.

use std::sync::LazyLock;

use regex::Regex;

use crate::testlog::parse::{python_strip, words};
use crate::testlog::{Status, Statuses};

/// A line of its own that `django-admin` prints between a test's name and its result.
const VERSION_LINE: &str = "--version is equivalent to version";

/// A migration's progress that stands before a test's name on the same line.
const MIGRATION_PREFIX: &str = "Applying sites.0002_alter_domain_unique...test_no_migrations";

/// Results torn from their names by what the code under test printed.
static TORN: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        r"(?m)^(.*?)\s\.\.\.\sTesting against Django installed in (?:(?s:.*?)) silenced\)\.\nok$",
        r"(?m)^(.*?)\s\.\.\.\sInternal Server Error: /(?:.*)/\nok$",
        r"(?m)^(.*?)\s\.\.\.\sSystem check identified no issues \(0 silenced\)\nok$",
    ]
    .map(|pattern| Regex::new(pattern).expect("the patterns are constants"))
});

pub(super) fn django(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    let mut pending: Option<String> = None;
    for line in log.split('\n') {
        read_line(python_strip(line), &mut statuses, &mut pending);
    }
    for pattern in TORN.iter() {
        for found in pattern.captures_iter(log) {
            statuses.insert(found[1].to_owned(), Status::Passed);
        }
    }
    statuses
}

/// Whether the line is a heading without a name, which the harness's reader does not survive.
pub(super) fn breaks(line: &str) -> bool {
    let line = python_strip(line);
    ["FAIL:", "ERROR:"].iter().any(|heading| line.starts_with(heading))
        && words(line).nth(1).is_none()
}

fn read_line(mut line: &str, statuses: &mut Statuses, pending: &mut Option<String>) {
    if line.contains(VERSION_LINE) {
        statuses.insert(VERSION_LINE.to_owned(), Status::Passed);
    }
    if let Some((name, _)) = line.split_once(" ... ") {
        *pending = Some(name.to_owned());
    }
    if [" ... ok", " ... OK", " ...  OK"].iter().any(|suffix| line.ends_with(suffix)) {
        if line.starts_with(MIGRATION_PREFIX) {
            line = line.split_once("...").map_or(line, |(_, rest)| python_strip(rest));
        }
        let name = [" ... ok", " ... OK", " ...  OK"]
            .iter()
            .find_map(|suffix| line.strip_suffix(suffix))
            .unwrap_or(line);
        statuses.insert(name.to_owned(), Status::Passed);
    }
    if let Some((name, _)) = line.split_once(" ... skipped") {
        statuses.insert(name.to_owned(), Status::Skipped);
    }
    let ends = [(" ... FAIL", "FAIL:", Status::Failed), (" ... ERROR", "ERROR:", Status::Error)];
    for (suffix, heading, status) in ends {
        if line.ends_with(suffix)
            && let Some((name, _)) = line.split_once(suffix)
        {
            statuses.insert(name.to_owned(), status);
        }
        // The heading of a traceback names the method alone.
        if line.starts_with(heading)
            && let Some(name) = words(line).nth(1)
        {
            statuses.insert(name.to_owned(), status);
        }
    }
    if line.starts_with("ok")
        && let Some(name) = pending
    {
        statuses.insert(name.clone(), Status::Passed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::LogFormat;
    use crate::testlog::parse;

    #[track_caller]
    fn check(log: &str, expected: &[(&str, Status)]) {
        let expected: Statuses = expected.iter().map(|(id, s)| ((*id).to_owned(), *s)).collect();
        assert_eq!(parse(LogFormat::Django, log), expected, "{log:?}");
    }

    use Status::{Error, Failed, Passed, Skipped};

    #[test]
    fn results_on_the_line_of_the_name() {
        check("test_a (m.C) ... ok", &[("test_a (m.C)", Passed)]);
        check("test_a (m.C) ...  OK", &[("test_a (m.C)", Passed)]);
        check("test_a (m.C)\nDoc line. ... ok", &[("Doc line.", Passed)]);
        check("test_a (m.C.test_a) ... ok", &[("test_a (m.C.test_a)", Passed)]);
        check("test_a (m.C) ... skipped 'no db'", &[("test_a (m.C)", Skipped)]);
        check(
            "test_a (m.C) ... FAIL\ntest_b (m.C) ... ERROR",
            &[("test_a (m.C)", Failed), ("test_b (m.C)", Error)],
        );
        check("test_a (m.C) ... expected failure\ntest_b (m.C) ... unexpected success", &[]);
    }

    #[test]
    fn headings_name_the_method_alone() {
        check("FAIL: test_a (m.C)\nFAIL:", &[("test_a", Failed)]);
        check("ERROR: m (unittest.loader._FailedTest)", &[("m", Error)]);
    }

    #[test]
    fn results_torn_from_their_names() {
        check("test_a (m.C) ... noise\nok", &[("test_a (m.C)", Passed)]);
        check("test_a (m.C) ... noise\nokay then", &[("test_a (m.C)", Passed)]);
        check("ok", &[]);
        check("test_a (m.C) ... noise\ntest_b (m.C) ... ok\nok", &[("test_b (m.C)", Passed)]);
        check(
            "test_a (m.C) ... System check identified no issues (0 silenced).\nok",
            &[("test_a (m.C)", Passed)],
        );
        check(
            "test_a (m.C) ... Testing against Django installed in '/x'\ntest_b (m.C) ... FAIL\n\
             (0 silenced).\nok\n",
            &[("test_b (m.C)", Passed), ("test_a (m.C)", Passed)],
        );
        check("test_a (m.C) ... Internal Server Error: /x/\nno\nok", &[("test_a (m.C)", Passed)]);
        check("x --version is equivalent to version y", &[(VERSION_LINE, Passed)]);
        check(
            "Applying sites.0002_alter_domain_unique...test_no_migrations (m.C) ... ok",
            &[("test_no_migrations (m.C)", Passed)],
        );
    }
}
