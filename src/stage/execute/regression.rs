//! Which of the repository's own tests guard against regressions, without gold knowledge: test
//! files are found from the repository, and a test counts only if it passes on the base commit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::artifact::{Execution, Executions, Outcome, Subject, TestCommand, TestKind};
use crate::event::EventKind;
use crate::harness::{self, SuiteRun};
use crate::sandbox::{ExecStatus, Retakes};
use crate::stage::StageError;
use crate::stage::execute::{Concern, ExecuteConfig, Inputs, Record, related_test_files};
use crate::testlog::{Status, directive, normal_id};
use crate::tools::Tools;

/// First localized files whose tests run, whether they are changed or not.
const LOCALIZED: usize = 3;

/// Which of the repository's tests run on candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegressionTests {
    /// None.
    None,
    /// Test files that have to do with the files that the candidates change.
    Related,
}

/// Regression tests that the user names for an instance, in place of the choice of the stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GivenTests {
    /// Test files to run, paths from the repository's root. Empty: those that hold `names`, else
    /// chosen as usual.
    pub files: Vec<String>,
    /// Only tests of these names count, if they pass on the base commit; without names all that do.
    pub names: Option<BTreeSet<String>>,
}

/// The regression tests of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegressionSet {
    /// How they are run; absent when there are none.
    pub command: Option<TestCommand>,
    /// What is appended to the command.
    pub directives: Vec<String>,
    /// Names of the tests that passed on the base commit each time.
    pub passing: BTreeSet<String>,
}

/// Chooses test files and runs them on the base commit; takes the rows of an earlier process where
/// they are complete.
pub(crate) async fn on_base(
    tools: &Tools,
    config: &ExecuteConfig,
    inputs: &Inputs<'_>,
    rows: &mut Executions,
    record: Record<'_>,
) -> Result<RegressionSet, StageError> {
    if config.regression == RegressionTests::None {
        return Ok(RegressionSet::default());
    }
    let Some(command) = inputs.instance.test_command.clone() else {
        tools.events.notice(
            "no test command is known for this repository, so no regression tests run; \
             name one with --test-command",
        );
        return Ok(RegressionSet::default());
    };
    let files = test_files(tools, config, inputs);
    if files.is_empty() {
        return Ok(RegressionSet::default());
    }
    let directives: Vec<String> =
        files.iter().map(|file| directive::of_path(command.log_format, file)).collect();
    let known: BTreeMap<&str, Outcome> = rows
        .iter()
        .filter(|row| row.subject == Subject::Base && row.kind == TestKind::Regression)
        .map(|row| (row.test.as_str(), row.outcome))
        .collect();
    let mut passing: BTreeSet<String> = if known.is_empty() {
        let new = run_on_base(tools, config, inputs, &command, &directives).await?;
        record(&new).map_err(StageError::Record)?;
        let passing = passing(&new);
        rows.extend(new);
        passing
    } else {
        known
            .into_iter()
            .filter(|(_, outcome)| *outcome == Outcome::Pass)
            .map(|(test, _)| test.to_owned())
            .collect()
    };
    if let Some(names) = inputs.given.and_then(|given| given.names.as_ref()) {
        let names: HashSet<_> =
            names.iter().map(|name| normal_id(command.log_format, name)).collect();
        passing.retain(|test| names.contains(test.as_str()));
    }
    Ok(RegressionSet { command: Some(command), directives, passing })
}

