//! One prediction in one fresh session: patch, gold tests, verdict.

use std::io;

use crate::artifact::{Instance, LogFormat, Rules, TestCommand};
use crate::dataset::{Gold, Row};
use crate::evaluate::grade::InstanceReport;
use crate::evaluate::record::Folder;
use crate::evaluate::{ErrorKind, EvaluateConfig, Verdict, apply, grade, paths, script};
use crate::harness;
use crate::sandbox::{
    Environment, EnvironmentSpec, ExecOutput, ExecRequest, ExecStatus, Limits, Retakes, Sandbox,
    SandboxError, Session, Upload,
};
use crate::testlog::directive;

/// Where the benchmark's evaluation scripts expect the repository.
const SCRIPT_WORKDIR: &str = "/testbed";

/// Bytes of output that the tests may write by the harness's rules; the harness has no limit but
/// its memory.
const HARNESS_OUTPUT: usize = 1 << 30;

/// Characters of a command's output that go into a message.
const TAIL: usize = 600;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("cannot save the results")]
    Save(#[from] io::Error),
}

/// How a row is graded.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    gold: &'a Gold,
    format: LogFormat,
    tests: Tests<'a>,
}

#[derive(Debug)]
enum Tests<'a> {
    /// The row's own script, run as a harness runs it.
    Harness(&'a str),
    /// The row's own script, made to tell what it hides, and the mark by which it tells.
    Script(String, String),
    /// A command and what is appended to it.
    Command(&'a TestCommand, Vec<String>),
}

impl<'a> Plan<'a> {
    /// Reads a row.
    ///
    /// # Errors
    /// A message that says what the row lacks.
    pub(super) fn of(rules: Rules, row: &'a Row) -> Result<Self, String> {
        let Row { instance, gold, .. } = row;
        let gold = gold.as_ref().ok_or("the row holds no gold tests to grade with")?;
        if rules.runs_bare() {
            return Self::of_harness(rules, instance, gold);
        }
        let format = log_format(instance, gold)?;
        let tests = match (&gold.eval_script, &instance.test_command) {
            (Some(script), _) => {
                let mark = harness::nonce();
                Tests::Script(script::instrumented(script, &mark), mark)
            }
            (None, Some(command)) => {
                let directives = match &gold.test_directives {
                    Some(directives) => directives.clone(),
                    None => directive::of_patch(format, &gold.test_patch),
                };
                if directives.is_empty() && gold.test_directives.is_none() {
                    return Err("the test patch names no test file to run".to_owned());
                }
                Tests::Command(command, directives)
            }
            (None, None) => {
                return Err("the row has neither `eval_script` nor `test_command`".to_owned());
            }
        };
        Ok(Self { gold, format, tests })
    }

    fn of_harness(rules: Rules, instance: &'a Instance, gold: &'a Gold) -> Result<Self, String> {
        let lacks = |column: &str| {
            let name = rules.name();
            format!(
                "the row has no `{column}`, which the rules of {name} need; grade it by `agent`"
            )
        };
        let script = gold.eval_script.as_deref().ok_or_else(|| lacks("eval_script"))?;
        let format = match (&gold.log_parser, &instance.test_command) {
            (Some(parser), _) => LogFormat::from_parser(parser)
                .filter(|format| *format != LogFormat::Unittest)
                .ok_or_else(|| format!("log parser {parser} cannot be read by {}", rules.name()))?,
            // 4.1 knows the parser by the repository.
            (None, Some(command)) if rules == Rules::Harness4 => command.log_format,
            (None, _) => return Err(lacks("log_parser")),
        };
        Ok(Self { gold, format, tests: Tests::Harness(script) })
    }

    pub(super) fn format(&self) -> LogFormat {
        self.format
    }

    pub(super) fn gold(&self) -> &'a Gold {
        self.gold
    }
}

fn log_format(instance: &Instance, gold: &Gold) -> Result<LogFormat, String> {
    let named = gold.log_parser.as_deref();
    match (&instance.test_command, named.and_then(LogFormat::from_parser), named) {
        (Some(command), ..) => Ok(command.log_format),
        (None, Some(format), _) => Ok(format),
        (None, None, Some(parser)) => Err(format!("log parser {parser} cannot be read")),
        (None, None, None) => Err("the row has neither `log_parser` nor `log_format`".to_owned()),
    }
}

