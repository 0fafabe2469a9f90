//! From a log to a verdict: the harness's rules, without any I/O.

use serde::{Deserialize, Serialize};

use crate::artifact::LogFormat;
use crate::dataset::{EvalType, Gold};
use crate::testlog::infra::{self, Tier};
use crate::testlog::{Status, Statuses, markers, normal_id};

/// The verdict about one prediction, with the harness's field names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReport {
    /// Whether the prediction has no patch at all; such predictions are not graded.
    #[serde(rename = "patch_is_None")]
    pub patch_is_none: bool,
    /// Whether the prediction has a patch.
    pub patch_exists: bool,
    /// Whether the log could be graded. (The name is the harness's; the patch has been applied in
    /// any case.)
    pub patch_successfully_applied: bool,
    /// Whether all listed tests did what they should.
    pub resolved: bool,
    /// Whether the log could not be graded and shows that the environment broke.
    pub infra_failure: bool,
    /// The sign of it, or an ambiguous one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infra_failure_reason: Option<String>,
    /// Why the log could not be graded; a field of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_graded: Option<String>,
    /// The listed tests; absent when the log could not be graded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests_status: Option<TestsStatus>,
}

/// The four lists of the benchmark. The last two are always empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct TestsStatus {
    /// Tests that the fix must make pass.
    pub fail_to_pass: Sorted,
    /// Tests that must go on passing.
    pub pass_to_pass: Sorted,
    /// Not used by the benchmark.
    pub fail_to_fail: Sorted,
    /// Not used by the benchmark.
    pub pass_to_fail: Sorted,
}

/// Tests of one list by what they did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sorted {
    /// Did what they should.
    pub success: Vec<String>,
    /// Did not, or are missing.
    pub failure: Vec<String>,
}

impl Sorted {
    /// Whether nothing failed; true for an empty list.
    fn is_whole(&self) -> bool {
        self.failure.is_empty()
    }

    /// `successes/all`.
    pub(super) fn fraction(&self) -> String {
        format!("{}/{}", self.success.len(), self.success.len() + self.failure.len())
    }
}

/// Grades the log of an evaluation. `log` is the whole output, markers included.
#[must_use]
pub fn grade(format: LogFormat, gold: &Gold, log: &str) -> InstanceReport {
    let mut report = InstanceReport {
        patch_is_none: false,
        patch_exists: true,
        patch_successfully_applied: false,
        resolved: false,
        infra_failure: false,
        infra_failure_reason: None,
        not_graded: None,
        tests_status: None,
    };
    match markers::statuses(format, log) {
        Ok(found) => {
            let sort = |list: &[String], rule: Rule| sort(format, list, &found, rule);
            let (fail_rule, pass_rule) = match gold.eval_type {
                EvalType::PassAndFail => (Rule::Pass, Rule::NoRegression),
                EvalType::FailOnly => (Rule::NoFailure, Rule::NoFailure),
            };
            let status = TestsStatus {
                fail_to_pass: sort(&gold.fail_to_pass, fail_rule),
                pass_to_pass: sort(&gold.pass_to_pass, pass_rule),
                ..TestsStatus::default()
            };
            report.patch_successfully_applied = true;
            report.resolved = status.fail_to_pass.is_whole() && status.pass_to_pass.is_whole();
            report.tests_status = Some(status);
        }
        Err(invalid) => {
            let sign = infra::classify(log);
            report.infra_failure = sign.is_some_and(|sign| sign.tier == Tier::Environment);
            report.infra_failure_reason = sign.map(|sign| sign.reason.to_owned());
            report.not_graded = Some(invalid.to_string());
        }
    }
    report
}

/// When a listed test counts as a success.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// It was seen to pass.
    Pass,
    /// It was seen to pass or to be skipped.
    NoRegression,
    /// It was not seen to fail.
    NoFailure,
}

fn sort(format: LogFormat, list: &[String], found: &Statuses, rule: Rule) -> Sorted {
    let mut sorted = Sorted::default();
    for test in list {
        let name = normal_id(format, test);
        let success = match rule {
            Rule::NoFailure => found.get(name.as_ref()) != Some(&Status::Failed),
            Rule::Pass => look_up(&name, found).is_some_and(Status::is_pass),
            Rule::NoRegression => look_up(&name, found)
                .is_some_and(|status| status.is_pass() || status == Status::Skipped),
        };
        let list = if success { &mut sorted.success } else { &mut sorted.failure };
        list.push(test.clone());
    }
    sorted
}

