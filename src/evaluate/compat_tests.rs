//! Whole evaluations by the rules of each harness, in real containers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::artifact::{InstanceId, Rules};
use crate::evaluate::RunReport;
use crate::evaluate::trial::{
    CORE, FIXED, Trial, core, diff, docker, environment, local, row, test_patch, tests,
};

/// The row's script in SWE-bench 5's shape. `unittest -v` prints what Django's reader reads; the
/// repeated method of newer Pythons is taken off.
fn eval_script(test_patch: &str) -> String {
    format!(
        r"#!/bin/bash
set -uxo pipefail
source /opt/miniconda3/bin/activate
conda activate testbed
cd /testbed
git config --global --add safe.directory /testbed
git status
git show --no-patch
git -c core.fileMode=false diff HEAD
source /opt/miniconda3/bin/activate
conda activate testbed
ls /eval.sh /tmp/patch.diff
echo probe: ${{PIP_NO_INDEX-unset}}
git checkout HEAD tests/test_core.py
git apply -v - <<'EOF_114329324912'
{test_patch}EOF_114329324912
: '>>>>> Start Test Output'
python3 -m unittest -v tests.test_core 2>&1 | sed 's/\.test_[a-z]*)/)/'
: '>>>>> End Test Output'
git checkout HEAD tests/test_core.py
"
    )
}

fn harness_row(id: &str, change: impl FnOnce(&mut Value)) -> Value {
    row(id, |row| {
        row["eval_script"] = json!(eval_script(&test_patch()));
        row["log_parser"] = json!("parse_log_django");
        row["eval_type"] = json!("pass_and_fail");
        row["PASS_TO_PASS"] = json!(["test_double (tests.test_core.CoreTest)"]);
        change(row);
    })
}

/// A row whose test patch creates a file beside the tests.
fn creating(row: &mut Value) {
    let created = new_file("tests/test_new.py", "x = 1");
    row["test_patch"] = json!(test_patch() + &created);
    row["eval_script"] = json!(eval_script(&(test_patch() + &created)));
}

fn new_file(path: &str, line: &str) -> String {
    format!(
        "diff --git a/{path} b/{path}\nnew file mode 100755\n--- /dev/null\n+++ b/{path}\n\
         @@ -0,0 +1 @@\n+{line}\n"
    )
}

/// Id, patch, and the outcome by our rules, those of 5.0.2 and those of 4.1: `R`esolved,
/// `U`nresolved, or the kind of the error.
fn cases() -> Vec<(&'static str, String, [&'static str; 3])> {
    const NO_PATCH: [&str; 3] = ["patch_not_applied"; 3];
    let fixed_with = |line: &str| core(&format!("{line}\n{FIXED}"));
    let hook = new_file(".git/hooks/post-checkout", "#!/bin/sh").replace("+1 @@", "+1,2 @@")
        + "+sed -i 's/a - b/a + b/' adder/core.py\n";
    let liar = format!(
        "import os, sys\nprint('>>>>> Test Exit Code: 0', file=sys.stderr)\nfor name in \
         ['add', 'double']:\n    sys.stderr.write('test_%s (tests.test_core.CoreTest) ... ok\\n' \
         % name)\nsys.stderr.flush()\nos._exit(3)\n{CORE}"
    );
    // Tests of the model's own, under the names of the gold ones.
    let own_tests = "import unittest\n\n\nclass CoreTest(unittest.TestCase):\n    \
                     def test_add(self):\n        pass\n\n    \
                     def test_double(self):\n        pass\n";
    vec![
        ("gold", core(FIXED), ["R"; 3]),
        ("crlf", core(FIXED).replace('\n', "\r\n"), ["R"; 3]),
        ("wrong", core(&CORE.replace("a - b", "b - a")), ["U"; 3]),
        ("tests-only", tests(own_tests), ["U"; 3]),
        ("new-line", "\n".to_owned(), NO_PATCH),
        ("outside", diff("../outside.py", "", "x\n"), NO_PATCH),
        ("hook", hook, ["patch_not_applied", "R", "R"]),
        ("liar", core(&liar), ["U", "R", "R"]),
        ("creates", core(FIXED) + &new_file("tests/test_new.py", "y = 2"), ["U"; 3]),
        ("bytes", fixed_with(r"import os; os.write(2, b'\xff\n')"), ["R", "R", "lost"]),
        (
            "diff",
            fixed_with(r"open('adder/__init__.py', 'wb').write(b'# \xff\n')"),
            ["R", "lost", "lost"],
        ),
        (
            "heading",
            fixed_with(r"import sys; sys.stderr.write('\nFAIL:\n')"),
            ["R", "lost", "lost"],
        ),
    ]
}

fn outcome(report: &RunReport, id: &InstanceId) -> String {
    if report.resolved_ids.contains(id) {
        return "R".to_owned();
    }
    if report.unresolved_ids.contains(id) {
        return "U".to_owned();
    }
    report.errors.get(id).map_or("none", |error| error.kind.name()).to_owned()
}

