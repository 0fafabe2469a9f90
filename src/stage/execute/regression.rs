//! Which of the repository's own tests guard against regressions, without gold knowledge: test
//! files are found from names and imports, and a test counts only if it passes on the base commit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::artifact::{Execution, Executions, Outcome, Subject, TestCommand, TestKind};
use crate::event::EventKind;
use crate::harness::{self, SuiteRun};
use crate::sandbox::ExecStatus;
use crate::stage::StageError;
use crate::stage::execute::{ExecuteConfig, Inputs, Record};
use crate::testlog::detect::is_test_file;
use crate::testlog::{Status, directive};
use crate::tools::Tools;

/// Which of the repository's tests run on candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegressionTests {
    /// None.
    None,
    /// Test files that import or are named after the files that the candidates change.
    Related,
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
    let files = related_test_files(inputs, config.regression_files);
    if files.is_empty() {
        tools.events.notice("no test file imports or is named after the files being changed");
        return Ok(RegressionSet::default());
    }
    let directives: Vec<String> =
        files.iter().map(|file| directive::of_path(command.log_format, file)).collect();
    let known: BTreeMap<&str, Outcome> = rows
        .iter()
        .filter(|row| row.subject == Subject::Base && row.kind == TestKind::Regression)
        .map(|row| (row.test.as_str(), row.outcome))
        .collect();
    let passing = if known.is_empty() {
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
    Ok(RegressionSet { command: Some(command), directives, passing })
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
    let mut merged: BTreeMap<String, Outcome> =
        names.iter().map(|name| (name.clone(), Outcome::Pass)).collect();
    for run in &rounds {
        for (test, outcome) in outcomes(&names, run) {
            if let Some(entry) = merged.get_mut(&test).filter(|entry| **entry == Outcome::Pass) {
                *entry = outcome;
            }
        }
    }
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

async fn run_suite_on_base(
    tools: &Tools,
    inputs: &Inputs<'_>,
    command: &TestCommand,
    directives: &[String],
    timeout: Duration,
) -> Result<SuiteRun, StageError> {
    let _exists = tools.may_start().await?;
    let work = async {
        let session = tools.sandbox.start(inputs.environment, inputs.limits).await?;
        let works = tools.may_work().await?;
        let run = harness::run_suite(&*session, command, directives, timeout).await;
        drop(works);
        session.close().await;
        Ok(run?)
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

/// Test files for the files that candidates change and the first localized ones, best first: named
/// after one of them, then importing one of them.
fn related_test_files(inputs: &Inputs<'_>, limit: usize) -> Vec<String> {
    let changed: BTreeSet<&str> = inputs
        .candidates
        .iter()
        .filter(|candidate| candidate.is_ok() && candidate.sample < inputs.first_samples)
        .flat_map(|candidate| candidate.files.iter().map(String::as_str))
        .chain(inputs.at.ranked.iter().take(3).map(|ranked| ranked.path.as_str()))
        .filter(|path| !is_test_file(path))
        .collect();
    let stems: HashSet<&str> = changed.iter().filter_map(|path| stem(path)).collect();
    let modules: Vec<String> = changed.iter().filter_map(|path| module_name(path)).collect();

    let mut scored: Vec<(u32, &str)> = Vec::new();
    for file in inputs.checkout.files().iter().filter(|file| is_test_file(&file.path)) {
        let name = stem(&file.path).unwrap_or_default();
        let subject = name.trim_start_matches("test_").trim_end_matches("_test");
        let subject = subject.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
        let mut score = if stems.contains(subject) { 4 } else { 0 };
        if let Ok(Some(content)) = inputs.checkout.read(&file.path) {
            let text = String::from_utf8_lossy(&content);
            score += modules.iter().map(|module| import_score(&text, module)).max().unwrap_or(0);
        }
        if score > 0 {
            scored.push((score, &file.path));
        }
    }
    scored.sort_by_key(|&(score, path)| (std::cmp::Reverse(score), path));
    scored.into_iter().take(limit).map(|(_, path)| path.to_owned()).collect()
}

/// 3 for an import of the module itself, 1 for an import of the package that holds it.
fn import_score(text: &str, module: &str) -> u32 {
    let (package, last) = module.rsplit_once('.').unwrap_or((module, module));
    let mut score = 0;
    for line in text.lines().map(str::trim_start) {
        if !(line.starts_with("from ") || line.starts_with("import ")) {
            continue;
        }
        let names: HashSet<&str> =
            line.split(|c: char| !(c.is_alphanumeric() || "._".contains(c))).collect();
        if names.contains(module) || (names.contains(package) && names.contains(last)) {
            return 3;
        }
        if names.contains(package.split('.').next().unwrap_or(package)) {
            score = 1;
        }
    }
    score
}

fn stem(path: &str) -> Option<&str> {
    path.rsplit('/').next()?.strip_suffix(".py")
}

/// `src/pkg/mod.py` as `pkg.mod`, `pkg/__init__.py` as `pkg`.
fn module_name(path: &str) -> Option<String> {
    let path = path.strip_suffix(".py")?;
    let path = path.strip_prefix("src/").or_else(|| path.strip_prefix("lib/")).unwrap_or(path);
    Some(path.strip_suffix("/__init__").unwrap_or(path).replace('/', "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_of_the_module_count_more_than_of_its_package() {
        let module = "pkg.core.parser";
        assert_eq!(import_score("from pkg.core.parser import parse", module), 3);
        assert_eq!(import_score("from pkg.core import parser", module), 3);
        assert_eq!(import_score("import pkg.core.parser as p", module), 3);
        assert_eq!(import_score("from pkg import cli", module), 1);
        assert_eq!(import_score("# from pkg.core import parser\nimport pkgs", module), 0);
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
