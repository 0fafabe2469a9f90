//! From a log to a verdict, without any I/O.

use serde::{Deserialize, Serialize};

use crate::artifact::{LogFormat, Rules};
use crate::dataset::{EvalType, Gold};
use crate::testlog::infra::{self, Tier};
use crate::testlog::markers::InvalidLog;
use crate::testlog::{BrokenReader, Status, Statuses, markers, normal_id};

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

impl InstanceReport {
    /// Unresolved without a look at any test, for this reason.
    pub(super) fn unresolved(reason: &str) -> Self {
        Self {
            patch_is_none: false,
            patch_exists: true,
            patch_successfully_applied: false,
            resolved: false,
            infra_failure: false,
            infra_failure_reason: None,
            not_graded: Some(reason.to_owned()),
            tests_status: None,
        }
    }
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

impl InstanceReport {
    /// The report as a file of the harness holds it: without fields that it does not know.
    #[must_use]
    pub fn written(&self, rules: Rules) -> serde_json::Value {
        let mut value = serde_json::json!(self);
        if let Some(fields) = value.as_object_mut() {
            if rules != Rules::Ours {
                fields.remove("not_graded");
            }
            if !rules.reports_infra() {
                fields.remove("infra_failure");
                fields.remove("infra_failure_reason");
            }
        }
        value
    }
}

/// Grades the log of an evaluation. `log` is the whole output, markers included.
///
/// # Errors
/// [`BrokenReader`], only where [`Rules::readers_break`].
pub fn grade(
    rules: Rules,
    format: LogFormat,
    gold: &Gold,
    log: &str,
) -> Result<InstanceReport, BrokenReader> {
    let mut report = InstanceReport { not_graded: None, ..InstanceReport::unresolved("") };
    match markers::statuses(rules, format, log) {
        Ok(found) => {
            let sort = |list: &[String], rule: Rule| {
                let mut sorted = Sorted::default();
                for test in list {
                    let name = normal_id(format, test);
                    match rule.judge(rules, &name, &found) {
                        Some(true) => sorted.success.push(test.clone()),
                        Some(false) => sorted.failure.push(test.clone()),
                        None => {}
                    }
                }
                sorted
            };
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
        Err(InvalidLog::Broken(broken)) => return Err(broken),
        Err(invalid) => {
            let sign = infra::classify(log);
            report.infra_failure = sign.is_some_and(|sign| sign.tier == Tier::Environment);
            report.infra_failure_reason = sign.map(|sign| sign.reason.to_owned());
            report.not_graded = Some(invalid.to_string());
        }
    }
    Ok(report)
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

impl Rule {
    /// Success, failure, or none: some harnesses put a test that did neither in no list.
    fn judge(self, rules: Rules, test: &str, found: &Statuses) -> Option<bool> {
        if let Self::NoFailure = self {
            return Some(found.get(test) != Some(&Status::Failed));
        }
        match (self, look_up(rules, test, found)) {
            (_, Some(Status::Passed | Status::Xfail)) => Some(true),
            (_, None | Some(Status::Failed | Status::Error)) => Some(false),
            (Self::NoRegression, Some(Status::Skipped)) => rules.counts_skips().then_some(true),
            (_, Some(Status::Skipped)) => rules.counts_skips().then_some(false),
            (_, Some(Status::Other)) => rules.counts_unknown_words().then_some(false),
        }
    }
}

/// The status of a listed test. Ids that older parsers cut inside their brackets stand for every
/// test that begins like them, as long as these agree on having passed.
fn look_up(rules: Rules, test: &str, found: &Statuses) -> Option<Status> {
    if let Some(status) = found.get(test) {
        return Some(*status);
    }
    if !rules.completes_cut_ids() || test.matches('[').count() <= test.matches(']').count() {
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

    /// What rules make of a log: `R`esolved, `U`nresolved, `N`ot graded, `L`ost.
    fn outcome(rules: Rules, format: LogFormat, gold: &Gold, log: &str) -> char {
        match grade(rules, format, gold, log) {
            Err(_) => 'L',
            Ok(report) => {
                let graded = report.patch_successfully_applied;
                assert_eq!(report.tests_status.is_some(), graded);
                assert_eq!(report.not_graded.is_none(), graded);
                match (graded, report.resolved) {
                    (true, true) => 'R',
                    (true, false) => 'U',
                    (false, false) => 'N',
                    (false, true) => panic!("resolved and not graded"),
                }
            }
        }
    }

    /// Outcomes by our rules, those of 5.0.2 and those of 4.1, in this order.
    fn outcomes(format: LogFormat, gold: &Gold, parts: &str) -> String {
        Rules::ALL.map(|rules| outcome(rules, format, gold, &log(parts))).iter().collect()
    }

    fn usual(parts: &str) -> InstanceReport {
        let gold = gold(&["t::a"], &["t::b"], EvalType::PassAndFail);
        grade(Rules::Ours, LogFormat::Pytest, &gold, &log(parts)).unwrap()
    }

    /// Cases G1 to G29 of the specification and some more, with one test that must be fixed and one
    /// that must go on passing.
    #[test]
    fn logs_by_each_rules() {
        let cases = [
            ("G1", "S|PASSED t::a|PASSED t::b|E|=0", "RRR"),
            ("G2", "S|PASSED t::a|PASSED t::b|E", "RRR"),
            ("G3", "S|PASSED t::a|PASSED t::b|E|=1", "NNR"),
            ("G4", "S|PASSED t::a|PASSED t::b|FAILED t::zz|E|=1", "RRR"),
            ("G5", "S|FAILED t::a|PASSED t::b|E|=1", "UUU"),
            ("G6", "S|PASSED t::a|E", "UUU"),
            ("G7", "S|SKIPPED t::a|PASSED t::b|E", "UUR"),
            ("G8", "S|PASSED t::a|SKIPPED t::b|E", "RRR"),
            ("G9", "S|XFAIL t::a|PASSED t::b|E", "RRR"),
            ("G10", "S|PASSED t::a|ERROR t::b|E", "UUU"),
            ("G15 no end", "S|PASSED t::a|PASSED t::b", "NNN"),
            ("G15 no start", "PASSED t::a|PASSED t::b|E", "NNN"),
            ("G15 neither", "PASSED t::a|PASSED t::b", "NNN"),
            ("G16 before", "PASSED t::a|PASSED t::b|S|E", "RRR"),
            ("G16 after", "S|E|PASSED t::a|PASSED t::b", "RRR"),
            ("G17", "S|PASSED t::a|E|PASSED t::b", "UUU"),
            ("G18", "S|PASSED t::a|PASSED t::b|>>>>> Tests Timed Out|E", "NNN"),
            ("G19", "+>>>>> Tests Errored|S|PASSED t::a|PASSED t::b|E", "NNN"),
            ("G20", "S|PASSED t::a|PASSED t::b|>>>>> Some Tests Failed|E", "RRR"),
            ("G21", "S|FAILED t::a|PASSED t::b|S|PASSED t::a|E", "UUU"),
            ("G22", "S|PASSED t::a|PASSED t::b|E|FAILED t::a|E", "RRR"),
            ("G23", "+S|S|shown|S|PASSED t::a|PASSED t::b|E", "RRR"),
            ("G24", "=0|S|PASSED t::a|PASSED t::b|E|=1", "NRR"),
            ("G24 turned", "=1|S|PASSED t::a|PASSED t::b|E|=0", "RNR"),
            ("G24 padded", "=-00|S|PASSED t::a|PASSED t::b|E|=-00", "RRR"),
            ("G25", "S|PASSED t::a|PASSED t::b|E|=139", "NNR"),
            ("G26", "S|collected 0 items|E|=5", "NNU"),
            ("G27", "S|Killed|E|=137", "NNU"),
            ("G28", "S|5 passing|E", "UUU"),
            ("G29", "S|PASSED t::a|PASSED t::b|E|Timeout error: 9 seconds exceeded.", "RRR"),
            // A word that only looks like a status takes the place of the status.
            ("word", "S|FAILED t::a|PASSED t::b|FAILEDx t::a|E|=0", "URR"),
            ("word, kept", "S|PASSED t::a|FAILED t::b|ERRORx t::b|E|=0", "URR"),
        ];
        let gold = gold(&["t::a"], &["t::b"], EvalType::PassAndFail);
        for (case, parts, expected) in cases {
            assert_eq!(outcomes(LogFormat::Pytest, &gold, parts), expected, "{case}: {parts}");
        }
    }

    #[test]
    fn a_part_of_the_fixed_tests_is_not_enough() {
        let gold = gold(&["t::a", "t::c"], &["t::b"], EvalType::PassAndFail);
        let parts = "S|PASSED t::a|FAILED t::c|PASSED t::b|E";
        assert_eq!(outcomes(LogFormat::Pytest, &gold, parts), "UUU", "G11");
        let report = grade(Rules::Ours, LogFormat::Pytest, &gold, &log(parts)).unwrap();
        let status = report.tests_status.unwrap();
        assert_eq!(status.fail_to_pass.success, ["t::a"]);
        assert_eq!(status.fail_to_pass.failure, ["t::c"]);
        assert_eq!(status.fail_to_pass.fraction(), "1/2");
        assert_eq!(status.pass_to_pass.fraction(), "1/1");
    }

    #[test]
    fn empty_lists_are_whole_but_need_a_run() {
        let read = |f2p: &[&str], p2p: &[&str], parts: &str| {
            outcomes(LogFormat::Pytest, &gold(f2p, p2p, EvalType::PassAndFail), parts)
        };
        assert_eq!(read(&["t::a"], &[], "S|PASSED t::a|E"), "RRR", "G12");
        assert_eq!(read(&[], &["t::b"], "S|PASSED t::b|E"), "RRR", "G13");
        assert_eq!(read(&[], &[], "S|nothing|E"), "NNR", "G14");
    }

    #[test]
    fn a_skipped_test_is_in_a_list_or_in_none() {
        let gold = gold(&["t::a"], &["t::b"], EvalType::PassAndFail);
        let listed = |rules| {
            let read = log("S|SKIPPED t::a|SKIPPED t::b|E|=0");
            let report = grade(rules, LogFormat::Pytest, &gold, &read).unwrap();
            let status = report.tests_status.unwrap();
            [status.fail_to_pass.success, status.fail_to_pass.failure, status.pass_to_pass.success]
                .map(|list| list.len())
        };
        assert_eq!(listed(Rules::Ours), [0, 1, 1]);
        assert_eq!(listed(Rules::Harness5), [0, 1, 1]);
        assert_eq!(listed(Rules::Harness4), [0, 0, 0]);
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
            outcomes(LogFormat::PytestV2, &gold(f2p, p2p, EvalType::PassAndFail), parts)
        };
        // 4.1 cuts the log's ids as well, and the last of equal ones counts.
        let cases = [
            ("G31", &["t::a[x"][..], &[][..], "S|PASSED t::a[x y]|E", "RRR"),
            ("G32", &["t::a[x"], &[], "S|PASSED t::a[x y]|FAILED t::a[x z]|E", "UUU"),
            ("G32 turned", &["t::a[x"], &[], "S|FAILED t::a[x y]|PASSED t::a[x z]|E", "UUR"),
            ("G33", &["t::a[x"], &[], "S|PASSED t::a[x y]|XFAIL t::a[x z]|E", "RRR"),
            ("G34", &[], &["t::a[x"], "S|SKIPPED t::a[x y]|PASSED t::a[x z]|E", "UUR"),
            ("G35", &["t::a[x]"], &[], "S|PASSED t::a[x]y|E", "UUU"),
            ("prefix of a word", &["t::a[x"], &[], "S|PASSED t::a[xy]|E", "RRU"),
        ];
        for (case, f2p, p2p, parts, expected) in cases {
            assert_eq!(read(f2p, p2p, parts), expected, "{case}: {parts}");
        }
    }

    #[test]
    fn runners_that_print_failures_only() {
        let gold = gold(&["t::a"], &["t::b"], EvalType::FailOnly);
        let read = |parts| outcomes(LogFormat::Pytest, &gold, parts);
        assert_eq!(read("S|10 passing|E"), "RRR", "G36");
        assert_eq!(read("S|ERROR t::a|E"), "RRR");
        assert_eq!(read("S|FAILED t::b|E"), "UUU");
        assert_eq!(read("S|0 passing|E"), "NNR");
    }

    #[test]
    fn lines_that_break_a_harness_lose_the_instance() {
        let gold = gold(&["t (m.C)"], &[], EvalType::PassAndFail);
        let read = |format, parts| outcomes(format, &gold, parts);
        assert_eq!(read(LogFormat::Django, "S|t (m.C) ... ok|FAIL:|E|=0"), "RLL");
        assert_eq!(read(LogFormat::Django, "S|t (m.C) ... ok|  ERROR:  |E|=0"), "RLL");
        // Outside of the markers only where the whole log is read.
        assert_eq!(read(LogFormat::Django, "FAIL:|S|t (m.C) ... ok|E|=0"), "RRR");
        assert_eq!(read(LogFormat::Django, "FAIL:|t (m.C) ... ok|S|E|=0"), "RLL");
        let gold = self::gold(&["t::a"], &[], EvalType::PassAndFail);
        let read = |format, parts: &str| outcomes(format, &gold, parts);
        for line in ["FAILED", "PASSED", " PASSED "] {
            let parts = format!("S|PASSED t::a|{line}|E|=0");
            assert_eq!(read(LogFormat::Seaborn, &parts), "RRL", "{line:?}");
            assert_eq!(read(LogFormat::Pytest, &parts), "RRR", "{line:?}");
        }
    }

    #[test]
    fn unittest_ids_match_in_either_form() {
        let gold = gold(&["test_a (m.C.test_a)"], &["test_b (m.C)"], EvalType::PassAndFail);
        let parts = "S|test_a (m.C) ... ok|test_b (m.C.test_b) ... ok|E|=0";
        assert_eq!(outcome(Rules::Ours, LogFormat::Unittest, &gold, &log(parts)), 'R');
    }

    #[test]
    fn a_written_report_has_the_fields_of_its_harness() {
        let lists = serde_json::json!({
            "FAIL_TO_PASS": {"success": ["t::a"], "failure": []},
            "PASS_TO_PASS": {"success": ["t::b"], "failure": []},
            "FAIL_TO_FAIL": {"success": [], "failure": []},
            "PASS_TO_FAIL": {"success": [], "failure": []},
        });
        let report = usual("S|PASSED t::a|PASSED t::b|E|=0");
        let newer = serde_json::json!({
            "patch_is_None": false, "patch_exists": true, "patch_successfully_applied": true,
            "resolved": true, "infra_failure": false, "tests_status": lists,
        });
        assert_eq!(report.written(Rules::Ours), newer);
        assert_eq!(report.written(Rules::Harness5), newer);
        let older = serde_json::json!({
            "patch_is_None": false, "patch_exists": true, "patch_successfully_applied": true,
            "resolved": true, "tests_status": lists,
        });
        assert_eq!(report.written(Rules::Harness4), older);
        let invalid = usual("S|Killed|E|=137");
        let keys = |rules| -> Vec<String> {
            invalid.written(rules).as_object().unwrap().keys().cloned().collect()
        };
        let old =
            ["patch_is_None", "patch_exists", "patch_successfully_applied", "resolved"].to_vec();
        assert_eq!(keys(Rules::Harness4), old);
        let new = [&old[..], &["infra_failure", "infra_failure_reason"]].concat();
        assert_eq!(keys(Rules::Harness5), new);
        assert_eq!(keys(Rules::Ours), [&new[..], &["not_graded"]].concat());
    }
}