#[tokio::test]
async fn each_harness_judges_as_it_does() {
    let Some(docker) = docker().await else { return };
    let cases = cases();
    let rows: Vec<Value> = cases
        .iter()
        .map(|(id, ..)| {
            harness_row(id, |row| {
                if *id == "creates" {
                    creating(row);
                }
            })
        })
        .collect();
    let given: Vec<_> = cases.iter().map(|(id, patch, _)| (*id, patch.clone())).collect();
    for (index, rules) in Rules::ALL.into_iter().enumerate() {
        let mut trial = Trial::new(&rows);
        trial.config.rules = rules;
        let report = trial.run(&*docker, &given, environment).await;
        for (id, _, expected) in &cases {
            let log = trial.file(id, "test_output.txt").unwrap_or_default();
            let found = outcome(&report, &id.parse().unwrap());
            assert_eq!(found, expected[index], "{id} by {}: {log}", rules.name());
        }
        assert_eq!(report.rules, rules);

        let log = trial.file("gold", "test_output.txt").unwrap();
        let bare = log.contains("\nprobe: unset\n")
            && log.contains("\n/eval.sh\n/tmp/patch.diff\n")
            && !log.contains("Test Patch Status");
        assert_eq!(bare, rules != Rules::Ours, "{log}");
        assert_eq!(log.contains("\n>>>>> Test Exit Code: 0\n"), rules != Rules::Harness4, "{log}");
        let steps = trial.file("gold", "run_instance.log").unwrap();
        assert_eq!(steps.contains(">>>>> Applied Patch"), rules != Rules::Ours, "{steps}");
        assert_eq!(steps.contains("\n+    return a + b\n"), rules != Rules::Ours, "{steps}");

        let written: Value =
            serde_json::from_str(&trial.file("wrong", "report.json").unwrap()).unwrap();
        let fields = written["wrong"].as_object().unwrap();
        assert_eq!(fields.contains_key("infra_failure"), rules != Rules::Harness4);
        let whole: Value =
            serde_json::from_slice(&std::fs::read(trial.out().join("report.json")).unwrap())
                .unwrap();
        assert_eq!(whole["rules"], rules.name());
        let read: RunReport = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!((&read.resolved_ids, read.rules), (&report.resolved_ids, rules));
        assert_eq!(whole.get("failure_reasons").is_some(), rules != Rules::Harness4);
        assert_eq!(trial.file("hook", "report.json").is_some(), rules != Rules::Ours);
        assert_eq!(trial.file("diff", "report.json").is_some(), rules == Rules::Ours);
    }
}

#[tokio::test]
async fn a_verdict_holds_by_its_own_rules_only_and_time_and_trouble_are_told() {
    let Some(docker) = docker().await else { return };
    let sleeper = core(&format!("import time\ntime.sleep(600)\n{CORE}"));
    let rows = [
        harness_row("fine", |_| {}),
        harness_row("sleeper", |_| {}),
        harness_row("no-script", |row| row["eval_script"] = json!(null)),
        harness_row("no-parser", |row| row["log_parser"] = json!("parse_log_jest")),
        harness_row("own-parser", |row| row["log_parser"] = json!("parse_log_unittest")),
        harness_row("unknown-place", |_| {}),
    ];
    let mut trial = Trial::new(&rows);
    trial.config.timeout = Duration::from_secs(12);
    trial.config.rules = Rules::Harness5;
    let given = [
        ("fine", core(FIXED)),
        ("sleeper", sleeper),
        ("no-script", core(FIXED)),
        ("no-parser", core(FIXED)),
        ("own-parser", core(FIXED)),
        ("unknown-place", core(FIXED)),
    ];
    let lost_place = |instance: &crate::artifact::Instance| match instance.id.as_str() {
        "unknown-place" => Err("no such repository".into()),
        _ => environment(instance),
    };
    let report = trial.run(&*docker, &given, lost_place).await;
    let kinds: Vec<_> =
        report.errors.iter().map(|(id, error)| (id.as_str(), error.kind.name())).collect();
    let expected = [
        ("no-parser", "not_gradable"),
        ("no-script", "not_gradable"),
        ("own-parser", "not_gradable"),
        ("sleeper", "tests_timed_out"),
        ("unknown-place", "infra"),
    ];
    assert_eq!(kinds, expected);
    // The harness reads its reasons from the logs alone.
    let reasons: Vec<_> =
        report.failure_reasons.iter().map(|(id, why)| (id.as_str(), &**why)).collect();
    assert_eq!(reasons, [("sleeper", "tests_timed_out")]);
    assert!(report.infra_failure_ids.is_empty());
    assert_eq!(report.not_judged_infra_ids.len(), 1);
    assert_eq!((report.submitted_instances, report.judged_instances), (6, 2));

    // The same command once more runs the failure of the infrastructure alone.
    let asked = std::sync::Mutex::new(Vec::new());
    let noting = |instance: &crate::artifact::Instance| {
        asked.lock().unwrap().push(instance.id.to_string());
        environment(instance)
    };
    let again = trial.run(&*docker, &given, noting).await;
    assert_eq!(*asked.lock().unwrap(), ["unknown-place"]);
    assert_eq!(again.judged_instances, 3);
    // By other rules nothing of it holds.
    trial.config.rules = Rules::Ours;
    asked.lock().unwrap().clear();
    let ours = trial.run(&*docker, &given[..1], noting).await;
    assert_eq!((ours.resolved_instances, asked.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn a_harnesss_rules_need_containers() {
    let mut trial = Trial::new(&[harness_row("a", |_| {})]);
    trial.config.rules = Rules::Harness5;
    let report = trial.run(&local(), &[("a", core(FIXED))], environment).await;
    assert!(report.errors[&report.error_ids[0]].message.contains("only the docker sandbox"));
}
