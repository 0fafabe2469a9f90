//! pytest's `-rA` summary, in the five ways in which the benchmark's projects read it.

use std::borrow::Cow;

use crate::artifact::Rules;
use crate::testlog::parse::words;
use crate::testlog::{Status, Statuses};

fn starts_with_status(line: &str) -> bool {
    Status::WORDS.iter().any(|(word, _)| line.starts_with(word))
}

/// `SKIPPED [3] path:12: reason` counts skips at a place and names no test. A `PASSED [100%]` is
/// junk as well, but two instances expect it, so only this form is left out.
fn is_skip_count(status: &str, name: &str) -> bool {
    let digits = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    status == "SKIPPED"
        && digits
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Status and id of a summary line: its first two words. In failures the separator before the
/// reason is a blank.
fn summary(rules: Rules, line: &str) -> Option<(String, Status)> {
    if !starts_with_status(line) {
        return None;
    }
    let line = if line.starts_with("FAILED") {
        Cow::Owned(line.replace(" - ", " "))
    } else {
        Cow::Borrowed(line)
    };
    let mut words = words(&line);
    let (status, name) = (words.next()?, words.next()?);
    let is_test = !rules.reads_whole_ids() || !is_skip_count(status, name);
    is_test.then(|| (name.to_owned(), Status::of_word(status)))
}

/// The plain rule: the line starts with a status word, the next word is the id.
pub(super) fn plain(rules: Rules, log: &str) -> Statuses {
    log.split('\n').filter_map(|line| summary(rules, line)).collect()
}

/// The plain rule, with an option that is an absolute path cut to its last component.
pub(super) fn options(rules: Rules, log: &str) -> Statuses {
    log.split('\n')
        .filter_map(|line| summary(rules, line))
        .map(|(name, status)| (shorten_option(&name).into_owned(), status))
        .collect()
}

/// `main[/a/b.py]more` becomes `main[/b.py]`.
fn shorten_option(name: &str) -> Cow<'_, str> {
    let Some((main, rest)) = name.split_once('[') else {
        return Cow::Borrowed(name);
    };
    let Some((option, _)) = rest.rsplit_once(']') else {
        return Cow::Borrowed(name);
    };
    let is_path = option.starts_with('/') && !option.starts_with("//") && !option.contains('*');
    match option.rsplit_once('/') {
        Some((_, last)) if is_path => Cow::Owned(format!("{main}[/{last}]")),
        _ => Cow::Owned(format!("{main}[{option}]")),
    }
}

/// The second rule: colour codes and control characters are dropped, blanks belong to the id, and
/// the status may stand at the end of the line.
pub(super) fn second(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    for line in log.split('\n') {
        let line = without_codes(line);
        let mut line = line.as_ref();
        if starts_with_status(line) {
            if line.starts_with("FAILED") {
                line = line.split_once(" - ").map_or(line, |(head, _)| head);
            }
            let mut words = words(line);
            let (Some(status), Some(first)) = (words.next(), words.next()) else { continue };
            if !is_skip_count(status, first) {
                let id = words.fold(first.to_owned(), |id, word| id + " " + word);
                statuses.insert(id, Status::of_word(status));
            }
        } else if Status::WORDS.iter().any(|(word, _)| line.ends_with(word)) {
            let mut words: Vec<&str> = words(line).collect();
            if words.len() >= 2
                && let Some(status) = words.pop()
            {
                statuses.insert(words.join(" "), Status::of_word(status));
            }
        }
    }
    statuses
}

/// The second rule of 4.1: it cuts at the first blank, and takes the second word for the status
/// where the status should stand last.
pub(super) fn second_of_words(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    for line in log.split('\n') {
        let line = without_codes(line);
        if starts_with_status(&line) {
            statuses.extend(summary(Rules::Harness4, &line));
        } else if Status::WORDS.iter().any(|(word, _)| line.ends_with(word)) {
            let mut words = words(&line);
            if let (Some(id), Some(status)) = (words.next(), words.next()) {
                statuses.insert(id.to_owned(), Status::of_word(status));
            }
        }
    }
    statuses
}

