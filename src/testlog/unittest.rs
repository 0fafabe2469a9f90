//! `python -m unittest -v`, of Python 2.7 to 3.13.
//!
//! The id is `method (module.Class)`; from Python 3.11 on the runner writes
//! `method (module.Class.method)`, which is the same test. Docstrings stand on a line of their own
//! before the result and are no part of the id. A failure in a subtest is the test's failure, and
//! failures stick: no later line turns them into passes.

use std::borrow::Cow;

use crate::testlog::{Status, Statuses};

/// Between a test's name and its result.
const DOTS: &str = " ... ";

/// The id in the form of Python 3.10 and earlier, if it is one of unittest's.
pub(super) fn normal_id(id: &str) -> Cow<'_, str> {
    match leading_id(id) {
        Some((normal, "")) => Cow::Owned(normal),
        _ => Cow::Borrowed(id),
    }
}

pub(super) fn unittest(log: &str) -> Statuses {
    let mut reader = Reader::default();
    let mut after_rule = false;
    for line in log.split('\n').map(str::trim_end) {
        let heading = if after_rule { heading(line) } else { None };
        match heading {
            Some((id, status)) => reader.record(id, status),
            None => reader.read(line),
        }
        after_rule = line.len() >= 70 && line.bytes().all(|byte| byte == b'=');
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    statuses: Statuses,
    /// The id that a line of its own named; its docstring and result may follow.
    named: Option<String>,
    /// The test whose result is still to come.
    running: Option<String>,
    /// Tests that began and whose result was lost in what they printed.
    lost: Vec<String>,
    /// The number of tests was printed, so the next summary line is the runner's.
    counted: bool,
    /// The runner's last word, if it got that far.
    summary: Option<String>,
}

impl Reader {
    fn record(&mut self, id: String, status: Status) {
        let kept = self.statuses.entry(id).or_insert(status);
        if !kept.is_failure() {
            *kept = status;
        }
    }

    fn begin(&mut self, id: String) {
        if let Some(lost) = self.running.replace(id) {
            self.lost.push(lost);
        }
    }

    fn end(&mut self, status: Status) {
        if let Some(id) = self.running.take() {
            self.record(id, status);
        }
    }

    fn read(&mut self, line: &str) {
        let named = self.named.take();
        // Dots at the very end lost their trailing blank above.
        let (line, open) = match line.strip_suffix(" ...") {
            Some(head) => (head, true),
            None => (line, false),
        };
        let mut heads: Vec<&str> = line.split(DOTS).collect();
        let tail = if open { "" } else { heads.pop().unwrap_or_default() };
        // The reason of a skip may hold dots too: all that follows the name is tried as well.
        let mut after_name = tail;
        let mut at = 0;
        for (index, head) in heads.iter().enumerate() {
            at += head.len() + DOTS.len();
            if let Some((id, rest)) = leading_id(head.trim_start()) {
                self.head(id, rest, tail);
                after_name = line.get(at..).unwrap_or_default();
            } else if index == 0
                && let Some(id) = &named
            {
                self.begin(id.clone());
                after_name = line.get(at..).unwrap_or_default();
            }
        }
        if let Some(status) = result(tail).or_else(|| result(after_name)) {
            self.end(status);
        } else if heads.is_empty() {
            self.other_line(tail);
        }
    }

    /// A name before dots: a test begins, or one of its subtests has ended.
    fn head(&mut self, id: String, rest: &str, tail: &str) {
        if rest.is_empty() {
            self.begin(id);
        } else if let Some(status) = result(tail) {
            self.running = None;
            self.record(id, status);
        }
    }

    fn other_line(&mut self, line: &str) {
        if let Some((id, "")) = leading_id(line) {
            self.named = Some(id);
        } else if line.starts_with("Ran ") && line.contains(" test") {
            self.counted = true;
        } else if self.counted
            && (line == "OK" || line.starts_with("OK (") || line.starts_with("FAILED ("))
        {
            self.summary = Some(line.to_owned());
            self.counted = false;
        }
    }

    /// Where the runner ended in order and skipped nothing, a test that began and is not among
    /// the failures has passed, even if its `ok` was lost in its own output.
    fn finish(mut self) -> Statuses {
        self.lost.extend(self.running.take());
        if self.summary.is_some_and(|summary| !summary.contains("skipped=")) {
            for id in self.lost {
                self.statuses.entry(id).or_insert(Status::Passed);
            }
        }
        self.statuses
    }
}

/// The line after a rule of `=`: what failed.
fn heading(line: &str) -> Option<(String, Status)> {
    let headings = [
        ("FAIL: ", Status::Failed),
        ("ERROR: ", Status::Error),
        ("UNEXPECTED SUCCESS: ", Status::Failed),
    ];
    headings.into_iter().find_map(|(prefix, status)| {
        let (id, _) = leading_id(line.strip_prefix(prefix)?)?;
        Some((id, status))
    })
}

/// What a result means, if it is one.
fn result(text: &str) -> Option<Status> {
    match text.trim() {
        "ok" => Some(Status::Passed),
        "FAIL" | "unexpected success" => Some(Status::Failed),
        "ERROR" => Some(Status::Error),
        "expected failure" => Some(Status::Xfail),
        "skipped" => Some(Status::Skipped),
        text if text.starts_with("skipped '") || text.starts_with("skipped \"") => {
            Some(Status::Skipped)
        }
        _ => None,
    }
}

/// `method (module.Class)` at the start of a text, in normal form, and what follows it (a
/// subtest's parameters).
fn leading_id(text: &str) -> Option<(String, &str)> {
    let (method, rest) = text.split_once(" (")?;
    let (place, rest) = rest.split_once(')')?;
    let is_name = |name: &str| !name.is_empty() && !name.contains([' ', '\t', '(', '\'', '"']);
    if !is_name(method) || !is_name(place) {
        return None;
    }
    if !(rest.is_empty() || rest.starts_with(" (") || rest.starts_with(" [")) {
        return None;
    }
    let class = place.strip_suffix(method).and_then(|head| head.strip_suffix('.'));
    Some((format!("{method} ({})", class.unwrap_or(place)), rest))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::artifact::LogFormat;
    use crate::testlog::parse;
    use Status::{Error, Failed, Passed, Skipped, Xfail};

    #[track_caller]
    fn check(log: &str, expected: &[(&str, Status)]) {
        let expected: Statuses = expected.iter().map(|(id, s)| ((*id).to_owned(), *s)).collect();
        assert_eq!(parse(LogFormat::Unittest, log), expected, "{log}");
    }

    #[test]
    fn one_line_two_lines_and_both_ways_to_write_an_id() {
        check("test_a (p.m.C) ... ok", &[("test_a (p.m.C)", Passed)]);
        check("test_a (p.m.C.test_a) ... ok", &[("test_a (p.m.C)", Passed)]);
        check(
            "test_a (p.m.C.test_a)\nA doc ... with dots. ... FAIL",
            &[("test_a (p.m.C)", Failed)],
        );
        check(
            "test_a (m.C) ... skipped 'no net'\ntest_b (m.C) ... expected failure",
            &[("test_a (m.C)", Skipped), ("test_b (m.C)", Xfail)],
        );
        check("test_a (m.C) ... unexpected success", &[("test_a (m.C)", Failed)]);
        check(
            "t.x (unittest.loader._FailedTest.t.x) ... ERROR",
            &[("t.x (unittest.loader._FailedTest)", Error)],
        );
        assert_eq!(normal_id("test_a (m.C.test_a)"), "test_a (m.C)");
        assert_eq!(normal_id("test_a (m.C)"), "test_a (m.C)");
        assert_eq!(normal_id("tests/x.py::test_a"), "tests/x.py::test_a");
    }

    #[test]
    fn results_torn_from_their_names() {
        check("test_a (m.C) ... noise\nmore (noise)\nok", &[("test_a (m.C)", Passed)]);
        check("test_a (m.C) ...\nERROR", &[("test_a (m.C)", Error)]);
        check("test_a (m.C) ... noise\ntest_b (m.C) ... ok", &[("test_b (m.C)", Passed)]);
        check("ok\nOK\nFAIL: made up (x)\ntest passed ... ok", &[]);
        let swallowed = "test_a (m.C) ... 5%ok\ntest_b (m.C) ... ok\n\nRan 2 tests in 0.1s\n\n";
        check(&format!("{swallowed}OK"), &[("test_b (m.C)", Passed), ("test_a (m.C)", Passed)]);
        check(&format!("{swallowed}OK (skipped=1)"), &[("test_b (m.C)", Passed)]);
        check(swallowed, &[("test_b (m.C)", Passed)]);
    }

    #[test]
    fn a_failing_subtest_fails_its_test_in_old_and_new_output() {
        let rule = "=".repeat(70);
        let old = format!(
            "test_a (m.C) ... test_b (m.C) ... ok\n\n{rule}\nFAIL: test_a (m.C) (i=1)\nTraceback\n\
             Ran 2 tests in 0.0s\n\nFAILED (failures=1)"
        );
        check(&old, &[("test_b (m.C)", Passed), ("test_a (m.C)", Failed)]);
        let new = format!(
            "test_a (m.C.test_a) ...\n  test_a (m.C.test_a) (i=1) ... FAIL\n  \
             test_a (m.C.test_a) [msg] (i=2) ... FAIL\ntest_b (m.C.test_b) ... ok\n\n{rule}\n\
             FAIL: test_a (m.C.test_a) (i=1)\n"
        );
        check(&new, &[("test_a (m.C)", Failed), ("test_b (m.C)", Passed)]);
    }

    /// The interpreter's own output, whatever its version.
    #[test]
    fn the_output_of_this_machines_python_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let source = r#"
import sys, unittest
class C(unittest.TestCase):
    def test_ok(self): pass
    def test_doc(self):
        """Does ... things."""
    def test_fail(self): self.fail("no ... ok")
    def test_error(self): raise KeyError("x")
    @unittest.skip("not ... now")
    def test_skip(self): pass
    @unittest.expectedFailure
    def test_xfail(self): self.fail()
    @unittest.expectedFailure
    def test_xpass(self): pass
    def test_sub(self):
        for i in range(3):
            with self.subTest(i=i): self.assertNotEqual(i, 1)
    def test_noise(self):
        print("loud", file=sys.stderr)
    def test_unended_noise(self):
        sys.stderr.write("50%")
class Broken(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise OSError("gone")
    def test_never(self): pass
"#;
        std::fs::write(dir.path().join("test_m.py"), source).unwrap();
        std::fs::write(dir.path().join("test_bad.py"), "import nothing_like_it\n").unwrap();
        let output = Command::new("python3")
            .args(["-m", "unittest", "-v", "test_m", "test_bad"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let found = parse(LogFormat::Unittest, &log);
        let expected = [
            ("test_ok (test_m.C)", Some(Passed)),
            ("test_doc (test_m.C)", Some(Passed)),
            ("test_fail (test_m.C)", Some(Failed)),
            ("test_error (test_m.C)", Some(Error)),
            ("test_skip (test_m.C)", Some(Skipped)),
            ("test_xfail (test_m.C)", Some(Xfail)),
            ("test_xpass (test_m.C)", Some(Failed)),
            ("test_sub (test_m.C)", Some(Failed)),
            ("test_noise (test_m.C)", Some(Passed)),
            // Its `ok` is lost in the noise, and the summary tells of skips.
            ("test_unended_noise (test_m.C)", None),
            ("test_never (test_m.Broken)", None),
            ("setUpClass (test_m.Broken)", Some(Error)),
            ("test_bad (unittest.loader._FailedTest)", Some(Error)),
        ];
        for (id, status) in expected {
            assert_eq!(found.get(id).copied(), status, "{id} in\n{log}");
        }
    }
}
