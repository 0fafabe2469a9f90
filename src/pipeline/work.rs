//! One instance's stages: taken from the directory if finished, else run and saved.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use crate::artifact::{
    Candidate, Execution, Instance, Localization, Ranking, ReproductionTest, Stage,
};
use crate::event::EventKind;
use crate::pipeline::{BaseTree, Inputs, PipelineError, Plan, describe};
use crate::repo::Checkout;
use crate::sandbox::{Environment, EnvironmentSpec};
use crate::stage::execute::RegressionSet;
use crate::stage::repair::Sampler;
use crate::stage::{StageError, execute, localize, repair, reproduce, rerank};
use crate::store::{InstanceDir, StoreError};
use crate::tools::{Stopped, Tools};

/// An instance being worked on.
pub(super) struct Work<'a> {
    pub(super) tools: &'a Tools,
    pub(super) plan: &'a Plan,
    pub(super) instance: &'a Instance,
    pub(super) dir: &'a InstanceDir,
    inputs: Inputs,
    checkout: Arc<Checkout>,
    environment: OnceCell<Environment>,
    /// Found with the first candidates.
    regression: OnceLock<RegressionSet>,
}

/// A running stage: emits its end and records it.
pub(super) struct Running<'a> {
    work: &'a Work<'a>,
    stage: Stage,
    pub(super) start: Instant,
}

impl Running<'_> {
    pub(super) fn finish(self, summary: String) -> Result<(), StoreError> {
        let seconds = self.start.elapsed().as_secs_f64();
        self.work.dir.finish(self.stage, self.work.inputs.of(self.stage), seconds, &summary)?;
        let stage = self.stage;
        self.work.tools.events.emit(EventKind::StageFinished {
            stage,
            seconds,
            summary,
            reused: false,
        });
        Ok(())
    }
}

/// Reproduction tests that have run on the base commit.
pub(super) struct Tried<'a> {
    tests: Vec<ReproductionTest>,
    /// With the time that it took; absent where the tests were taken from the directory.
    running: Option<(Duration, Running<'a>)>,
}

impl Tried<'_> {
    /// Ends the stage.
    pub(super) fn finish(self) -> Result<Vec<ReproductionTest>, StoreError> {
        if let Some((took, mut running)) = self.running {
            running.start = Instant::now().checked_sub(took).unwrap_or(running.start);
            let keep = running.work.plan.reproduce.keep;
            running.finish(describe::tests(&self.tests, keep))?;
        }
        Ok(self.tests)
    }
}

impl<'a> Work<'a> {
    /// Nothing is prepared or read yet.
    pub(super) fn new(
        tools: &'a Tools,
        plan: &'a Plan,
        instance: &'a Instance,
        dir: &'a InstanceDir,
        inputs: Inputs,
        checkout: Arc<Checkout>,
    ) -> Self {
        Self {
            tools,
            plan,
            instance,
            dir,
            inputs,
            checkout,
            environment: OnceCell::new(),
            regression: OnceLock::new(),
        }
    }

