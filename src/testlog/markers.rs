//! Which part of an evaluation's log counts, and whether it can be believed at all.

use std::sync::LazyLock;

use regex::Regex;

use crate::artifact::{ExitStatusLine, LogFormat, Rules};
use crate::testlog::parse::unified_lines;
use crate::testlog::{BrokenReader, Statuses, parse_by};

/// Stands before the output of the tests.
pub const START: &str = ">>>>> Start Test Output";
/// Stands behind the output of the tests.
pub const END: &str = ">>>>> End Test Output";
/// Stands before the test command's exit status, behind [`END`].
pub const EXIT_CODE: &str = ">>>>> Test Exit Code";

/// Texts that make a log worthless wherever they stand.
const BAD: [&str; 4] = [
    ">>>>> Patch Apply Failed",
    ">>>>> Reset Failed",
    ">>>>> Tests Errored",
    ">>>>> Tests Timed Out",
];

/// Signs that a runner ran at all, for those that print nothing of tests that pass. Counts are
/// not zero: a runner whose browser never started still prints a summary.
static SUITE_RAN: LazyLock<Regex> = LazyLock::new(|| {
    let signs = [
        r"Executed [1-9]\d* of \d+",
        r"TOTAL: [1-9]\d* (?:SUCCESS|FAILED)",
        r"[1-9]\d* passing",
        r"Tests:\s+[1-9]\d*",
        r"Test Suites:\s+(?:\d+ \w+, )*[1-9]\d* total",
        r"^# tests [1-9]\d*",
        r"[1-9]\d* specs?, \d+ failures?",
        r"': ok$",
    ];
    Regex::new(&format!("(?m){}", signs.join("|"))).expect("the signs are constants")
});

