//! Instance and localization to reproduction tests, each tried on the base commit.
//!
//! Only a script that says `Issue reproduced` on the unpatched repository may judge candidates.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::artifact::{
    BaseVerdict, Execution, Instance, Localization, Outcome, ReproductionTest, Subject, TestId,
    TestKind,
};
use crate::context::{self, ContextFile};
use crate::event::EventKind;
use crate::harness::{self, ScriptRun, ScriptVerdict};
use crate::llm::{Call, Completion, ModelRequest, TokenCounter};
use crate::patch;
use crate::prompt::{PromptName, Prompts};
use crate::repo::Checkout;
use crate::sandbox::{Environment, Limits, Retakes};
use crate::stage::StageError;
use crate::tools::Tools;

/// Settings of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReproduceConfig {
    /// Samples drawn, each one script.
    pub samples: u32,
    /// Sampling temperature.
    pub temperature: f32,
    /// Upper bound of an answer in tokens, thinking included.
    pub max_tokens: u32,
    /// Files shown at most; 0 shows the issue alone, as Agentless does.
    pub max_files: usize,
    /// Tokens that the files shown may take together.
    pub context_tokens: usize,
    /// Seconds that one script may run.
    pub timeout: u64,
    /// Reproducing scripts kept at most, most frequent class first (SWE-RL keeps 30).
    pub keep: usize,
}

/// Called with each test as soon as it has run on the base commit.
pub type Record<'a> = &'a (dyn Fn(&ReproductionTest) -> std::io::Result<()> + Send + Sync);

/// What the stage works on.
pub struct Inputs<'a> {
    /// The issue.
    pub instance: &'a Instance,
    /// The files it is about.
    pub at: &'a Localization,
    /// The repository.
    pub checkout: &'a Arc<Checkout>,
    /// Where it runs.
    pub environment: &'a Environment,
    /// Limits of a session.
    pub limits: &'a Limits,
    /// Tests that an earlier process has finished.
    pub done: &'a [ReproductionTest],
}

/// What scripts are asked about.
pub struct About<'a> {
    /// The issue.
    pub instance: &'a Instance,
    /// The files it is about.
    pub at: &'a Localization,
    /// The repository.
    pub checkout: &'a Arc<Checkout>,
}

/// Draws scripts that nobody has run yet; their verdict is [`BaseVerdict::Error`] until then.
///
/// # Errors
/// [`StageError`] when the model cannot be asked.
pub async fn scripts(
    tools: &Tools,
    config: &ReproduceConfig,
    prompts: &Prompts,
    tokens: &TokenCounter,
    seed: Option<u64>,
    about: &About<'_>,
) -> Result<Vec<ReproductionTest>, StageError> {
    let (arrived, _) = mpsc::unbounded_channel();
    draw(tools, config, prompts, tokens, seed, about, &arrived).await
}

/// As [`scripts`], and sends each as soon as it and all before it are there: what is then done with
/// them does not depend on which answer came first.
async fn draw(
    tools: &Tools,
    config: &ReproduceConfig,
    prompts: &Prompts,
    tokens: &TokenCounter,
    seed: Option<u64>,
    about: &About<'_>,
    arrived: &UnboundedSender<ReproductionTest>,
) -> Result<Vec<ReproductionTest>, StageError> {
    let files: Vec<ContextFile> = about
        .at
        .ranked
        .iter()
        .take(config.max_files)
        .filter_map(|ranked| {
            let content = about.checkout.read(&ranked.path).ok().flatten()?;
            let text = String::from_utf8(content).ok()?;
            let (path, places) = (ranked.path.clone(), ranked.places.clone());
            Some(ContextFile { path, text, places })
        })
        .collect();
    let count = |text: &str| tokens.count(text);
    let ask = |budget| {
        let issue = &about.instance.problem_statement;
        let context = context::select(&files, issue, config.max_files, budget, &count);
        let request = ModelRequest {
            instance: about.instance.id.clone(),
            call: Call::Reproduce,
            messages: prompts
                .render(PromptName::ReproduceScript, &[("issue", issue), ("files", &context.text)]),
            samples: 0..config.samples,
            temperature: config.temperature,
            max_tokens: config.max_tokens,
            seed,
            stop: Vec::new(),
        };
        (request, ())
    };
    let mut budget = config.context_tokens;
    let each = |completion: &Completion| {
        // Whoever went away needs no scripts.
        let _ = arrived.send(extract(completion));
    };
    let (completions, ()) = crate::stage::ask_within_each(tools, &mut budget, ask, &each).await?;
    Ok(completions.iter().map(extract).collect())
}