    /// Takes a finished stage's artifact; nothing when the stage is to run.
    pub(super) fn saved<T>(
        &self,
        stage: Stage,
        load: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<Option<T>, PipelineError> {
        if !self.dir.is_finished(stage, self.inputs.of(stage)) {
            // A stage command works on what lies there, whichever settings made it.
            let given = stage < self.plan.stages.first;
            let record = self.dir.stage(stage);
            return match record {
                Some(record) if given && record.finished => Ok(Some(load()?)),
                _ if given => Err(PipelineError::Missing(stage)),
                _ => Ok(None),
            };
        }
        let artifact = load()?;
        if stage >= self.plan.stages.first
            && let Some(record) = self.dir.stage(stage)
        {
            self.tools.events.emit(EventKind::StageFinished {
                stage,
                seconds: record.seconds,
                summary: record.summary,
                reused: true,
            });
        }
        Ok(Some(artifact))
    }

    /// As [`Work::begin`], for a stage that another one works for in advance.
    pub(super) fn begin_quietly(&self, stage: Stage) -> Result<(), PipelineError> {
        Ok(self.dir.begin(stage, self.inputs.of(stage))?)
    }

    pub(super) fn begin(&'a self, stage: Stage) -> Result<Running<'a>, PipelineError> {
        match self.tools.may_go_on() {
            // Ranking asks nothing and runs nothing, and gives the instance its prediction.
            Err(Stopped::Late(_)) if stage == Stage::Rerank => {}
            may => may.map_err(StageError::from)?,
        }
        self.begin_quietly(stage)?;
        self.tools.events.emit(EventKind::StageStarted { stage });
        Ok(Running { work: self, stage, start: Instant::now() })
    }

    pub(super) async fn localize(&self) -> Result<Localization, PipelineError> {
        let load = || self.dir.localization();
        if let Some(Some(saved)) = self.saved(Stage::Localize, load)? {
            return Ok(saved);
        }
        let running = self.begin(Stage::Localize)?;
        let plan = self.plan;
        let (tools, instance, checkout) = (self.tools, self.instance, &self.checkout);
        let (config, prompts) = (&plan.localize, &plan.prompts);
        let localization = match plan.given.get(&instance.id) {
            Some(given) => {
                localize::given(tools, config, prompts, instance, checkout, given).await?
            }
            None => localize::localize(tools, config, prompts, instance, checkout).await?,
        };
        self.dir.save_localization(&localization)?;
        running.finish(describe::localization(&localization))?;
        Ok(localization)
    }

    pub(super) async fn repair(&self, at: &Localization) -> Result<Vec<Candidate>, PipelineError> {
        if let Some(saved) = self.saved(Stage::Repair, || self.dir.candidates())? {
            return Ok(saved);
        }
        let running = self.begin(Stage::Repair)?;
        let candidates = self.sampler(at).draw(0..self.plan.repair.samples).await?;
        self.dir.save_candidates(&candidates)?;
        running.finish(describe::candidates(&candidates))?;
        Ok(candidates)
    }

    pub(super) fn sampler(&'a self, at: &'a Localization) -> Sampler<'a> {
        let plan = self.plan;
        let inputs = repair::Inputs { instance: self.instance, at, checkout: &self.checkout };
        Sampler::new(self.tools, &plan.repair, &plan.prompts, &plan.tokens, plan.seed, &inputs)
    }

    /// The stage up to its end, which [`Tried::finish`] records: stages finish in their order, also
    /// those that run side by side.
    pub(super) async fn tried(&'a self, at: &Localization) -> Result<Tried<'a>, PipelineError> {
        if let Some(saved) = self.saved(Stage::Reproduce, || self.dir.tests())? {
            return Ok(Tried { tests: saved, running: None });
        }
        let running = self.begin(Stage::Reproduce)?;
        let done = self.dir.tests()?;
        let plan = self.plan;
        let environment = self.environment().await?;
        let inputs = reproduce::Inputs {
            instance: self.instance,
            at,
            checkout: &self.checkout,
            environment,
            limits: &plan.limits,
            done: &done,
        };
        let record = |test: &ReproductionTest| self.dir.append_test(test).map_err(io::Error::other);
        let tests = reproduce::reproduce(
            self.tools,
            &plan.reproduce,
            &plan.prompts,
            &plan.tokens,
            plan.seed,
            &inputs,
            &record,
        )
        .await?;
        self.dir.save_tests(&tests)?;
        Ok(Tried { tests, running: Some((running.start.elapsed(), running)) })
    }

    /// The stage; `already` is the time that tests took between samples.
    pub(super) async fn execute(
        &self,
        at: &Localization,
        candidates: &[Candidate],
        tests: &[ReproductionTest],
        already: Duration,
    ) -> Result<Vec<Execution>, PipelineError> {
        if let Some(saved) = self.saved(Stage::Execute, || self.dir.executions())? {
            return Ok(saved);
        }
        let mut running = self.begin(Stage::Execute)?;
        running.start = running.start.checked_sub(already).unwrap_or(running.start);
        let rows = self.run_tests(at, candidates, tests).await?;
        self.dir.save_executions(&rows)?;
        running.finish(execute::summary(&rows))?;
        Ok(rows)
    }

    /// Runs what has not run yet of all tests on all candidates.
    pub(super) async fn run_tests(
        &self,
        at: &Localization,
        candidates: &[Candidate],
        tests: &[ReproductionTest],
    ) -> Result<Vec<Execution>, PipelineError> {
        let done = self.dir.executions()?;
        let judges = reproduce::judges(tests, self.plan.reproduce.keep);
        let environment = self.environment().await?;
        let adaptive = &self.plan.adaptive;
        let inputs = execute::Inputs {
            instance: self.instance,
            at,
            checkout: &self.checkout,
            candidates,
            first_samples: if adaptive.is_on() { adaptive.round } else { u32::MAX },
            tests: &judges,
            environment,
            limits: &self.plan.limits,
            done: &done,
            given: self.plan.given_tests.get(&self.instance.id),
            regression: &self.regression,
            asking: execute::Asking {
                prompts: &self.plan.prompts,
                tokens: &self.plan.tokens,
                seed: self.plan.seed,
            },
        };
        let record =
            |rows: &[Execution]| self.dir.append_executions(rows).map_err(io::Error::other);
        Ok(execute::execute(self.tools, &self.plan.execute, &inputs, &record).await?)
    }

    pub(super) fn rerank(
        &self,
        candidates: &[Candidate],
        executions: &[Execution],
    ) -> Result<Ranking, PipelineError> {
        if let Some(Some(saved)) = self.saved(Stage::Rerank, || self.dir.ranking())? {
            return Ok(saved);
        }
        let running = self.begin(Stage::Rerank)?;
        let ranking = rerank::rerank(&self.plan.rerank, candidates, executions);
        self.dir.save_ranking(&ranking)?;
        running.finish(describe::ranking(&ranking, executions))?;
        Ok(ranking)
    }

    /// Sees to it that one image gives all results of an instance: where an earlier process left it
    /// half tested in an image that has changed since, what ran in the old one is made anew.
    pub(super) async fn keep_to_one_image(&self, failing: &mut Stage) -> Result<(), PipelineError> {
        const TESTED: [Stage; 2] = [Stage::Reproduce, Stage::Execute];
        let stages = self.plan.stages;
        let wanted = |stage: &Stage| (stages.first..=stages.last).contains(stage);
        let open =
            |stage: &Stage| wanted(stage) && !self.dir.is_finished(*stage, self.inputs.of(*stage));
        let begun: Vec<Stage> =
            TESTED.into_iter().filter(|stage| self.dir.stage(*stage).is_some()).collect();
        // Without anything left to run no image is asked for.
        let Some(first) = TESTED.into_iter().find(open).filter(|_| !begun.is_empty()) else {
            return Ok(());
        };
        let Some(before) = self.dir.environment()? else { return Ok(()) };
        *failing = first;
        let now = self.environment().await?.record(self.tools.sandbox.name());
        let Some(other) = now.other_image(&before) else { return Ok(()) };
        let (again, kept): (Vec<Stage>, Vec<Stage>) = begun.into_iter().partition(wanted);
        let names =
            |stages: &[Stage]| stages.iter().map(|s| s.name()).collect::<Vec<_>>().join(", ");
        let mut message = format!("the image has changed since this instance was begun: {other}");
        if !again.is_empty() {
            let _ = write!(message, "; made anew: {}", names(&again));
        }
        if !kept.is_empty() {
            let _ = write!(message, "; as it was in the old image: {}", names(&kept));
        }
        self.tools.events.notice(message);
        for stage in again {
            self.dir.forget(stage)?;
        }
        // How many samples an adaptive run draws follows from their tests.
        if self.plan.adaptive.is_on() && wanted(&Stage::Repair) {
            self.dir.forget(Stage::Repair)?;
        }
        Ok(())
    }

    /// Prepared at first need: an instance whose stages are all saved needs no image.
    async fn environment(&self) -> Result<&Environment, PipelineError> {
        let prepare = || async {
            let spec = EnvironmentSpec {
                instance: self.instance.id.clone(),
                image: self.instance.image.clone(),
                tree: Arc::new(BaseTree::new(Arc::clone(&self.checkout))),
                install: self.instance.install.clone(),
                base_commit: Some(self.instance.base_commit.clone()),
                as_published: false,
            };
            let environment = tokio::select! {
                environment = self.tools.sandbox.prepare(&spec) => {
                    environment.map_err(|error| PipelineError::Stage(error.into()))?
                }
                () = self.tools.cancel.cancelled() => return Err(StageError::Cancelled.into()),
            };
            self.dir.save_environment(&environment.record(self.tools.sandbox.name()))?;
            Ok(environment)
        };
        self.environment.get_or_try_init(prepare).await
    }
}