/// Judges a patch. Whatever happens, no session is left.
pub(super) async fn judge(
    sandbox: &dyn Sandbox,
    spec: &EnvironmentSpec,
    plan: &Plan<'_>,
    patch: &str,
    config: &EvaluateConfig,
    folder: &Folder,
) -> Result<Verdict, Trouble> {
    let spec = EnvironmentSpec { as_published: config.rules.runs_bare(), ..spec.clone() };
    let environment = sandbox.prepare(&spec).await?;
    let lifetime = config.limits.lifetime.max(config.timeout + 4 * config.step_timeout);
    let mut limits = Limits { lifetime, ..config.limits.clone() };
    if config.rules.runs_bare() {
        limits.output_bytes = limits.output_bytes.max(HARNESS_OUTPUT);
    }
    let mut retakes = Retakes::default();
    loop {
        let session = sandbox.start(&environment, &limits).await?;
        let turn = match session.turns() {
            // They are never closed.
            Some(turns) => turns.acquire_owned().await.ok(),
            None => None,
        };
        let verdict = Judge { session: &*session, plan, config, folder }.verdict(patch).await;
        drop(turn);
        session.close().await;
        match verdict {
            Err(Trouble::Sandbox(error)) if retakes.again(&error) => {}
            Ok(Verdict::Error { kind: ErrorKind::TestPatchNotApplied, message }) => {
                // The row's fault, or the prediction's?
                let fits = takes_the_tests(sandbox, &environment, &limits, plan, config).await?;
                return Ok(if fits {
                    let report = InstanceReport::unresolved(PREDICTION_IN_THE_WAY);
                    Verdict::Graded { report: Box::new(report) }
                } else {
                    error(ErrorKind::TestPatchNotApplied, message)
                });
            }
            verdict => return verdict,
        }
    }
}

const PREDICTION_IN_THE_WAY: &str =
    "the gold test patch applies to the base commit, and not on top of the prediction";

/// Whether the gold test patch applies where there is no prediction.
async fn takes_the_tests(
    sandbox: &dyn Sandbox,
    environment: &Environment,
    limits: &Limits,
    plan: &Plan<'_>,
    config: &EvaluateConfig,
) -> Result<bool, SandboxError> {
    let session = sandbox.start(environment, limits).await?;
    let tried = async {
        session.upload(&test_files(plan.gold)).await?;
        let script = script::prepare(session.scratch());
        session.exec(&ExecRequest { script, timeout: config.step_timeout }).await
    };
    let tried = tried.await;
    session.close().await;
    Ok(tried?.success())
}

pub(super) fn file(path: &str, content: Vec<u8>) -> Upload {
    Upload { path: path.to_owned(), content, executable: false }
}

/// What [`script::prepare`] works on.
fn test_files(gold: &Gold) -> [Upload; 2] {
    let touched: Vec<u8> = paths::touched(&gold.test_patch)
        .into_iter()
        .flat_map(|path| path.into_bytes().into_iter().chain([0]))
        .collect();
    [
        file(script::TEST_FILES_FILE, touched),
        file(script::TEST_PATCH_FILE, gold.test_patch.clone().into()),
    ]
}

pub(super) struct Judge<'a> {
    pub(super) session: &'a dyn Session,
    pub(super) plan: &'a Plan<'a>,
    pub(super) config: &'a EvaluateConfig,
    pub(super) folder: &'a Folder,
}