/// Removes `[<digits>m` and then the characters 1 to 31.
fn without_codes(line: &str) -> Cow<'_, str> {
    if !line.contains(|c: char| c == '[' || ('\x01'..='\x1f').contains(&c)) {
        return Cow::Borrowed(line);
    }
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find('[') {
        let after = &rest[start + 1..];
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let is_code = digits > 0 && after[digits..].starts_with('m');
        kept.push_str(&rest[..start]);
        if is_code {
            rest = &after[digits + 1..];
        } else {
            kept.push('[');
            rest = after;
        }
    }
    kept.push_str(rest);
    kept.retain(|c| !('\x01'..='\x1f').contains(&c));
    Cow::Owned(kept)
}

/// The plain rule after naming mouse buttons by number, as the recorded ids do.
pub(super) fn matplotlib(rules: Rules, log: &str) -> Statuses {
    plain(rules, &log.replace("MouseButton.LEFT", "1").replace("MouseButton.RIGHT", "3"))
}

/// Failures at the start of a line, passes there or after the id; nothing else is seen.
pub(super) fn seaborn(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    for line in log.split('\n') {
        let mut words = words(line);
        let (Some(first), Some(second)) = (words.next(), words.next()) else { continue };
        if line.starts_with("FAILED") {
            statuses.insert(second.to_owned(), Status::Failed);
        } else if line.contains(" PASSED ") {
            if second == "PASSED" {
                statuses.insert(first.to_owned(), Status::Passed);
            }
        } else if line.starts_with("PASSED") {
            statuses.insert(second.to_owned(), Status::Passed);
        }
    }
    statuses
}

