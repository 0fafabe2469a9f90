//! Candidates and tests to executions: a matrix of (candidate class × test).
//!
//! One fresh session for each class of candidates; all tests run in it, regression tests first
//! because scripts may leave files behind. A class whose evidence an earlier process has finished
//! is not run again.

mod exclude;
mod regression;
mod related;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Serialize};

use crate::artifact::{
    Candidate, Execution, Executions, Instance, Localization, Outcome, ReproductionTest, Subject,
    TestKind,
};
use crate::event::EventKind;
use crate::harness::{self, ScriptVerdict};
use crate::llm::TokenCounter;
use crate::prompt::Prompts;
use crate::repo::Checkout;
use crate::sandbox::{Environment, Limits, Retakes, Session};
use crate::stage::StageError;
use crate::tools::{Tools, Turn};

pub use exclude::Exclusion;
pub use regression::{GivenTests, RegressionSet, RegressionTests};
pub use related::{Concern, related_test_files};

/// Settings of the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecuteConfig {
    /// Which of the repository's tests guard against regressions.
    pub regression: RegressionTests,
    /// Test files chosen at most with `regression = "related"`.
    pub regression_files: usize,
    /// Whether the model may leave out regression tests that a right fix breaks.
    pub exclusion: Exclusion,
    /// Seconds that the regression tests may take together, each time they run.
    pub regression_timeout: u64,
    /// Times that regression tests run on the base commit; a test counts only if it passes each time.
    pub base_runs: u32,
    /// Seconds that one reproduction script may run.
    pub timeout: u64,
}

/// Called with the rows of a subject as soon as they are final.
pub type Record<'a> = &'a (dyn Fn(&[Execution]) -> std::io::Result<()> + Send + Sync);

/// What the stage works on.
pub struct Inputs<'a> {
    /// The issue.
    pub instance: &'a Instance,
    /// The files it is about.
    pub at: &'a Localization,
    /// The repository.
    pub checkout: &'a Arc<Checkout>,
    /// All candidates.
    pub candidates: &'a [Candidate],
    /// Samples before this index choose the regression tests by the files that they change, so that
    /// samples drawn later do not change what the earlier ones were tested with.
    pub first_samples: u32,
    /// The tests that judge, see `reproduce::judges`.
    pub tests: &'a [&'a ReproductionTest],
    /// Where they run.
    pub environment: &'a Environment,
    /// Limits of a session.
    pub limits: &'a Limits,
    /// Rows that an earlier process has finished.
    pub done: &'a [Execution],
    /// Regression tests that the user names.
    pub given: Option<&'a GivenTests>,
    /// The regression tests, once they are known: they do not change while candidates are added.
    pub regression: &'a OnceLock<RegressionSet>,
    /// How the model is asked.
    pub asking: Asking<'a>,
}

/// What a question to the model needs.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The templates.
    pub prompts: &'a Prompts,
    /// How budgets are counted.
    pub tokens: &'a TokenCounter,
    /// Seed of the run.
    pub seed: Option<u64>,
}

/// Runs every test on the base commit (regression tests) and on one candidate of each class.
///
/// # Errors
/// [`StageError`] when no sandbox can be had. A patch or test that cannot be run is an
/// [`Outcome`], not an error.
pub async fn execute(
    tools: &Tools,
    config: &ExecuteConfig,
    inputs: &Inputs<'_>,
    record: Record<'_>,
) -> Result<Executions, StageError> {
    let mut rows: Executions = inputs.done.to_vec();
    let representatives = representatives(inputs.candidates);
    if representatives.is_empty() {
        return Ok(rows);
    }
    for test in inputs.tests {
        let row = crate::artifact::Execution {
            subject: Subject::Base,
            test: test.id.to_string(),
            kind: TestKind::Reproduction,
            outcome: Outcome::Fail,
            seconds: 0.0,
        };
        if !has(&rows, Subject::Base, TestKind::Reproduction, &row.test) {
            record(std::slice::from_ref(&row)).map_err(StageError::Record)?;
            rows.push(row);
        }
    }
    let regression = match inputs.regression.get() {
        Some(known) => known,
        None => {
            let mut set = regression::on_base(tools, config, inputs, &mut rows, record).await?;
            exclude::exclude(tools, config, inputs, &mut set).await?;
            inputs.regression.get_or_init(|| set)
        }
    };

    let work = representatives
        .into_iter()
        .map(|candidate| (candidate, Plan::new(candidate, inputs.tests, regression, &rows)))
        .filter(|(_, plan)| !plan.is_empty())
        .collect::<Vec<_>>();
    // The session semaphore bounds what runs at the same time.
    let mut results: FuturesUnordered<_> = work
        .into_iter()
        .map(|(candidate, plan)| {
            run_candidate(tools, config, inputs, candidate, plan, regression, record)
        })
        .collect();
    let mut late = None;
    while let Some(result) = results.next().await {
        match result {
            Ok(new) => rows.extend(new),
            // The others finish the tests at which they are.
            Err(error @ StageError::Late(_)) => late = Some(error),
            Err(error) => return Err(error),
        }
    }
    drop(results);
    if let Some(late) = late {
        return Err(late);
    }
    rows.sort_by(|a, b| (a.subject, a.kind, &a.test).cmp(&(b.subject, b.kind, &b.test)));
    Ok(rows)
}

