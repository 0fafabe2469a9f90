//! Times the stage `execute` on a real engine: N changes times M tests of a given duration, against
//! one `docker run` per test in the same run. README.md in this folder says how to read it.

#![allow(
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a program whose output is its result"
)]

use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use agent::artifact::{
    BaseVerdict, Candidate, CandidateId, CandidateStatus, Execution, Instance, InstanceId,
    Localization, Outcome, ReproductionTest, Subject, TestId,
};
use agent::event::Events;
use agent::index::IndexCache;
use agent::llm::{Completion, ModelClient, ModelError, ModelRequest, TokenCounter};
use agent::pipeline::BaseTree;
use agent::prompt::Prompts;
use agent::repo::Checkout;
use agent::sandbox::{self, Choice, Environment, EnvironmentSpec, Sandbox, SandboxConfig};
use agent::stage::execute::{Asking, Exclusion, ExecuteConfig, Inputs, RegressionTests, execute};
use agent::tools::{Sessions, Tools};
use async_trait::async_trait;
use clap::Parser;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug, Parser)]
#[command(name = "containers", about = "Times executions in containers")]
struct Arguments {
    /// Different changes, each with a container of its own.
    #[arg(long, default_value_t = 8)]
    changes: u32,
    /// Tests of each change.
    #[arg(long, default_value_t = 20)]
    tests: u32,
    /// Milliseconds that a test takes, the start of Python included; may be given more than once.
    #[arg(long, default_values_t = [50, 1000])]
    duration: Vec<u64>,
    /// Sessions that work at the same time.
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(1))]
    slots: NonZeroUsize,
    /// Tests that get a `docker run` each.
    #[arg(long, default_value_t = 20)]
    sample: usize,
    /// Times that all is measured; the table shows each.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
}

/// Never asked: there are no regression tests to leave out.
struct NoModel;

#[async_trait]
impl ModelClient for NoModel {
    async fn complete(&self, _: &ModelRequest) -> Vec<std::result::Result<Completion, ModelError>> {
        Vec::new()
    }

    fn model(&self) -> &'static str {
        "none"
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let dir = tempfile::tempdir()?;
    let checkout = Arc::new(Checkout::open(&repository(dir.path())?, "HEAD")?);
    let config = SandboxConfig::default();
    let (sandbox, told) =
        sandbox::connect(Choice::Docker, config.clone(), "containers", Events::discard()).await?;
    let instance = Instance {
        id: InstanceId::new("bench__bench-1")?,
        repo: "bench/bench".to_owned(),
        base_commit: checkout.base_commit().to_owned(),
        problem_statement: "x".to_owned(),
        image: None,
        test_command: None,
        install: None,
    };
    let spec = EnvironmentSpec {
        instance: instance.id.clone(),
        image: None,
        tree: Arc::new(BaseTree::new(Arc::clone(&checkout))),
        install: None,
        base_commit: None,
        as_published: false,
    };
    let environment = sandbox.prepare(&spec).await?;
    let bench = Bench { arguments: &arguments, config, sandbox, instance, checkout, environment };
    println!("{told}; {} at the same time", arguments.slots);
    println!("own: a test's own time, run in a loop inside of as many containers");
    println!(
        "   test ms   changes x tests   own s a test   wall s   overhead %   run s a test   faster"
    );
    for _ in 0..arguments.rounds {
        for &duration in &arguments.duration {
            bench.measure(duration, dir.path()).await?;
        }
    }
    bench.sandbox.sweep().await;
    Ok(())
}

struct Bench<'a> {
    arguments: &'a Arguments,
    config: SandboxConfig,
    sandbox: Arc<dyn Sandbox>,
    instance: Instance,
    checkout: Arc<Checkout>,
    environment: Environment,
}