/// The files to run: those that the user names, else those that concern the change.
fn test_files(tools: &Tools, config: &ExecuteConfig, inputs: &Inputs<'_>) -> Vec<String> {
    if let Some(given) = inputs.given {
        let exists = |path: &str| inputs.checkout.files().iter().any(|file| file.path == path);
        let (files, missing): (Vec<String>, Vec<String>) =
            given.files.iter().cloned().partition(|path| exists(path));
        if !missing.is_empty() {
            tools.events.notice(format!(
                "given test files that the base commit does not have are left out: {}",
                missing.join(", ")
            ));
        }
        if !given.files.is_empty() {
            return files;
        }
        let names = given.names.iter().flatten();
        let holding: BTreeSet<String> =
            names.filter_map(|name| file_of(name).find(|path| exists(path))).collect();
        if !holding.is_empty() {
            return holding.into_iter().collect();
        }
    }
    let changes: Vec<(&str, &[String])> = inputs
        .candidates
        .iter()
        .filter(|candidate| candidate.is_ok() && candidate.sample < inputs.first_samples)
        .map(|candidate| (candidate.patch.as_str(), candidate.files.as_slice()))
        .collect();
    let ranked = inputs.at.ranked.iter().take(LOCALIZED);
    let localized: Vec<&str> = ranked.map(|file| file.path.as_str()).collect();
    let concern = Concern {
        checkout: inputs.checkout,
        changes: &changes,
        localized: &localized,
        issue: &inputs.instance.problem_statement,
    };
    let files = related_test_files(&concern, config.regression_files);
    if files.is_empty() {
        tools.events.notice("no test file has to do with the files being changed");
    }
    files
}

/// Paths that may hold a test of this name, longest first: `a/b.py::T::t`, or `t (a.b.T)` as
/// unittest and Django's runner write it.
fn file_of(name: &str) -> impl Iterator<Item = String> {
    let path = name.split_once("::").map(|(path, _)| path.to_owned());
    let dotted = name.split_once(" (").and_then(|(_, rest)| rest.strip_suffix(')'));
    let modules = dotted.into_iter().flat_map(|dotted| {
        std::iter::successors(Some(dotted), |dotted| dotted.rsplit_once('.').map(|(head, _)| head))
    });
    let modules = modules.flat_map(|module| {
        let path = module.replace('.', "/");
        [format!("{path}.py"), format!("tests/{path}.py")]
    });
    path.into_iter().chain(modules)
}

fn passing(rows: &[Execution]) -> BTreeSet<String> {
    rows.iter().filter(|row| row.outcome == Outcome::Pass).map(|row| row.test.clone()).collect()
}

/// Runs the tests `base_runs` times side by side; a test's outcome is its first that is no pass.
async fn run_on_base(
    tools: &Tools,
    config: &ExecuteConfig,
    inputs: &Inputs<'_>,
    command: &TestCommand,
    directives: &[String],
) -> Result<Vec<Execution>, StageError> {
    let timeout = Duration::from_secs(config.regression_timeout);
    let rounds = (0..config.base_runs.max(1))
        .map(|_| run_suite_on_base(tools, inputs, command, directives, timeout));
    let rounds = futures_util::future::try_join_all(rounds).await?;
    if let Some(empty) = rounds.iter().find(|run| run.statuses.is_empty()) {
        tools.events.notice(format!(
            "the regression tests gave no result on the base commit and are left out: {}",
            empty.tail
        ));
        return Ok(Vec::new());
    }
    let names: BTreeSet<String> =
        rounds.iter().flat_map(|run| run.statuses.keys().cloned()).collect();
    let mut flaky = Vec::new();
    let mut merged: BTreeMap<String, Outcome> =
        names.iter().map(|name| (name.clone(), Outcome::Pass)).collect();
    let mut is_first = true;
    for run in &rounds {
        for (test, outcome) in outcomes(&names, run) {
            let Some(entry) = merged.get_mut(&test) else { continue };
            if (outcome == Outcome::Pass) != (*entry == Outcome::Pass) && !is_first {
                flaky.push(test.clone());
            }
            if *entry == Outcome::Pass {
                *entry = outcome;
            }
        }
        is_first = false;
    }
    quarantined(tools, &merged, flaky);
    let rows: Vec<Execution> = merged
        .into_iter()
        .map(|(test, outcome)| Execution {
            subject: Subject::Base,
            test,
            kind: TestKind::Regression,
            outcome,
            seconds: 0.0,
        })
        .collect();
    for row in &rows {
        tools.events.emit(EventKind::Executed {
            candidate: row.subject,
            test: row.test.clone(),
            kind: row.kind,
            outcome: row.outcome,
            seconds: row.seconds,
        });
    }
    Ok(rows)
}