/// Draws scripts and runs each class of them once on the base commit, while others are still being
/// drawn.
///
/// # Errors
/// [`StageError`] when the model cannot be asked or no sandbox be had. What was under way then is
/// waited for and recorded.
pub async fn reproduce(
    tools: &Tools,
    config: &ReproduceConfig,
    prompts: &Prompts,
    tokens: &TokenCounter,
    seed: Option<u64>,
    inputs: &Inputs<'_>,
    record: Record<'_>,
) -> Result<Vec<ReproductionTest>, StageError> {
    let about = About { instance: inputs.instance, at: inputs.at, checkout: inputs.checkout };
    let (sender, arrived) = mpsc::unbounded_channel();
    let drawing = async move {
        // The sender ends with the drawing, and with it the runs.
        draw(tools, config, prompts, tokens, seed, &about, &sender).await
    };
    let timeout = Duration::from_secs(config.timeout);
    let running = run_all(tools, inputs, arrived, timeout, record);
    let (tests, verdicts) = tokio::join!(drawing, running);
    let (mut tests, verdicts) = (tests?, verdicts?);
    for test in &mut tests {
        if let Some((base, reason)) = verdicts.get(&test.class)
            && !test.source.is_empty()
        {
            test.base = *base;
            test.reason.clone_from(reason);
        }
    }
    Ok(tests)
}

/// What running a script on the base commit said, and why, by class.
type Verdicts = BTreeMap<String, (BaseVerdict, String)>;

/// Runs the first script of each class that arrives, unless an earlier process has.
async fn run_all(
    tools: &Tools,
    inputs: &Inputs<'_>,
    mut arrived: UnboundedReceiver<ReproductionTest>,
    timeout: Duration,
    record: Record<'_>,
) -> Result<Verdicts, StageError> {
    let done: HashMap<&str, &ReproductionTest> =
        inputs.done.iter().map(|test| (test.class.as_str(), test)).collect();
    let mut verdicts = Verdicts::new();
    let mut begun: HashSet<String> = HashSet::new();
    // The sessions bound what runs at the same time.
    let mut runs = FuturesUnordered::new();
    let (mut open, mut late) = (true, None);
    while open || !runs.is_empty() {
        let (mut test, run): (ReproductionTest, Result<ScriptRun, StageError>) = tokio::select! {
            next = arrived.recv(), if open => {
                let Some(test) = next else {
                    open = false;
                    continue;
                };
                if let Some(known) = done.get(test.class.as_str()) {
                    verdicts.insert(test.class, (known.base, known.reason.clone()));
                } else if !test.source.is_empty() && begun.insert(test.class.clone()) {
                    runs.push(async move {
                        let run = run_on_base(tools, inputs, &test, timeout).await;
                        (test, run)
                    });
                }
                continue;
            }
            Some(ended) = runs.next() => ended,
        };
        let run = match run {
            // The others finish.
            Err(error @ StageError::Late(_)) => {
                late = Some(error);
                continue;
            }
            run => run?,
        };
        (test.base, test.reason) = describe(&run);
        tools.events.emit(executed(&test, &run));
        record(&test).map_err(StageError::Record)?;
        verdicts.insert(test.class, (test.base, test.reason));
    }
    late.map_or(Ok(verdicts), Err)
}

