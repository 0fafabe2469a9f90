//! The way from a format to its reader, and the white space that all readers agree on.

use std::borrow::Cow;

use crate::artifact::{LogFormat, Rules};
use crate::testlog::{Statuses, django, pytest, sympy, unittest};

/// A line that the harness's own reader does not survive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the harness's reader breaks on the line {0:?}")]
pub struct BrokenReader(pub String);

/// Reads a log. Lines may end in LF, CRLF or CR, as when the harness opens its log files.
#[must_use]
pub fn parse(format: LogFormat, log: &str) -> Statuses {
    read(Rules::Ours, format, &unified_lines(log))
}

/// Reads a log by some rules.
///
/// # Errors
/// [`BrokenReader`], only where [`Rules::readers_break`].
pub fn parse_by(rules: Rules, format: LogFormat, log: &str) -> Result<Statuses, BrokenReader> {
    let log = unified_lines(log);
    let breaks = match format {
        LogFormat::Django => django::breaks,
        LogFormat::Seaborn if !rules.reads_whole_ids() => pytest::breaks_seaborn,
        _ => |_: &str| false,
    };
    match log.split('\n').find(|line| rules.readers_break() && breaks(line)) {
        Some(line) => Err(BrokenReader(line.to_owned())),
        None => Ok(read(rules, format, &log)),
    }
}

fn read(rules: Rules, format: LogFormat, log: &str) -> Statuses {
    match format {
        LogFormat::Pytest => pytest::plain(rules, log),
        LogFormat::PytestOptions => pytest::options(rules, log),
        LogFormat::PytestV2 if rules.reads_whole_ids() => pytest::second(log),
        LogFormat::PytestV2 => pytest::second_of_words(log),
        LogFormat::Matplotlib => pytest::matplotlib(rules, log),
        LogFormat::Seaborn => pytest::seaborn(log),
        LogFormat::Django => django::django(log),
        LogFormat::Sympy => sympy::sympy(log),
        LogFormat::Unittest => unittest::unittest(log),
    }
}

/// An id in the form in which [`parse`] gives it. Lists of expected tests may hold another form of
/// the same id only for `unittest`, whose way to write one changed with Python 3.11.
#[must_use]
pub fn normal_id(format: LogFormat, id: &str) -> Cow<'_, str> {
    match format {
        LogFormat::Unittest => unittest::normal_id(id),
        _ => Cow::Borrowed(id),
    }
}

/// The log with every line end written LF.
pub(super) fn unified_lines(log: &str) -> Cow<'_, str> {
    if log.contains('\r') {
        Cow::Owned(log.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(log)
    }
}

/// Whether Python's `str.split()` takes the character for white space: Unicode's, and the four
/// separators that Rust leaves out.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// The words of a line, split as Python splits.
pub(super) fn words(line: &str) -> impl DoubleEndedIterator<Item = &str> {
    line.split(is_space).filter(|word| !word.is_empty())
}

/// A text without white space at its ends, as Python strips.
#[must_use]
pub fn python_strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    /// Pieces that the readers react to, so that random logs reach every branch.
    const PIECES: [&str; 44] = [
        "PASSED",
        "FAILED",
        "ERROR",
        "SKIPPED",
        "XFAIL",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        " - ",
        "[",
        "]",
        "[1]",
        "/",
        "//",
        "*",
        "t::a",
        " ... ",
        " ... ok",
        "ok",
        "ok\n",
        "FAIL: ",
        "ERROR: ",
        "FAIL:",
        "test_a",
        "(m.C)",
        "(m.C.test_a)",
        "skipped 'x'",
        ".py:",
        "__ ",
        " __",
        " F",
        " E",
        "Testing against Django installed in ",
        " silenced).\nok\n",
        "Internal Server Error: /x/\nok\n",
        "System check identified no issues (0 silenced)\nok\n",
        "\u{1b}[31m",
        "\u{85}",
        "ä",
        "(unittest.loader._FailedTest)",
        "expected failure",
        "unexpected success",
    ];

    fn pieces() -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60)
            .prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(log in prop_oneof![pieces(), any::<String>()]) {
            for (rules, format) in Rules::ALL
                .into_iter()
                .flat_map(|rules| LogFormat::ALL.map(|format| (rules, format)))
            {
                for id in parse_by(rules, format, &log).iter().flat_map(|found| found.keys()) {
                    prop_assert!(!id.contains('\n'), "{format:?} made an id of two lines");
                }
            }
        }
    }

    #[test]
    fn a_megabyte_of_hostile_lines_is_read_in_linear_time() {
        let units = [
            "FAILED a[",
            " ... ",
            "PASSED ",
            "x.py:y ",
            "[/",
            " - ",
            "_ ",
            "test_a (m.C) ... ",
            "a ... Testing against Django installed in b\n",
            "FAIL: a\n",
            "ok\n",
            "t ERROR\n",
        ];
        for unit in units {
            let time = |kilobytes: usize| {
                let log = unit.repeat((kilobytes << 10) / unit.len());
                let start = Instant::now();
                let found: usize =
                    LogFormat::ALL.into_iter().map(|format| parse(format, &log).len()).sum();
                (start.elapsed(), found)
            };
            let ((short, _), (long, found)) = (time(128), time(1024));
            // Quadratic time would be 64 times as long.
            let limit = short * 24 + Duration::from_secs(1);
            assert!(long < limit, "{unit:?}: {short:?}, then {long:?} for {found} ids");
        }
    }
}