impl Bench<'_> {
    async fn measure(&self, duration: u64, dir: &Path) -> Result<()> {
        let Arguments { changes, tests, .. } = *self.arguments;
        fs::write(dir.join("change.diff"), candidate(0).patch)?;
        fs::write(dir.join("test.py"), script(0.0))?;
        let script = script((duration as f64 / 1000.0 - self.own(dir)?).max(0.0));
        fs::write(dir.join("test.py"), &script)?;
        let own = self.own(dir)?;
        let wall = self.executed(&script).await?.as_secs_f64();
        let run = self.one_run_each(dir)?;
        let slots = self.arguments.slots.get() as f64;
        let least = own * f64::from(changes * tests) / slots;
        let per_test = wall * slots / f64::from(changes * tests);
        println!(
            "{duration:>10}   {changes:>7} x {tests:<5}   {own:>12.3}   {wall:>6.1}   {:>10.1}   {run:>12.3}   {:>6.1}",
            100.0 * (wall / least - 1.0),
            run / per_test,
        );
        Ok(())
    }

    /// Wall time of the stage, with containers made, patches applied and containers removed.
    async fn executed(&self, script: &str) -> Result<Duration> {
        let Arguments { changes, tests, slots, .. } = *self.arguments;
        let tools = Tools {
            model: Arc::new(NoModel),
            sandbox: Arc::clone(&self.sandbox),
            index: Arc::new(IndexCache::in_memory()),
            embeddings: None,
            sessions: Arc::new(Sessions::new(slots)),
            events: Events::discard(),
            cancel: tokio_util::sync::CancellationToken::new(),
            budget: Arc::new(agent::budget::Budget::unlimited()),
            age: 0,
        };
        let config = ExecuteConfig {
            regression: RegressionTests::None,
            regression_files: 0,
            exclusion: Exclusion::None,
            regression_timeout: 60,
            base_runs: 1,
            timeout: 60,
        };
        let candidates: Vec<Candidate> = (0..changes).map(candidate).collect();
        let scripts: Vec<ReproductionTest> = (0..tests)
            .map(|sample| ReproductionTest {
                id: TestId(sample),
                sample,
                source: script.to_owned(),
                base: BaseVerdict::Reproduced,
                class: sample.to_string(),
                reason: String::new(),
            })
            .collect();
        let scripts: Vec<&ReproductionTest> = scripts.iter().collect();
        let (prompts, tokens) = (Prompts::load(None, false)?, TokenCounter::estimate());
        let inputs = Inputs {
            instance: &self.instance,
            at: &Localization::default(),
            checkout: &self.checkout,
            candidates: &candidates,
            first_samples: u32::MAX,
            tests: &scripts,
            environment: &self.environment,
            limits: &self.config.limits(),
            done: &[],
            given: None,
            regression: &OnceLock::new(),
            asking: Asking { prompts: &prompts, tokens: &tokens, seed: None },
        };
        let saved = Mutex::new(0);
        let record = |rows: &[Execution]| {
            *saved.lock().map_err(|_| std::io::Error::other("poisoned"))? += rows.len();
            Ok(())
        };
        let begin = Instant::now();
        let rows = execute(&tools, &config, &inputs, &record).await?;
        let wall = begin.elapsed();
        let passed = rows
            .iter()
            .filter(|row| row.subject != Subject::Base && row.outcome == Outcome::Pass)
            .count();
        if passed != (changes * tests) as usize {
            return Err(format!("{passed} of {} tests passed", changes * tests).into());
        }
        Ok(wall)
    }

    /// Seconds of a test in a loop inside of running containers, as many as work at a time.
    fn own(&self, dir: &Path) -> Result<f64> {
        const TIMES: u32 = 10;
        let inside = format!(
            "source /opt/miniconda3/bin/activate; conda activate testbed; git apply /work/change.diff
             a=${{EPOCHREALTIME/./}}; for i in $(seq {TIMES}); do python -B /work/test.py >/dev/null || exit; done
             b=${{EPOCHREALTIME/./}}; echo $((b - a))"
        );
        let running: Vec<_> = (0..self.arguments.slots.get())
            .map(|_| self.docker_run(dir, &inside).stdout(Stdio::piped()).spawn())
            .collect::<std::io::Result<_>>()?;
        let mut total = 0.0;
        for child in running {
            let output = child.wait_with_output()?;
            let text = String::from_utf8(output.stdout)?;
            total += text.trim().parse::<f64>().map_err(|e| format!("{text:?}: {e}"))? / 1e6;
        }
        Ok(total / f64::from(TIMES) / self.arguments.slots.get() as f64)
    }

    /// Seconds of a test that gets a container of its own, start and removal included.
    fn one_run_each(&self, dir: &Path) -> Result<f64> {
        let inside = "source /opt/miniconda3/bin/activate; conda activate testbed
            git apply /work/change.diff && python -B /work/test.py";
        let slots = self.arguments.slots.get();
        let each = self.arguments.sample.div_ceil(slots);
        let begin = Instant::now();
        std::thread::scope(|scope| -> Result<()> {
            let workers: Vec<_> = (0..slots)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        for _ in 0..each {
                            let output = self.docker_run(dir, inside).output()?;
                            if !String::from_utf8_lossy(&output.stdout).contains("Issue resolved") {
                                return Err(format!("docker run: {output:?}").into());
                            }
                        }
                        Ok(())
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|w| w.join().map_err(|_| "a thread ended")?)
        })?;
        Ok(begin.elapsed().as_secs_f64() / each as f64)
    }

    /// `docker run` with the limits of our containers.
    fn docker_run(&self, dir: &Path, inside: &str) -> Command {
        let memory = format!("{}m", self.config.memory_mib);
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--network", "none", "--cap-drop", "ALL"]);
        for capability in &self.config.capabilities {
            command.args(["--cap-add", capability]);
        }
        command
            .args(["--security-opt", "no-new-privileges", "--memory", &memory])
            .args(["--memory-swap", &memory, "--pids-limit", &self.config.pids.to_string()])
            .arg("-v")
            .arg(format!("{}:/work:ro", dir.display()))
            .args(["-e", "PYTHONPATH=/testbed:/testbed/src"])
            .args(["-w", "/testbed", self.environment.image.as_deref().unwrap_or_default()])
            .args(["bash", "-c", inside]);
        command
    }
}

fn script(sleep: f64) -> String {
    format!(
        "import time\nimport bench\ntime.sleep({sleep:.4})\n\
         print('Issue resolved' if bench.VALUE else 'Issue reproduced')\n"
    )
}

fn candidate(sample: u32) -> Candidate {
    Candidate {
        id: CandidateId(sample),
        sample,
        status: CandidateStatus::Ok,
        reason: String::new(),
        files: vec!["bench.py".to_owned()],
        patch: format!(
            "diff --git a/bench.py b/bench.py\n--- a/bench.py\n+++ b/bench.py\n\
             @@ -1 +1 @@\n-VALUE = 0\n+VALUE = {}\n",
            sample + 1
        ),
        class: sample.to_string(),
        rules: Vec::new(),
        substantive: true,
    }
}

fn repository(dir: &Path) -> Result<std::path::PathBuf> {
    let path = dir.join("repository");
    fs::create_dir(&path)?;
    fs::write(path.join("bench.py"), "VALUE = 0\n")?;
    for words in ["init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm base"] {
        let done = Command::new("git").current_dir(&path).args(words.split(' ')).status()?;
        if !done.success() {
            return Err(format!("git {words} failed").into());
        }
    }
    Ok(path)
}
