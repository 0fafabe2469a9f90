//! Signs in a log that the environment broke and not the patch. Advisory: they never change
//! whether an instance counts as resolved.

use std::sync::LazyLock;

use regex::Regex;

use crate::testlog::parse::unified_lines;

/// How sure a sign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// A patch to source files can hardly cause it.
    Environment,
    /// The environment or the patch may have caused it.
    Ambiguous,
}

/// A sign: the harness's name for it and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// Such as `out_of_memory`.
    pub reason: &'static str,
    /// How sure it is.
    pub tier: Tier,
}

/// The harness's table (5.0.2), most telling first.
const SIGNS: [(&str, Tier, &[&str]); 8] = [
    (
        "browser_launch_failed",
        Tier::Environment,
        &["Failed to launch", "Failed to connect to the bus"],
    ),
    (
        "display_unavailable",
        Tier::Environment,
        &["cannot open display", "Missing X server", "unable to open X display"],
    ),
    ("out_of_memory", Tier::Environment, &["Cannot allocate memory", "OutOfMemoryError"]),
    (
        "container_unavailable",
        Tier::Environment,
        &["Error response from daemon", "Cannot connect to the Docker daemon"],
    ),
    (
        "network_unreachable",
        Tier::Environment,
        &["Could not resolve host", "Temporary failure in name resolution"],
    ),
    (
        "missing_module",
        Tier::Ambiguous,
        &["Cannot find module", "MODULE_NOT_FOUND", "ModuleNotFoundError"],
    ),
    ("no_tests_collected", Tier::Ambiguous, &["no tests ran", "collected 0 items"]),
    ("tests_timed_out", Tier::Ambiguous, &[]),
];

static TIMEOUT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"Timeout error: \d+ seconds exceeded").expect("the pattern is a constant")
});

/// The first sign of the table that the log shows.
#[must_use]
pub fn classify(log: &str) -> Option<Sign> {
    let log = unified_lines(log);
    let shows = |reason: &str, texts: &[&str]| {
        texts.iter().any(|text| log.contains(text))
            || match reason {
                "out_of_memory" => log.split('\n').any(|line| line == "Killed"),
                "tests_timed_out" => TIMEOUT.is_match(&log),
                _ => false,
            }
    };
    SIGNS
        .iter()
        .find(|(reason, _, texts)| shows(reason, texts))
        .map(|(reason, tier, _)| Sign { reason, tier: *tier })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sign_of_the_table_wins() {
        let reason = |log| classify(log).map(|sign| sign.reason);
        assert_eq!(reason("a\nKilled\nb"), Some("out_of_memory"));
        assert_eq!(reason("a\rKilled\r\nb"), Some("out_of_memory"));
        assert_eq!(reason("the process was Killed"), None);
        assert_eq!(
            reason("ModuleNotFoundError: x\nCould not resolve host: y"),
            Some("network_unreachable")
        );
        assert_eq!(reason("collected 0 items / 1 error"), Some("no_tests_collected"));
        assert_eq!(reason("Timeout error: 1800 seconds exceeded."), Some("tests_timed_out"));
        assert_eq!(classify("collected 0 items").unwrap().tier, Tier::Ambiguous);
        assert_eq!(reason("all fine"), None);
    }
}