/// Says which tests do not count because the base commit itself does not pass them each time.
fn quarantined(tools: &Tools, outcomes: &BTreeMap<String, Outcome>, mut flaky: Vec<String>) {
    let broken = outcomes.values().filter(|outcome| **outcome != Outcome::Pass).count();
    if broken == 0 {
        return;
    }
    flaky.sort();
    flaky.dedup();
    let names = flaky.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = if flaky.len() > 3 { ", ..." } else { "" };
    let unsteady = match flaky.len() {
        0 => String::new(),
        n => format!(", {n} of them only sometimes ({names}{more})"),
    };
    tools.events.notice(format!(
        "{broken} of {} regression tests fail on the base commit{unsteady} and do not count",
        outcomes.len()
    ));
}

async fn run_suite_on_base(
    tools: &Tools,
    inputs: &Inputs<'_>,
    command: &TestCommand,
    directives: &[String],
    timeout: Duration,
) -> Result<SuiteRun, StageError> {
    let _exists = tools.may_start().await?;
    let work = async {
        let mut retakes = Retakes::default();
        loop {
            let session = tools.sandbox.start(inputs.environment, inputs.limits).await?;
            let works = tools.may_work(&*session).await?;
            let run = harness::run_suite(&*session, command, directives, timeout).await;
            drop(works);
            session.close().await;
            match run {
                Err(error) if retakes.again(&error) => {}
                run => return Ok(run?),
            }
        }
    };
    tokio::select! {
        run = work => run,
        () = tools.cancel.cancelled() => Err(StageError::Cancelled),
    }
}

/// The outcome of each wanted test in one run of the suite. A test that the log does not name
/// failed if the suite ended by itself (a broken import takes its tests with it), timed out if the
/// suite was ended, and was not run when the log names no test at all.
pub(crate) fn outcomes(wanted: &BTreeSet<String>, run: &SuiteRun) -> Vec<(String, Outcome)> {
    wanted
        .iter()
        .map(|test| {
            let outcome = match (run.statuses.get(test), run.status) {
                (Some(Status::Passed | Status::Xfail | Status::Skipped), _) => Outcome::Pass,
                (Some(Status::Failed), _) => Outcome::Fail,
                (Some(Status::Error | Status::Other), _) => Outcome::Error,
                (None, ExecStatus::TimedOut | ExecStatus::OutputLimit) => Outcome::Timeout,
                (None, ExecStatus::Exited(_)) if run.statuses.is_empty() => Outcome::Error,
                (None, ExecStatus::Exited(_)) => Outcome::Fail,
            };
            (test.clone(), outcome)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_test_is_read_from_its_name() {
        let first = |name: &str, known: &str| file_of(name).find(|path| path == known);
        for (name, file) in [
            ("tests/a.py::T::t[x::y]", "tests/a.py"),
            ("test_a (pkg.tests.test_b.T)", "pkg/tests/test_b.py"),
            ("test_a (auth_tests.test_forms.T.test_a)", "tests/auth_tests/test_forms.py"),
        ] {
            assert_eq!(first(name, file).as_deref(), Some(file), "{name}");
        }
        assert_eq!(file_of("test_bare").next(), None);
    }

    #[test]
    fn a_test_that_vanishes_from_the_log_is_never_a_pass() {
        let wanted = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let run = |statuses: &[(&str, Status)], status| SuiteRun {
            statuses: statuses.iter().map(|(t, s)| ((*t).to_owned(), *s)).collect(),
            status,
            duration: Duration::ZERO,
            tail: String::new(),
            out_of_memory: false,
        };
        let of =
            |run: &SuiteRun| outcomes(&wanted, run).into_iter().map(|(_, o)| o).collect::<Vec<_>>();
        let half = [("a", Status::Passed)];
        assert_eq!(of(&run(&half, ExecStatus::Exited(1))), [Outcome::Pass, Outcome::Fail]);
        assert_eq!(of(&run(&half, ExecStatus::TimedOut)), [Outcome::Pass, Outcome::Timeout]);
        assert_eq!(of(&run(&[], ExecStatus::Exited(2))), [Outcome::Error, Outcome::Error]);
    }
}