/// Why a log cannot be graded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLog {
    /// A text that the harness never lets pass.
    #[error("the log holds `{0}`")]
    Bad(&'static str),
    /// The tests never began or never ended.
    #[error("the log holds no `{0}`")]
    NoMarker(&'static str),
    /// No test was named and no runner showed itself.
    #[error("no test result was found in the log")]
    NothingRan,
    /// The runner failed but no test did, so the log does not tell what happened.
    #[error("the test command ended with status {0}, but no test failed")]
    ExitContradicts(String),
    /// The harness does not survive reading it; only where [`Rules::readers_break`].
    #[error(transparent)]
    Broken(#[from] BrokenReader),
}

/// Reads the results between the markers. Where the first start marker and the next end marker
/// enclose none, the whole log is read (runners that write past the markers).
///
/// # Errors
/// [`InvalidLog`] when the log proves nothing.
pub fn statuses(rules: Rules, format: LogFormat, log: &str) -> Result<Statuses, InvalidLog> {
    let log = unified_lines(log);
    if let Some(bad) = BAD.into_iter().find(|bad| log.contains(bad)) {
        return Err(InvalidLog::Bad(bad));
    }
    let (_, after) = log.split_once(START).ok_or(InvalidLog::NoMarker(START))?;
    if !log.contains(END) {
        return Err(InvalidLog::NoMarker(END));
    }
    let one_run = after.split_once(START).map_or(after, |(run, _)| run);
    let graded = one_run.split_once(END).map_or(one_run, |(run, _)| run);
    let behind = &after[graded.len()..];
    let mut found = parse_by(rules, format, graded)?;
    if found.is_empty() {
        found = parse_by(rules, format, &log)?;
    }
    if found.is_empty() && rules.wants_a_result() && !SUITE_RAN.is_match(&log) {
        return Err(InvalidLog::NothingRan);
    }
    let status = match rules.exit_status_line() {
        ExitStatusLine::Last => exit_statuses(behind).last().or(exit_statuses(&log).last()),
        ExitStatusLine::First => exit_statuses(&log).next(),
        ExitStatusLine::Ignored => None,
    };
    match status {
        Some(status)
            if status.contains(|digit| ('1'..='9').contains(&digit))
                && !found.is_empty()
                && !found.values().any(|status| status.is_failure()) =>
        {
            Err(InvalidLog::ExitContradicts(status.to_owned()))
        }
        _ => Ok(found),
    }
}

/// The exit statuses that `text` tells, in order, as they are written.
fn exit_statuses(text: &str) -> impl Iterator<Item = &str> {
    static LINE: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = format!(r"{}:[\s\x1c-\x1f]*(-?[0-9]+)", regex::escape(EXIT_CODE));
        Regex::new(&pattern).expect("the pattern is a constant")
    });
    LINE.captures_iter(text).filter_map(|found| Some(found.get(1)?.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testlog::Status;

    fn log(parts: &[&str]) -> String {
        let named = |part: &&str| match *part {
            "S" => format!("+ : '{START}'"),
            "E" => format!("+ : '{END}'"),
            text => text.to_owned(),
        };
        parts.iter().map(named).collect::<Vec<_>>().join("\n")
    }

    fn read(parts: &[&str]) -> Result<Vec<(String, Status)>, InvalidLog> {
        read_by(Rules::Ours, parts)
    }

    fn read_by(rules: Rules, parts: &[&str]) -> Result<Vec<(String, Status)>, InvalidLog> {
        let found = statuses(rules, LogFormat::Pytest, &log(parts));
        found.map(|found| found.into_iter().collect())
    }

    fn names(parts: &[&str]) -> Vec<String> {
        read(parts).unwrap().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn the_text_between_the_markers_counts() {
        assert_eq!(names(&["PASSED x", "S", "PASSED a", "E", "PASSED y"]), ["a"]);
        assert_eq!(names(&["S", "FAILED a", "S", "PASSED a", "E"]), ["a"]);
        assert_eq!(read(&["S", "FAILED a", "S", "PASSED a", "E"]).unwrap()[0].1, Status::Failed);
        assert_eq!(names(&["S", "PASSED a", "E", "PASSED b", "E"]), ["a"]);
    }

    #[test]
    fn the_whole_log_counts_when_nothing_lies_between() {
        assert_eq!(names(&["PASSED a", "S", "E", "PASSED b"]), ["a", "b"]);
        assert_eq!(names(&["diff +S:", "S", "no result", "S", "PASSED a", "E"]), ["a"]);
    }

    #[test]
    fn logs_without_markers_or_results_prove_nothing() {
        assert_eq!(read(&["S", "PASSED a"]), Err(InvalidLog::NoMarker(END)));
        assert_eq!(read(&["PASSED a", "E"]), Err(InvalidLog::NoMarker(START)));
        assert_eq!(read(&["S", "no", "E"]), Err(InvalidLog::NothingRan));
        assert_eq!(read(&["S", "0 passing", "E"]), Err(InvalidLog::NothingRan));
        assert_eq!(read(&["S", "5 passing", "E"]), Ok(vec![]));
        assert_eq!(read(&["S", "# tests 12", "E"]), Ok(vec![]));
        for bad in BAD {
            assert_eq!(read(&["S", "PASSED a", bad, "E"]), Err(InvalidLog::Bad(bad)));
        }
        assert!(read(&["S", "PASSED a", ">>>>> Some Tests Failed", "E"]).is_ok());
    }

    #[test]
    fn a_failing_runner_without_a_failing_test_is_not_believed() {
        let ended = |code: i32| format!("{EXIT_CODE}: {code}");
        let (good, bad, killed) = (ended(0), ended(1), ended(139));
        assert!(read(&["S", "PASSED a", "E", &good]).is_ok());
        assert_eq!(
            read(&["S", "PASSED a", "E", &bad]),
            Err(InvalidLog::ExitContradicts("1".to_owned()))
        );
        assert_eq!(
            read(&["S", "PASSED a", "E", &killed]),
            Err(InvalidLog::ExitContradicts("139".to_owned()))
        );
        assert!(read(&["S", "PASSED a", "FAILED z", "E", &bad]).is_ok());
        // A test that prints a status, or another start, does not hide the real one.
        let faked = [&*good, "S", &good, "PASSED a", "S", "E", &bad];
        assert_eq!(read(&faked), Err(InvalidLog::ExitContradicts("1".to_owned())));
        let behind = ["S", "PASSED a", "E", &good, "E", &bad];
        assert_eq!(read(&behind), Err(InvalidLog::ExitContradicts("1".to_owned())));
        assert!(read(&["S", "PASSED a", "E", ">>>>> Test Exit Code: none"]).is_ok());
        // The harness 5.0.2 believes the first one, 4.1 none.
        assert!(
            read_by(Rules::Harness5, &faked).is_ok() && read_by(Rules::Harness4, &faked).is_ok()
        );
        let early = [&*bad, "S", "PASSED a", "E", &good];
        assert!(read(&early).is_ok() && read_by(Rules::Harness4, &early).is_ok());
        assert!(read_by(Rules::Harness5, &early).is_err());
    }
}