/// The tests that judge candidates: one a reproducing class (its first sample), most frequent
/// class first, at most `keep`.
#[must_use]
pub fn judges(tests: &[ReproductionTest], keep: usize) -> Vec<&ReproductionTest> {
    let mut votes: BTreeMap<&str, (usize, &ReproductionTest)> = BTreeMap::new();
    for test in tests.iter().filter(|test| test.counts()) {
        let entry = votes.entry(&test.class).or_insert((0, test));
        entry.0 += 1;
        if test.sample < entry.1.sample {
            entry.1 = test;
        }
    }
    let mut classes: Vec<_> = votes.into_values().collect();
    classes.sort_by_key(|(votes, test)| (std::cmp::Reverse(*votes), test.sample));
    classes.into_iter().take(keep).map(|(_, test)| test).collect()
}

/// The row that a test's run on the base commit gives in the execution matrix.
#[must_use]
pub fn base_execution(test: &ReproductionTest, seconds: f64) -> Execution {
    Execution {
        subject: Subject::Base,
        test: test.id.to_string(),
        kind: TestKind::Reproduction,
        outcome: match test.base {
            BaseVerdict::Reproduced => Outcome::Fail,
            BaseVerdict::Resolved => Outcome::Pass,
            BaseVerdict::Other | BaseVerdict::Error => Outcome::Error,
            BaseVerdict::Timeout => Outcome::Timeout,
        },
        seconds,
    }
}

fn extract(reply: &Completion) -> ReproductionTest {
    let script = match &reply.answer {
        Err(why) => Err(why.to_string()),
        Ok(answer) => match patch::extract_script(answer) {
            Err(rejection) => Err(rejection.to_string()),
            Ok(source) if !harness::has_sentinel(&source) => {
                Err("no_sentinel: the script prints none of the three results".to_owned())
            }
            Ok(source) => Ok(source),
        },
    };
    let (source, reason) = match script {
        Ok(source) => (source, String::new()),
        Err(reason) => (String::new(), reason),
    };
    ReproductionTest {
        id: TestId(reply.sample),
        sample: reply.sample,
        class: if source.is_empty() { String::new() } else { patch::script_class(&source) },
        source,
        base: BaseVerdict::Error,
        reason,
    }
}

/// One fresh session a script: a script that spoils the work tree cannot spoil another's verdict.
async fn run_on_base(
    tools: &Tools,
    inputs: &Inputs<'_>,
    test: &ReproductionTest,
    timeout: Duration,
) -> Result<ScriptRun, StageError> {
    let _exists = tools.may_start().await?;
    let work = async {
        let mut retakes = Retakes::default();
        loop {
            let session = tools.sandbox.start(inputs.environment, inputs.limits).await?;
            let works = tools.may_work(&*session).await?;
            let run =
                harness::run_script(&*session, &test.id.to_string(), &test.source, timeout).await;
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

fn describe(run: &ScriptRun) -> (BaseVerdict, String) {
    match run.verdict {
        ScriptVerdict::Reproduced => (BaseVerdict::Reproduced, String::new()),
        ScriptVerdict::Resolved => {
            (BaseVerdict::Resolved, "does not show the issue on the base commit".into())
        }
        ScriptVerdict::Other if run.out_of_memory => {
            (BaseVerdict::Other, format!("out of memory: {}", run.tail))
        }
        ScriptVerdict::Other => (BaseVerdict::Other, run.tail.clone()),
        ScriptVerdict::Timeout => (BaseVerdict::Timeout, "past its time or output limit".into()),
    }
}

fn executed(test: &ReproductionTest, run: &ScriptRun) -> EventKind {
    let row = base_execution(test, run.duration.as_secs_f64());
    EventKind::Executed {
        candidate: row.subject,
        test: row.test,
        kind: row.kind,
        outcome: row.outcome,
        seconds: row.seconds,
    }
}
