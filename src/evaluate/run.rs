//! Evaluates many predictions side by side. No instance's failure ends another one.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::artifact::{Instance, InstanceId, Prediction, Rules};
use crate::dataset::{Dataset, Row};
use crate::evaluate::again::is_kept;
use crate::evaluate::record::{Folder, Question};
use crate::evaluate::session::{Plan, Trouble, judge};
use crate::evaluate::{Again, ErrorKind, Predictions, RunReport, Verdict};
use crate::event::{Events, with_causes};
use crate::sandbox::{EnvironmentSpec, Limits, Sandbox};

/// Limits of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluateConfig {
    /// Time for the tests of one instance; the harness gives 1800 seconds.
    pub timeout: Duration,
    /// Time for each step before the tests, such as applying the patch.
    pub step_timeout: Duration,
    /// Limits of a session. Its lifetime is lengthened where `timeout` needs it.
    pub limits: Limits,
    /// Instances evaluated at the same time, at least 1.
    pub jobs: usize,
    /// By whose rules.
    pub rules: Rules,
    /// Earlier verdicts about the same patch, row and rules that are made anew; those that an
    /// infrastructure failure left are in any case, all others are taken.
    pub again: Vec<Again>,
}

/// All that an evaluation needs besides predictions.
pub struct Evaluation<'a> {
    /// Where the tests run.
    pub sandbox: &'a dyn Sandbox,
    /// Rows with gold data.
    pub dataset: &'a Dataset,
    /// Limits.
    pub config: &'a EvaluateConfig,
    /// Folder for `report.json` and one folder an instance.
    pub out: &'a Path,
    /// Where progress is told.
    pub events: &'a Events,
    /// Stops the evaluation; what is finished is kept and reported.
    pub cancel: &'a CancellationToken,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// No prediction.
    #[error("there is no prediction to evaluate")]
    NoPredictions,
    /// No row of the predictions holds gold data.
    #[error("dataset {dataset} holds no gold tests for any of the predictions")]
    NoGold {
        /// The dataset.
        dataset: String,
    },
    /// The output folder cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Whatever keeps the caller from describing an environment.
pub type SpecError = Box<dyn Error + Send + Sync>;

/// Evaluates the predictions and writes `out/report.json`. `environment` describes what an
/// instance runs in; its failure is that instance's infrastructure failure.
///
/// # Errors
/// [`EvaluateError`] when there is nothing to evaluate or the report cannot be written.
pub async fn evaluate<F>(
    evaluation: &Evaluation<'_>,
    predictions: &Predictions,
    environment: F,
) -> Result<RunReport, EvaluateError>
where
    F: Fn(&Instance) -> Result<EnvironmentSpec, SpecError> + Send + Sync,
{
    let Evaluation { dataset, config, out, events, .. } = *evaluation;
    if predictions.is_empty() {
        return Err(EvaluateError::NoPredictions);
    }
    if predictions.iter().all(|row| dataset.gold(&row.instance_id).is_none()) {
        return Err(EvaluateError::NoGold { dataset: dataset.source().to_owned() });
    }
    let write = |source| EvaluateError::Write { path: out.to_owned(), source };
    std::fs::create_dir_all(out).map_err(write)?;
    for notice in predictions.notices() {
        events.notice(notice.clone());
    }
    let work = predictions.iter().filter(|prediction| !prediction.model_patch.is_empty());
    let work: Vec<(&Row, &Prediction)> = work
        .filter_map(|prediction| Some((dataset.row(&prediction.instance_id)?, prediction)))
        .collect();
    let all = work.len();
    let environment = &environment;
    let mut verdicts = BTreeMap::new();
    // Futures are pushed one by one: a stream's `map` would make this future immovable.
    let mut waiting = work.into_iter();
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < config.jobs.max(1)
            && let Some((row, prediction)) = waiting.next()
        {
            running.push(one(evaluation, row, prediction, environment));
        }
        let Some((id, verdict, line)) = running.next().await else { break };
        if let Some(verdict) = verdict {
            verdicts.insert(id.clone(), verdict);
            events.of(&id).notice(format!("{} of {all}: {line}", verdicts.len()));
        }
    }
    let log_of = |id: &InstanceId| Folder::new(out, id).read_logs(config.rules);
    let report = RunReport::new(config.rules, dataset, predictions, &verdicts, log_of);
    report.save(out).map_err(write)?;
    Ok(report)
}

