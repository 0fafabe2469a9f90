//! SymPy's `bin/test -C --verbose`.

use crate::testlog::parse::python_strip;
use crate::testlog::{Status, Statuses};

/// Headers of failures first, then result lines. The last test of a file has `[OK]` behind its
/// result and is never recorded by its bare name; neither are skips and expected failures.
pub(super) fn sympy(log: &str) -> Statuses {
    let mut statuses: Statuses =
        log.split('\n').filter_map(header).map(|id| (id, Status::Failed)).collect();
    for line in log.split('\n').map(python_strip) {
        if !line.starts_with("test_") {
            continue;
        }
        let status = if line.ends_with(" E") {
            Status::Error
        } else if line.ends_with(" F") {
            Status::Failed
        } else if line.ends_with(" ok") {
            Status::Passed
        } else {
            continue;
        };
        if let Some(name) = crate::testlog::parse::words(line).next() {
            statuses.insert(name.to_owned(), status);
        }
    }
    statuses
}

/// `____ path/test_x.py:test_name ____` gives `path/test_x.py:test_name`. What lies between the
/// first and the last blank of the line counts, so prose of that shape counts too.
fn header(line: &str) -> Option<String> {
    let (_, inner) = line.split_once(' ')?;
    let (inner, _) = inner.rsplit_once(' ')?;
    // The last `.py:` of the line splits path and name; one that the closing blank cuts off is
    // not looked at.
    let (path, name) = inner.rsplit_once(".py:")?;
    Some(format!("{path}.py:{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::LogFormat;
    use crate::testlog::parse;

    #[test]
    fn results_headers_and_what_is_never_seen() {
        let log = "test_a ok\ntest_b F\ntest_c E\ntest_d numpy not installed s\ntest_e f\n\
                   test_f X\ntest_last ok      [OK]\n\
                   ____ sympy/x/tests/test_y.py:test_z ____\nsee a.py:3 and b.py:4 there\n";
        let found: Vec<_> = parse(LogFormat::Sympy, log).into_iter().collect();
        let expected = [
            ("sympy/x/tests/test_y.py:test_z", Status::Failed),
            ("a.py:3 and b.py:4", Status::Failed),
            ("test_a", Status::Passed),
            ("test_b", Status::Failed),
            ("test_c", Status::Error),
        ];
        assert_eq!(found, expected.map(|(id, status)| (id.to_owned(), status)));
    }
}