/// Whether the line is a status word alone, which the reader of 4.1 does not survive.
pub(super) fn breaks_seaborn(line: &str) -> bool {
    (line.starts_with("FAILED") || line.contains(" PASSED ") || line.starts_with("PASSED"))
        && words(line).nth(1).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::LogFormat;
    use crate::testlog::{parse, parse_by};

    #[track_caller]
    fn check(format: LogFormat, log: &str, expected: &[(&str, Status)]) {
        let expected: Statuses = expected.iter().map(|(id, s)| ((*id).to_owned(), *s)).collect();
        assert_eq!(parse(format, log), expected, "{format:?} {log:?}");
    }

    /// As [`check`], by the rules of 4.1.
    #[track_caller]
    fn check_old(format: LogFormat, log: &str, expected: &[(&str, Status)]) {
        let expected: Statuses = expected.iter().map(|(id, s)| ((*id).to_owned(), *s)).collect();
        assert_eq!(parse_by(Rules::Harness4, format, log).unwrap(), expected, "{log:?}");
        // 5.0.2 reads as we do.
        assert_eq!(parse_by(Rules::Harness5, format, log).unwrap(), parse(format, log), "{log:?}");
    }

    use Status::{Error, Failed, Other, Passed, Skipped, Xfail};

    /// P4, P15 to P19, and what 4.1 has in common with 5.0.2.
    #[test]
    fn older_readers_cut_ids_and_take_counts_for_tests() {
        for format in [LogFormat::Pytest, LogFormat::PytestOptions, LogFormat::Matplotlib] {
            check_old(format, "SKIPPED [1] a.py:12: why", &[("[1]", Skipped)]);
            check_old(format, "FAILED a::t - AssertionError: x", &[("a::t", Failed)]);
        }
        check_old(LogFormat::PytestOptions, "PASSED f[/home/u/x.py]", &[("f[/x.py]", Passed)]);
        check_old(LogFormat::Matplotlib, "PASSED t[MouseButton.LEFT]", &[("t[1]", Passed)]);
        check_old(LogFormat::Seaborn, "SKIPPED b\nFAILED a - x", &[("a", Failed)]);
        let check = |log, expected| check_old(LogFormat::PytestV2, log, expected);
        check("PASSED t[a b]", &[("t[a", Passed)]);
        check("FAILED t[a - b] - boom", &[("t[a", Failed)]);
        check("ERROR t::f - RuntimeError: x", &[("t::f", Error)]);
        check("t::f[a b] FAILED", &[("t::f[a", Other)]);
        check("t::f FAILED", &[("t::f", Failed)]);
        check("this is an ERROR", &[("this", Other)]);
        check("PASSED t::a\tb", &[("t::ab", Passed)]);
        check("SKIPPED [2] a.py: x", &[("[2]", Skipped)]);
        check("\u{1b}[32mPASSED\u{1b}[0m t::a", &[("t::a", Passed)]);
        check("lonely\nPASSED", &[]);
    }

    #[test]
    fn plain_lines_start_with_a_status() {
        let check = |log, expected| check(LogFormat::Pytest, log, expected);
        check("FAILED a::t - AssertionError: x", &[("a::t", Failed)]);
        check("FAILED a::t[a - b] - boom", &[("a::t[a", Failed)]);
        check("PASSED a::t[a b]\nFAILED a::t[a c]", &[("a::t[a", Failed)]);
        check("SKIPPED [1] a.py:12: why", &[]);
        check("SKIPPED a::t", &[("a::t", Skipped)]);
        check("PASSED [100%]", &[("[100%]", Passed)]);
        check("XPASS a::t", &[]);
        check("XFAIL a::t - reason", &[("a::t", Xfail)]);
        check("ERROR a.py - ImportError: x", &[("a.py", Error)]);
        check("a::t PASSED   [ 50%]\n  PASSED a::t\nPASSED\n", &[]);
        check(
            "PASSED a::t\r\nFAILED b\rPASSED c",
            &[("a::t", Passed), ("b", Failed), ("c", Passed)],
        );
        check("\u{1b}[32mPASSED\u{1b}[0m a::t", &[]);
        check("ERROR    root:foo.py:3 msg", &[("root:foo.py:3", Error)]);
        check("PASSED_count 3", &[("3", Other)]);
    }

    #[test]
    fn options_that_are_paths_are_shortened() {
        let check = |log, expected| check(LogFormat::PytestOptions, log, expected);
        check("PASSED f[/home/u/x.py]", &[("f[/x.py]", Passed)]);
        check("PASSED g[//a/b]", &[("g[//a/b]", Passed)]);
        check("PASSED h[/a/*.py]", &[("h[/a/*.py]", Passed)]);
        check("PASSED f[a]x", &[("f[a]", Passed)]);
        check("PASSED f[a][/b/c]", &[("f[a][/b/c]", Passed)]);
        check("PASSED f[a", &[("f[a", Passed)]);
    }

    #[test]
    fn the_second_rule_keeps_blanks_and_reads_both_ends() {
        let check = |log, expected| check(LogFormat::PytestV2, log, expected);
        check("PASSED t[a b]", &[("t[a b]", Passed)]);
        check("FAILED t[a - b] - boom", &[("t[a", Failed)]);
        check("ERROR t::f - RuntimeError: x", &[("t::f - RuntimeError: x", Error)]);
        check("t::f[a b] FAILED", &[("t::f[a b]", Failed)]);
        check("this is an ERROR", &[("this is an", Error)]);
        check("PASSED t::a\tb", &[("t::ab", Passed)]);
        check("\u{1b}[32mPASSED\u{1b}[0m t::a[1m]", &[("t::a]", Passed)]);
        check("SKIPPED [2] a.py: x", &[]);
        check("lonely\nPASSED", &[]);
        check("a xFAILED", &[("a", Other)]);
    }

    #[test]
    fn matplotlib_buttons_have_numbers() {
        let log = "PASSED t[MouseButton.LEFT-MouseButton.RIGHT]";
        check(LogFormat::Matplotlib, log, &[("t[1-3]", Passed)]);
    }

    #[test]
    fn seaborn_sees_failures_and_passes_only() {
        let check = |log, expected| check(LogFormat::Seaborn, log, expected);
        check("ERROR a\nSKIPPED b\nXFAIL c", &[]);
        check(
            "PASSED a\nFAILED b - x\nc PASSED [ 1%]",
            &[("a", Passed), ("b", Failed), ("c", Passed)],
        );
        check("c d PASSED x", &[]);
    }
}