/// One instance: its verdict (none if the evaluation was stopped before) and a line about it.
async fn one<F>(
    evaluation: &Evaluation<'_>,
    row: &Row,
    prediction: &Prediction,
    environment: &F,
) -> (InstanceId, Option<Verdict>, String)
where
    F: Fn(&Instance) -> Result<EnvironmentSpec, SpecError> + Send + Sync,
{
    let id = row.instance.id.clone();
    let folder = Folder::new(evaluation.out, &id);
    let EvaluateConfig { rules, timeout, again, .. } = evaluation.config;
    let question = Question { rules: *rules, row: row.digest(), timeout: timeout.as_secs() };
    let patch = &prediction.model_patch;
    if let Some(verdict) = folder.earlier(patch, &question)
        && is_kept(&verdict, again)
    {
        let line = format!("{} (from an earlier evaluation)", told(&verdict));
        return (id, Some(verdict), line);
    }
    let start = Instant::now();
    let verdict = async {
        if let Err(error) = folder.begin(patch) {
            return infra(&Trouble::Save(error));
        }
        let plan = match Plan::of(*rules, row) {
            Ok(plan) => plan,
            Err(message) => return Verdict::Error { kind: ErrorKind::NotGradable, message },
        };
        let judged = match environment(&row.instance) {
            Ok(spec) => {
                judge(evaluation.sandbox, &spec, &plan, patch, evaluation.config, &folder).await
            }
            Err(error) => return infra(&*error),
        };
        judged.unwrap_or_else(|trouble: Trouble| infra(&trouble))
    };
    let verdict = tokio::select! {
        biased;
        () = evaluation.cancel.cancelled() => return (id, None, String::new()),
        verdict = verdict => verdict,
    };
    let line = format!("{} ({:.1} s)", told(&verdict), start.elapsed().as_secs_f64());
    match folder.finish(&question, &verdict) {
        Ok(()) => (id, Some(verdict), line),
        Err(error) => (id, Some(infra(&Trouble::Save(error))), line),
    }
}