/// The status of a listed test. Ids that older parsers cut inside their brackets stand for every
/// test that begins like them, as long as these agree on having passed.
fn look_up(test: &str, found: &Statuses) -> Option<Status> {
    if let Some(status) = found.get(test) {
        return Some(*status);
    }
    if test.matches('[').count() <= test.matches(']').count() {
        return None;
    }
    let mut candidates =
        found.iter().filter(|(name, _)| name.starts_with(test)).map(|(_, status)| *status);
    let first = candidates.next()?;
    candidates.all(|status| status.is_pass() == first.is_pass()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testlog::markers::{END, EXIT_CODE, START};

    fn gold(fail_to_pass: &[&str], pass_to_pass: &[&str], eval_type: EvalType) -> Gold {
        let owned = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect();
        Gold {
            patch: String::new(),
            test_patch: String::new(),
            fail_to_pass: owned(fail_to_pass),
            pass_to_pass: owned(pass_to_pass),
            eval_script: None,
            eval_type,
            log_parser: None,
            version: String::new(),
            test_directives: None,
        }
    }

    /// A log of the parts, one a line; `S` and `E` are the markers, `=n` an exit status.
    fn log(parts: &str) -> String {
        let line = |part: &str| match part {
            "S" => format!("+ : '{START}'"),
            "E" => format!("+ : '{END}'"),
            text => match text.strip_prefix('=') {
                Some(code) => format!("{EXIT_CODE}: {code}"),
                None => text.to_owned(),
            },
        };
        parts.split('|').map(line).collect::<Vec<_>>().join("\n")
    }

    fn usual(parts: &str) -> InstanceReport {
        let gold = gold(&["t::a"], &["t::b"], EvalType::PassAndFail);
        grade(LogFormat::Pytest, &gold, &log(parts))
    }

    #[track_caller]
    fn check(parts: &str, graded: bool, resolved: bool) {
        let report = usual(parts);
        assert_eq!(
            (report.patch_successfully_applied, report.resolved),
            (graded, resolved),
            "{parts}: {report:?}"
        );
        assert_eq!(report.tests_status.is_some(), graded);
    }

    #[test]
    fn what_the_listed_tests_did_decides() {
        check("S|PASSED t::a|PASSED t::b|E|=0", true, true);
        check("S|PASSED t::a|PASSED t::b|E", true, true);
        check("S|PASSED t::a|PASSED t::b|E|=1", false, false);
        check("S|PASSED t::a|PASSED t::b|FAILED t::zz|E|=1", true, true);
        check("S|FAILED t::a|PASSED t::b|E|=1", true, false);
        check("S|PASSED t::a|E", true, false);
        check("S|SKIPPED t::a|PASSED t::b|E", true, false);
        check("S|PASSED t::a|SKIPPED t::b|E", true, true);
        check("S|XFAIL t::a|PASSED t::b|E", true, true);
        check("S|PASSED t::a|ERROR t::b|E", true, false);
    }

    #[test]
    fn a_part_of_the_fixed_tests_is_not_enough() {
        let gold = gold(&["t::a", "t::c"], &["t::b"], EvalType::PassAndFail);
        let report =
            grade(LogFormat::Pytest, &gold, &log("S|PASSED t::a|FAILED t::c|PASSED t::b|E"));
        assert!(!report.resolved);
        let status = report.tests_status.unwrap();
        assert_eq!(status.fail_to_pass.success, ["t::a"]);
        assert_eq!(status.fail_to_pass.failure, ["t::c"]);
        assert_eq!(status.fail_to_pass.fraction(), "1/2");
        assert_eq!(status.pass_to_pass.fraction(), "1/1");
    }

    #[test]
    fn empty_lists_are_whole_but_need_a_run() {
        let read = |f2p: &[&str], p2p: &[&str], parts: &str| {
            grade(LogFormat::Pytest, &gold(f2p, p2p, EvalType::PassAndFail), &log(parts)).resolved
        };
        assert!(read(&["t::a"], &[], "S|PASSED t::a|E"));
        assert!(read(&[], &["t::b"], "S|PASSED t::b|E"));
        assert!(!read(&[], &[], "S|nothing|E"));
    }

    #[test]
    fn markers_bound_what_is_read() {
        check("S|PASSED t::a|PASSED t::b", false, false);
        check("PASSED t::a|PASSED t::b|E", false, false);
        check("PASSED t::a|PASSED t::b", false, false);
        check("PASSED t::a|PASSED t::b|S|E", true, true);
        check("S|E|PASSED t::a|PASSED t::b", true, true);
        check("S|PASSED t::a|E|PASSED t::b", true, false);
        check("S|FAILED t::a|PASSED t::b|S|PASSED t::a|E", true, false);
        check("S|PASSED t::a|PASSED t::b|E|FAILED t::a|E", true, true);
        check("+S|S|shown|S|PASSED t::a|PASSED t::b|E", true, true);
    }

    #[test]
    fn texts_that_void_a_log() {
        check("S|PASSED t::a|PASSED t::b|>>>>> Tests Timed Out|E", false, false);
        check("+>>>>> Tests Errored|S|PASSED t::a|PASSED t::b|E", false, false);
        check("S|PASSED t::a|PASSED t::b|>>>>> Some Tests Failed|E", true, true);
        check("S|PASSED t::a|PASSED t::b|E|Timeout error: 9 seconds exceeded.", true, true);
    }

    #[test]
    fn exit_statuses_that_contradict_the_log() {
        // The harness believes the first status; a test could have printed that one.
        check("=0|S|PASSED t::a|PASSED t::b|E|=1", false, false);
        check("S|PASSED t::a|PASSED t::b|E|=139", false, false);
    }

    #[test]
    fn signs_of_a_broken_environment_are_told() {
        let empty = usual("S|collected 0 items|E|=5");
        assert_eq!(empty.infra_failure_reason.as_deref(), Some("no_tests_collected"));
        assert!(!empty.infra_failure && !empty.patch_successfully_applied);
        let killed = usual("S|Killed|E|=137");
        assert_eq!(killed.infra_failure_reason.as_deref(), Some("out_of_memory"));
        assert!(killed.infra_failure && !killed.resolved);
        assert_eq!(killed.not_graded.as_deref(), Some("no test result was found in the log"));
        let silent = usual("S|5 passing|E");
        assert!(silent.patch_successfully_applied && !silent.resolved);
        assert_eq!(silent.tests_status.unwrap().pass_to_pass.failure, ["t::b"]);
    }

    #[test]
    fn cut_ids_stand_for_tests_that_agree() {
        let read = |f2p: &[&str], p2p: &[&str], parts: &str| {
            grade(LogFormat::PytestV2, &gold(f2p, p2p, EvalType::PassAndFail), &log(parts)).resolved
        };
        assert!(read(&["t::a[x"], &[], "S|PASSED t::a[x y]|E"));
        assert!(!read(&["t::a[x"], &[], "S|PASSED t::a[x y]|FAILED t::a[x z]|E"));
        assert!(read(&["t::a[x"], &[], "S|PASSED t::a[x y]|XFAIL t::a[x z]|E"));
        assert!(!read(&[], &["t::a[x"], "S|SKIPPED t::a[x y]|PASSED t::a[x z]|E"));
        assert!(!read(&["t::a[x]"], &[], "S|PASSED t::a[x]y|E"));
    }

    #[test]
    fn runners_that_print_failures_only() {
        let gold = gold(&["t::a"], &["t::b"], EvalType::FailOnly);
        let read = |parts| grade(LogFormat::Pytest, &gold, &log(parts)).resolved;
        assert!(read("S|10 passing|E"));
        assert!(read("S|ERROR t::a|E"));
        assert!(!read("S|FAILED t::b|E"));
        assert!(!read("S|0 passing|E"));
    }

    #[test]
    fn unittest_ids_match_in_either_form() {
        let gold = gold(&["test_a (m.C.test_a)"], &["test_b (m.C)"], EvalType::PassAndFail);
        let parts = "S|test_a (m.C) ... ok|test_b (m.C.test_b) ... ok|E|=0";
        assert!(grade(LogFormat::Unittest, &gold, &log(parts)).resolved);
    }

    #[test]
    fn the_report_has_the_harnesss_field_names() {
        let written = serde_json::to_value(usual("S|PASSED t::a|PASSED t::b|E|=0")).unwrap();
        assert_eq!(
            written,
            serde_json::json!({
                "patch_is_None": false, "patch_exists": true, "patch_successfully_applied": true,
                "resolved": true, "infra_failure": false,
                "tests_status": {
                    "FAIL_TO_PASS": {"success": ["t::a"], "failure": []},
                    "PASS_TO_PASS": {"success": ["t::b"], "failure": []},
                    "FAIL_TO_FAIL": {"success": [], "failure": []},
                    "PASS_TO_FAIL": {"success": [], "failure": []},
                }
            })
        );
    }
}