/// The first candidate of each class.
fn representatives(candidates: &[Candidate]) -> Vec<&Candidate> {
    let mut ordered: Vec<&Candidate> = candidates.iter().filter(|c| c.is_ok()).collect();
    ordered.sort_by_key(|candidate| candidate.sample);
    let mut seen = HashSet::new();
    ordered.retain(|candidate| {
        seen.insert(if candidate.class.is_empty() { &candidate.patch } else { &candidate.class })
    });
    ordered
}

fn has(rows: &[Execution], subject: Subject, kind: TestKind, test: &str) -> bool {
    rows.iter().any(|row| row.subject == subject && row.kind == kind && row.test == test)
}

/// What is still to run on one candidate.
struct Plan<'a> {
    scripts: Vec<&'a ReproductionTest>,
    regression: bool,
}

impl<'a> Plan<'a> {
    fn new(
        candidate: &Candidate,
        tests: &[&'a ReproductionTest],
        regression: &RegressionSet,
        rows: &[Execution],
    ) -> Self {
        let subject = Subject::Candidate(candidate.id);
        let done: HashSet<(TestKind, &str)> = rows
            .iter()
            .filter(|row| row.subject == subject)
            .map(|row| (row.kind, row.test.as_str()))
            .collect();
        let scripts = tests
            .iter()
            .copied()
            .filter(|test| !done.contains(&(TestKind::Reproduction, test.id.to_string().as_str())))
            .collect();
        let missing = |test: &String| !done.contains(&(TestKind::Regression, test.as_str()));
        Self { scripts, regression: regression.passing.iter().any(missing) }
    }

    fn is_empty(&self) -> bool {
        self.scripts.is_empty() && !self.regression
    }
}

async fn run_candidate(
    tools: &Tools,
    config: &ExecuteConfig,
    inputs: &Inputs<'_>,
    candidate: &Candidate,
    plan: Plan<'_>,
    regression: &RegressionSet,
    record: Record<'_>,
) -> Result<Executions, StageError> {
    let _exists = tools.may_start().await?;
    let mut rows = Executions::new();
    let mut save = |tools: &Tools, new: Vec<Execution>| -> Result<(), StageError> {
        record(&new).map_err(StageError::Record)?;
        for row in &new {
            tools.events.emit(executed(row));
        }
        rows.extend(new);
        Ok(())
    };
    let work = async {
        let mut lab = Lab::new(tools, inputs, candidate);
        // The patch is on before the session's turn comes.
        lab.enter().await?;
        if plan.regression {
            let new = lab.regression(config, regression).await?;
            save(tools, new)?;
        }
        for test in &plan.scripts {
            tools.may_go_on()?;
            let row = lab.script(test, Duration::from_secs(config.timeout)).await?;
            save(tools, vec![row])?;
        }
        lab.turn = None;
        lab.close().await;
        Ok::<_, StageError>(())
    };
    tokio::select! {
        done = work => done?,
        () = tools.cancel.cancelled() => return Err(StageError::Cancelled),
    }
    Ok(rows)
}

/// One candidate's session, started when needed and anew after a test has spent it.
struct Lab<'a> {
    tools: &'a Tools,
    inputs: &'a Inputs<'a>,
    candidate: &'a Candidate,
    session: Option<Box<dyn Session>>,
    /// The right to work in it.
    turn: Option<Turn>,
    /// The patch does not apply to the sandbox's tree.
    refused: bool,
    retakes: Retakes,
}

/// Applying a patch is fast; a minute means that the sandbox is stuck.
const APPLY_TIMEOUT: Duration = Duration::from_secs(60);

impl<'a> Lab<'a> {
    fn new(tools: &'a Tools, inputs: &'a Inputs<'a>, candidate: &'a Candidate) -> Self {
        let retakes = Retakes::default();
        Self { tools, inputs, candidate, session: None, turn: None, refused: false, retakes }
    }

    /// The first session, and the right to work.
    async fn enter(&mut self) -> Result<(), StageError> {
        loop {
            let ready = self.ready().await.map(drop);
            if !self.is_lost(&ready) {
                ready?;
                break;
            }
        }
        self.turn = match &self.session {
            Some(session) => Some(self.tools.may_work(&**session).await?),
            None => None,
        };
        Ok(())
    }

    /// Whether the session's host was lost, and what it was to do may be done in another one.
    fn is_lost<T>(&mut self, done: &Result<T, StageError>) -> bool {
        let lost = matches!(done, Err(StageError::Sandbox(error)) if self.retakes.again(error));
        if lost {
            self.session = None;
        }
        lost
    }