/// An infrastructure failure with its causes in one line.
fn infra(error: &(dyn Error + 'static)) -> Verdict {
    Verdict::Error { kind: ErrorKind::Infra, message: with_causes(error) }
}

/// A verdict in a few words.
fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Error { kind, message } => {
            format!("{}: {}", kind.name(), message.lines().next().unwrap_or_default())
        }
        Verdict::Graded { report } => match &report.tests_status {
            Some(status) => format!(
                "{}, FAIL_TO_PASS {}, PASS_TO_PASS {}",
                if report.resolved { "resolved" } else { "unresolved" },
                status.fail_to_pass.fraction(),
                status.pass_to_pass.fraction()
            ),
            None => format!("unresolved, {}", report.not_graded.as_deref().unwrap_or("not graded")),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::Gold;
    use crate::evaluate::trial::{
        CORE, FIXED, Trial, core, diff, docker, environment, local, row, sample_environment,
        test_patch, tests,
    };

    fn names(ids: &[InstanceId]) -> Vec<&str> {
        ids.iter().map(InstanceId::as_str).collect()
    }

    /// Patches of every kind with the list of the report that they belong to.
    fn patches() -> Vec<(&'static str, &'static str, String)> {
        let hook = "diff --git a/.git/hooks/post-checkout b/.git/hooks/post-checkout\n\
                    new file mode 100755\n--- /dev/null\n+++ b/.git/hooks/post-checkout\n\
                    @@ -0,0 +1,2 @@\n+#!/bin/sh\n+git show HEAD:adder/core.py | sed 's/a - b/a + b/' > adder/core.py\n";
        let liar = format!(
            "import os, sys\nfor name in ['add', 'double']:\n    sys.stderr.write('test_%s \
             (tests.test_core.CoreTest) ... ok\\n' % name)\nos._exit(3)\n{CORE}"
        );
        let trivial = "import unittest\n\n\nclass CoreTest(unittest.TestCase):\n    \
                       def test_add(self):\n        pass\n\n    \
                       def test_double(self):\n        pass\n";
        let broken = FIXED.replace("a * 2", "a * 3");
        vec![
            ("gold", "resolved", core(FIXED)),
            ("crlf", "resolved", core(FIXED).replace('\n', "\r\n")),
            ("prose", "resolved", format!("Here is the fix:\n```diff\n{}```\n", core(FIXED))),
            ("with-tests", "resolved", core(FIXED) + &tests(trivial)),
            ("tests-only", "unresolved", tests(trivial)),
            ("wrong", "unresolved", core(&CORE.replace("a - b", "b - a"))),
            ("breaks", "unresolved", core(&broken)),
            ("liar", "unresolved", core(&liar)),
            ("crash", "unresolved", core("syntax error here\n")),
            ("new-line", "error", "\n".to_owned()),
            ("garbage", "error", "I would change add() to use a plus sign.\n".to_owned()),
            ("elsewhere", "error", diff("adder/other.py", "a\n", "b\n")),
            ("outside", "error", diff("../outside.py", "", "x\n")),
            ("hook", "error", hook.to_owned()),
            ("hook-and-fix", "error", core(FIXED) + hook),
            ("empty", "empty", String::new()),
        ]
    }

    /// Evaluates patches of every kind in one sandbox.
    async fn every_kind(sandbox: &dyn Sandbox) {
        let patches = patches();
        let rows: Vec<_> = patches.iter().map(|(id, ..)| row(id, |_| {})).collect();
        let trial = Trial::new(&[rows, vec![row("unasked", |_| {})]].concat());
        let given: Vec<_> = patches.iter().map(|(id, _, patch)| (*id, patch.clone())).collect();
        let report = trial.run(sandbox, &given, environment).await;
        let expected = |list: &str| {
            let mut ids: Vec<_> =
                patches.iter().filter(|(_, l, _)| *l == list).map(|(id, ..)| *id).collect();
            ids.sort_unstable();
            ids
        };
        let errors = serde_json::to_string_pretty(&report.errors).unwrap();
        assert_eq!(names(&report.resolved_ids), expected("resolved"), "{errors}");
        assert_eq!(names(&report.unresolved_ids), expected("unresolved"), "{errors}");
        assert_eq!(names(&report.error_ids), expected("error"), "{errors}");
        assert_eq!(names(&report.empty_patch_ids), ["empty"]);
        assert_eq!(names(&report.incomplete_ids), ["unasked"]);
        assert_eq!((report.total_instances, report.submitted_instances), (17, 16));
        assert!(report.infra_failure_ids.is_empty() && report.harness_error_ids.is_empty());
        assert!(report.errors.values().all(|error| error.kind == ErrorKind::PatchNotApplied));

        let written: serde_json::Value =
            serde_json::from_str(&trial.file("gold", "report.json").unwrap()).unwrap();
        assert_eq!(written["gold"]["resolved"], json!(true));
        assert_eq!(trial.file("gold", "patch.diff").unwrap(), core(FIXED));
        assert!(trial.file("gold", "test_output.txt").unwrap().contains("test_add"));
        let liar: serde_json::Value =
            serde_json::from_str(&trial.file("liar", "report.json").unwrap()).unwrap();
        assert_eq!(liar["liar"]["patch_successfully_applied"], json!(false));
        assert_eq!(trial.file("garbage", "report.json"), None);
        assert_eq!(trial.file("empty", "patch.diff"), None);
        assert_eq!(report.schema_version, 2);
    }

    #[tokio::test]
    async fn patches_of_every_kind_get_their_verdict_locally() {
        every_kind(&local()).await;
    }

    #[tokio::test]
    async fn patches_of_every_kind_get_their_verdict_in_containers() {
        if let Some(docker) = docker().await {
            every_kind(&*docker).await;
        }
    }

    #[tokio::test]
    async fn verdicts_are_taken_again_for_the_same_patch_and_row_only() {
        let trial = Trial::new(&[row("a", |_| {})]);
        let sandbox = local();
        let wrong = core(&CORE.replace("a - b", "b - a"));
        let gone = |_: &Instance| -> Result<EnvironmentSpec, SpecError> { Err("gone".into()) };
        let first = trial.run(&sandbox, &[("a", wrong.clone())], environment).await;
        assert_eq!(names(&first.unresolved_ids), ["a"]);
        // Nothing can run any more, but nothing needs to.
        let again = trial.run(&sandbox, &[("a", wrong.clone())], gone).await;
        assert_eq!(again, first);
        // Another patch is another question.
        let other = trial.run(&sandbox, &[("a", core(FIXED))], gone).await;
        assert_eq!(names(&other.infra_failure_ids), ["a"]);
        assert_eq!(other.errors[&other.error_ids[0]].message, "gone");
        assert_eq!(
            names(&trial.run(&sandbox, &[("a", core(FIXED))], environment).await.resolved_ids),
            ["a"]
        );
        // So is another row.
        let mut stricter = Trial::new(&[row("a", |row| row["PASS_TO_PASS"] = json!(["missing"]))]);
        std::fs::create_dir_all(stricter.out()).unwrap();
        std::fs::rename(trial.out().join("a"), stricter.out().join("a")).unwrap();
        let strict = stricter.run(&sandbox, &[("a", core(FIXED))], environment).await;
        assert_eq!(names(&strict.unresolved_ids), ["a"]);
        // And one may ask for a fresh answer.
        stricter.config.again = vec![Again::All];
        assert_eq!(stricter.run(&sandbox, &[("a", core(FIXED))], gone).await.error_instances, 1);
    }

    #[tokio::test]
    async fn one_instances_trouble_does_not_end_the_others() {
        let sleeper = core(&format!("import time\ntime.sleep(600)\n{CORE}"));
        let flood = core(&format!("while True: print('x' * 999)\n{CORE}"));
        let bad_tests = diff("tests/test_core.py", "nothing\nlike it\n", "at all\n");
        let mut trial = Trial::new(&[
            row("bad-tests", |row| row["test_patch"] = json!(bad_tests)),
            row("flood", |_| {}),
            row("fine", |_| {}),
            row("no-command", |row| {
                row["test_command"] = json!(null);
                row["log_format"] = json!(null);
            }),
            row("sleeper", |_| {}),
            row("unknown-place", |_| {}),
        ]);
        trial.config.timeout = Duration::from_secs(8);
        let fixed = || core(FIXED);
        let given = [
            ("bad-tests", fixed()),
            ("flood", flood),
            ("fine", fixed()),
            ("no-command", fixed()),
            ("sleeper", sleeper),
            ("unknown-place", fixed()),
        ];
        let report = trial
            .run(&local(), &given, |instance| match instance.id.as_str() {
                "unknown-place" => Err("no such repository".into()),
                _ => environment(instance),
            })
            .await;
        assert_eq!(names(&report.resolved_ids), ["fine"]);
        let kinds: Vec<_> =
            report.errors.iter().map(|(id, error)| (id.as_str(), error.kind.name())).collect();
        let expected = [
            ("bad-tests", "test_patch_not_applied"),
            ("flood", "output_limit"),
            ("no-command", "not_gradable"),
            ("sleeper", "tests_timed_out"),
            ("unknown-place", "infra"),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(names(&report.harness_error_ids), ["bad-tests", "no-command"]);
        assert_eq!(names(&report.infra_failure_ids), ["unknown-place"]);
        assert_eq!(names(&report.ambiguous_failure_ids), ["sleeper"]);
        assert!(trial.file("sleeper", "test_output.txt").unwrap().ends_with("8 seconds exceeded."));
    }

    /// The bundled samples' gold patches are right, and without them their bugs are there.
    #[tokio::test]
    async fn the_samples_are_resolved_by_their_gold_patches_only() {
        let dataset = crate::dataset::sample::dataset();
        let mut trial = Trial::of(dataset);
        trial.config.again = vec![Again::All];
        let patches = |patch: fn(&Gold) -> String| -> Vec<(&str, String)> {
            let rows = trial.dataset.rows().iter();
            rows.map(|row| (row.instance.id.as_str(), patch(row.gold.as_ref().unwrap()))).collect()
        };
        let gold = patches(|gold| gold.patch.clone());
        let all: Vec<&str> = gold.iter().map(|(id, _)| *id).collect();
        let sandbox = local();
        let report = trial.run(&sandbox, &gold, sample_environment).await;
        assert_eq!(names(&report.resolved_ids), all, "{report:?}");
        // A patch that changes nothing that matters.
        let idle =
            patches(|_| diff("NOTES", "", "nothing\n").replace("a/NOTES\n+", "/dev/null\n+"));
        let report = trial.run(&sandbox, &idle, sample_environment).await;
        assert_eq!(names(&report.unresolved_ids), all, "{report:?}");
        for row in trial.dataset.rows() {
            let id = row.instance.id.as_str();
            let report = trial.file(id, "report.json").unwrap();
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            let status = &report[id]["tests_status"];
            assert_eq!(status["FAIL_TO_PASS"]["success"], json!([]), "{id}");
            assert_eq!(status["PASS_TO_PASS"]["failure"], json!([]), "{id}");
        }
    }

    #[tokio::test]
    async fn a_stopped_evaluation_reports_what_it_has() {
        let trial = Trial::new(&[row("a", |_| {}), row("b", |_| {})]);
        trial.cancel.cancel();
        let given = [("a", core(FIXED)), ("b", core(FIXED))];
        let report = trial.run(&local(), &given, environment).await;
        assert_eq!(names(&report.cancelled_ids), ["a", "b"]);
        assert_eq!(report.error_instances + report.completed_instances, 0);
    }

    /// The benchmark's own kind of script, in the place that it expects.
    fn script(test_patch: &str) -> String {
        format!(
            "#!/bin/bash\nset -uxo pipefail\nsource /opt/miniconda3/bin/activate\n\
             conda activate testbed\ncd /testbed\n\
             git config --global --add safe.directory /testbed\ngit status\ngit show\n\
             git -c core.fileMode=false diff HEAD\ngit checkout HEAD tests/test_core.py\n\
             git apply -v - <<'EOF_114329324912'\n{test_patch}\nEOF_114329324912\n\
             : '>>>>> Start Test Output'\npython -m unittest -v tests.test_core\n\
             : '>>>>> End Test Output'\ngit checkout HEAD tests/test_core.py\n"
        )
    }

    #[tokio::test]
    async fn rows_with_a_script_of_their_own_run_it_in_containers() {
        let Some(docker) = docker().await else { return };
        let scripted = |id: &str, test_patch: &str| {
            row(id, |row| {
                row["test_patch"] = json!(test_patch);
                row["eval_script"] = json!(script(test_patch));
            })
        };
        let bad = diff("tests/test_core.py", "nothing\nlike it\n", "at all\n");
        let added = |text: &str| {
            format!(
                "diff --git a/tests/new.py b/tests/new.py\nnew file mode 100644\n--- /dev/null\n\
                 +++ b/tests/new.py\n@@ -0,0 +1 @@\n+# {text}\n"
            )
        };
        let trial = Trial::new(&[
            scripted("bad-tests", &bad),
            scripted("gold", &test_patch()),
            scripted("wrong", &test_patch()),
            scripted("marker", &test_patch()),
            scripted("occupier", &(test_patch() + &added("as the gold tests have it"))),
        ]);
        let given = [
            ("bad-tests", core(FIXED)),
            ("gold", core(FIXED)),
            ("wrong", core(&CORE.replace("a - b", "b - a"))),
            // Text of the log's own language in the prediction, which the log shows.
            ("marker", core(&format!("{FIXED}# >>>>> Start Test Output\n"))),
            // What keeps the gold tests out is the prediction's fault, and no way to go unjudged.
            ("occupier", core(FIXED) + &added("mine")),
        ];
        let report = trial.run(&*docker, &given, environment).await;
        let log = trial.file("gold", "test_output.txt").unwrap_or_default();
        assert_eq!(names(&report.resolved_ids), ["gold", "marker"], "{report:?}\n{log}");
        assert_eq!(names(&report.unresolved_ids), ["occupier", "wrong"]);
        assert_eq!(names(&report.harness_error_ids), ["bad-tests"]);

        // Elsewhere the script would work on nothing, or on something of the user's.
        let trial = Trial::new(&[scripted("gold", &test_patch())]);
        let report = trial.run(&local(), &[("gold", core(FIXED))], environment).await;
        assert_eq!(names(&report.infra_failure_ids), ["gold"]);
    }
}
