//! Adaptive sampling: samples drawn and tested in rounds, until more are not worth their cost.

use std::time::{Duration, Instant};

use crate::artifact::{Candidate, Localization, ReproductionTest, Stage};
use crate::llm::ModelError;
use crate::pipeline::work::Work;
use crate::pipeline::{PipelineError, Stages, describe};
use crate::stage::StageError;
use crate::stage::rerank::should_stop;

impl Work<'_> {
    /// The candidates of an adaptive run, and the time that their tests took. What these said lies in
    /// the directory, for the stage `execute` to take.
    ///
    /// A process that goes on after another decides as that one did: answers come from the journal,
    /// and the decision depends on nothing but candidates and executions.
    pub(super) async fn rounds(
        &self,
        at: &Localization,
        tests: &[ReproductionTest],
        failing: &mut Stage,
    ) -> Result<(Vec<Candidate>, Duration), PipelineError> {
        let (plan, adaptive) = (self.plan, &self.plan.adaptive);
        *failing = Stage::Repair.max(plan.stages.first);
        if let Some(saved) = self.saved(Stage::Repair, || self.dir.candidates())? {
            return Ok((saved, Duration::ZERO));
        }
        if plan.stages != Stages::ALL {
            return Err(PipelineError::Adaptive(adaptive.confidence));
        }
        let mut running = self.begin(Stage::Repair)?;
        self.begin_quietly(Stage::Execute)?;
        let mut sampler = self.sampler(at);
        let mut candidates = Vec::new();
        let mut drawn: u32 = 0;
        let mut executing = Duration::ZERO;
        let why = loop {
            *failing = Stage::Repair;
            let until = drawn.saturating_add(adaptive.round).min(plan.repair.samples);
            match sampler.draw(drawn..until).await {
                Ok(new) => candidates.extend(new),
                Err(StageError::Model(error @ ModelError::NotRecorded { .. })) if drawn > 0 => {
                    self.tools.events.notice(format!("no further sample: {error}"));
                    break String::new();
                }
                Err(error) => return Err(error.into()),
            }
            drawn = until;
            *failing = Stage::Execute;
            let start = Instant::now();
            let executions = self.run_tests(at, &candidates, tests).await?;
            executing += start.elapsed();
            let left = plan.repair.samples - drawn;
            let decision =
                should_stop(&candidates, &executions, left as usize, adaptive.confidence);
            if left == 0 {
                break String::new();
            }
            if decision.stop {
                break format!(
                    "; {left} of {} samples saved (more would not help, with probability {:.3})",
                    plan.repair.samples, decision.confidence
                );
            }
        };
        *failing = Stage::Repair;
        self.dir.save_candidates(&candidates)?;
        running.start += executing;
        running.finish(format!("{}{why}", describe::candidates(&candidates)))?;
        Ok((candidates, executing))
    }
}