    /// A session with the patch applied; none when it does not apply, which is told once.
    async fn ready(&mut self) -> Result<Option<&dyn Session>, StageError> {
        if self.session.is_none() && !self.refused {
            let session =
                self.tools.sandbox.start(self.inputs.environment, self.inputs.limits).await?;
            let applied =
                harness::apply_patch(&*session, &self.candidate.patch, APPLY_TIMEOUT).await?;
            if let Err(message) = applied {
                session.close().await;
                self.refused = true;
                self.tools.events.notice(format!(
                    "{} does not apply to the sandbox's tree and counts as not run: {message}",
                    self.candidate.id
                ));
                return Ok(None);
            }
            if let Some(turn) = &mut self.turn {
                self.tools.moved(turn, &*session).await?;
            }
            self.session = Some(session);
        }
        Ok(self.session.as_deref())
    }

    async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    fn row(&self, test: &str, kind: TestKind, outcome: Outcome, seconds: f64) -> Execution {
        let subject = Subject::Candidate(self.candidate.id);
        Execution { subject, test: test.to_owned(), kind, outcome, seconds }
    }

    /// A failure for want of memory says more of the limit than of the change.
    fn tell_memory(&self, out_of_memory: bool, what: &str) {
        if out_of_memory {
            let limit = self.inputs.limits.memory_bytes >> 20;
            self.tools.events.notice(format!(
                "{}: {what} ran out of memory (sandbox.memory_mib is {limit})",
                self.candidate.id
            ));
        }
    }

    async fn regression(
        &mut self,
        config: &ExecuteConfig,
        set: &RegressionSet,
    ) -> Result<Vec<Execution>, StageError> {
        loop {
            let done = self.regression_once(config, set).await;
            if !self.is_lost(&done) {
                return done;
            }
        }
    }

    async fn regression_once(
        &mut self,
        config: &ExecuteConfig,
        set: &RegressionSet,
    ) -> Result<Vec<Execution>, StageError> {
        let timeout = Duration::from_secs(config.regression_timeout);
        let kind = TestKind::Regression;
        let Some(session) = self.ready().await? else {
            let not_run = |test: &String| self.row(test, kind, Outcome::NotRun, 0.0);
            return Ok(set.passing.iter().map(not_run).collect());
        };
        let command = set.command.as_ref().expect("a set with passing tests has a command");
        let run = harness::run_suite(session, command, &set.directives, timeout).await?;
        let outcomes = regression::outcomes(&set.passing, &run);
        self.tell_memory(run.out_of_memory, "the regression tests");
        if !matches!(run.status, crate::sandbox::ExecStatus::Exited(_)) {
            self.close().await;
        }
        let each = run.duration.as_secs_f64() / set.passing.len().max(1) as f64;
        Ok(outcomes
            .into_iter()
            .map(|(test, outcome)| self.row(&test, kind, outcome, each))
            .collect())
    }

    async fn script(
        &mut self,
        test: &ReproductionTest,
        timeout: Duration,
    ) -> Result<Execution, StageError> {
        loop {
            let done = self.script_once(test, timeout).await;
            if !self.is_lost(&done) {
                return done;
            }
        }
    }

    async fn script_once(
        &mut self,
        test: &ReproductionTest,
        timeout: Duration,
    ) -> Result<Execution, StageError> {
        let name = test.id.to_string();
        let kind = TestKind::Reproduction;
        let Some(session) = self.ready().await? else {
            return Ok(self.row(&name, kind, Outcome::NotRun, 0.0));
        };
        let run = harness::run_script(session, &name, &test.source, timeout).await?;
        self.tell_memory(run.out_of_memory, &name);
        let outcome = match run.verdict {
            ScriptVerdict::Resolved => Outcome::Pass,
            ScriptVerdict::Reproduced => Outcome::Fail,
            ScriptVerdict::Other => Outcome::Error,
            ScriptVerdict::Timeout => {
                self.close().await;
                Outcome::Timeout
            }
        };
        Ok(self.row(&name, kind, outcome, run.duration.as_secs_f64()))
    }
}

fn executed(row: &Execution) -> EventKind {
    EventKind::Executed {
        candidate: row.subject,
        test: row.test.clone(),
        kind: row.kind,
        outcome: row.outcome,
        seconds: row.seconds,
    }
}

/// How many rows there are of each outcome, for one line to people.
#[must_use]
pub fn summary(rows: &[Execution]) -> String {
    let subjects: BTreeSet<Subject> =
        rows.iter().map(|row| row.subject).filter(|s| *s != Subject::Base).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.subject != Subject::Base) {
        let name = match row.outcome {
            Outcome::Pass => "passed",
            Outcome::Fail | Outcome::Error => "failed",
            Outcome::Timeout => "timed out",
            Outcome::NotRun => "not run",
        };
        *counts.entry(name).or_default() += 1;
    }
    let counts = counts.iter().map(|(name, n)| format!("{n} {name}")).collect::<Vec<_>>();
    match (subjects.len(), counts.is_empty()) {
        (0, _) => "nothing to run".to_owned(),
        (n, true) => format!("{n} changes, no tests"),
        (n, false) => format!("{n} different changes: {}", counts.join(", ")),
    }
}