impl Judge<'_> {
    async fn verdict(&self, patch: &str) -> Result<Verdict, Trouble> {
        let scratch = self.session.scratch().to_owned();
        let has_script = !matches!(self.plan.tests, Tests::Command(..));
        if has_script && self.session.workdir() != SCRIPT_WORKDIR {
            return Ok(error(
                ErrorKind::Infra,
                format!(
                    "the row's evaluation script works in {SCRIPT_WORKDIR}, which only the docker \
                     sandbox has; this one has {}",
                    self.session.workdir()
                ),
            ));
        }
        if let Tests::Harness(script) = self.plan.tests {
            return self.as_harness(patch, script).await;
        }
        self.session.upload(&self.uploads(patch)).await?;
        let applied = self.step(apply::chain(&scratch, patch)).await?;
        let mut log = applied.text().into_owned();
        if let Some(verdict) = self.not_applied(applied.status, &log)? {
            return Ok(verdict);
        }
        let run = match &self.plan.tests {
            Tests::Harness(_) | Tests::Script(..) => script::run_uploaded(&scratch),
            Tests::Command(command, directives) => {
                let prepared = self.step(script::prepare(&scratch)).await?;
                log.push_str(&prepared.text());
                self.folder.steps(&log)?;
                match prepared.status {
                    ExecStatus::Exited(0) => script::run_tests(command, directives, &scratch),
                    ExecStatus::Exited(_) => return Ok(test_patch_failed(&prepared.text())),
                    status => return Ok(stopped("applying the test patch", status, &log)),
                }
            }
        };
        let request = ExecRequest { script: run, timeout: self.config.timeout };
        let output = self.session.exec(&request).await?;
        self.graded(&output)
    }

    /// Saves what applying the patch printed; a verdict if it was not applied.
    pub(super) fn not_applied(
        &self,
        status: ExecStatus,
        log: &str,
    ) -> Result<Option<Verdict>, Trouble> {
        self.folder.steps(log)?;
        Ok(match status {
            ExecStatus::Exited(0) => None,
            ExecStatus::Exited(apply::NOT_APPLIED) => {
                let what = "the patch does not apply";
                Some(error(ErrorKind::PatchNotApplied, with_tail(what, log)))
            }
            status => Some(stopped("applying the patch", status, log)),
        })
    }

    /// A step that should be quick.
    pub(super) async fn step(&self, script: String) -> Result<ExecOutput, SandboxError> {
        let request = ExecRequest { script, timeout: self.config.step_timeout };
        self.session.exec(&request).await
    }

    fn uploads(&self, patch: &str) -> Vec<Upload> {
        let mut files = vec![file(apply::PATCH_FILE, patch.as_bytes().to_vec())];
        match &self.plan.tests {
            Tests::Harness(script) => files.push(file(script::EVAL_FILE, (*script).into())),
            Tests::Script(script, _) => files.push(file(script::EVAL_FILE, script.clone().into())),
            Tests::Command(..) => files.extend(test_files(self.plan.gold)),
        }
        files
    }

    fn graded(&self, output: &ExecOutput) -> Result<Verdict, Trouble> {
        let log = output.text();
        if let Some(verdict) = self.ended(output, &log)? {
            return Ok(verdict);
        }
        if let Tests::Script(script, mark) = &self.plan.tests
            && script::test_patch_applied(script, mark, &log) == Some(false)
        {
            let before = log.find(crate::testlog::markers::START).unwrap_or(log.len());
            return Ok(test_patch_failed(&log[..before]));
        }
        Ok(match grade(self.config.rules, self.plan.format, self.plan.gold, &log) {
            Ok(report) => Verdict::Graded { report: Box::new(report) },
            Err(broken) => error(ErrorKind::Lost, broken.to_string()),
        })
    }

    /// Saves the tests' output; a verdict if a limit ended them.
    pub(super) fn ended(&self, output: &ExecOutput, log: &str) -> Result<Option<Verdict>, Trouble> {
        let seconds = self.config.timeout.as_secs();
        if output.status == ExecStatus::TimedOut {
            // The harness's own words, which its classifier looks for.
            self.folder.log(&format!("{log}\n\nTimeout error: {seconds} seconds exceeded."))?;
        } else {
            self.folder.log(log)?;
        }
        Ok(match output.status {
            ExecStatus::Exited(_) => None,
            ExecStatus::TimedOut => {
                let message = format!("the tests ran longer than {seconds} seconds");
                Some(error(ErrorKind::TestsTimedOut, message))
            }
            ExecStatus::OutputLimit => {
                let message = "the tests wrote more than the output limit".to_owned();
                Some(error(ErrorKind::OutputLimit, message))
            }
        })
    }
}

pub(super) fn error(kind: ErrorKind, message: String) -> Verdict {
    Verdict::Error { kind, message }
}

fn test_patch_failed(log: &str) -> Verdict {
    let what = "the gold test patch does not apply on top of the prediction, so nothing was judged";
    error(ErrorKind::TestPatchNotApplied, with_tail(what, log))
}

/// A step of ours that ended in a way that no patch explains.
pub(super) fn stopped(what: &str, status: ExecStatus, log: &str) -> Verdict {
    let how = match status {
        ExecStatus::Exited(code) => format!("ended with status {code}"),
        ExecStatus::TimedOut => "ran past its time limit".to_owned(),
        ExecStatus::OutputLimit => "wrote more than the output limit".to_owned(),
    };
    error(ErrorKind::Infra, with_tail(&format!("{what} {how}"), log))
}

/// A message with the end of an output.
pub(super) fn with_tail(message: &str, log: &str) -> String {
    let log = log.trim();
    let skipped = log.chars().count().saturating_sub(TAIL);
    let tail: String = log.chars().skip(skipped).collect();
    if tail.is_empty() { message.to_owned() } else { format!("{message}:\n{tail}") }
}
