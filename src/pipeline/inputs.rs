//! What each stage depends on, as a digest.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::artifact::{Instance, Stage};
use crate::pipeline::Plan;

/// The input digest of every stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    localize: String,
    repair: String,
    reproduce: String,
    execute: String,
    rerank: String,
}

impl Inputs {
    /// Digests for an instance under a plan; `model` is the client's identity,
    /// `sandbox` the name of what is used.
    #[must_use]
    pub fn new(plan: &Plan, instance: &Instance, model: &str, sandbox: &str) -> Self {
        let prompts = (plan.prompts.digests(), plan.prompts.thinks());
        let localize = ("localize", instance, &plan.localize, plan.seed, model, &prompts);
        let localize = match plan.given.get(&instance.id) {
            Some(given) => digest(&(localize, given)),
            None => digest(&localize),
        };
        let limits = (plan.limits.memory_bytes, plan.limits.pids, plan.limits.output_bytes);
        let reproduce = digest(&(
            "reproduce",
            &localize,
            &plan.reproduce,
            plan.seed,
            model,
            &prompts,
            sandbox,
            limits,
        ));
        let repair = ("repair", &localize, &plan.repair, plan.seed, model, &prompts);
        let tested = match plan.given_tests.get(&instance.id) {
            Some(given) => digest(&(&reproduce, given)),
            None => reproduce.clone(),
        };
        // How many samples an adaptive run draws depends on what they are tested with.
        let repair = if plan.adaptive.is_on() {
            digest(&(repair, &plan.adaptive, &tested, &plan.execute))
        } else {
            digest(&repair)
        };
        let execute = digest(&("execute 2", &repair, &tested, &plan.execute));
        let rerank = digest(&("rerank", &execute, &plan.rerank));
        Self { localize, repair, reproduce, execute, rerank }
    }

    /// One stage's digest: 64 hexadecimal digits.
    #[must_use]
    pub fn of(&self, stage: Stage) -> &str {
        match stage {
            Stage::Localize => &self.localize,
            Stage::Repair => &self.repair,
            Stage::Reproduce => &self.reproduce,
            Stage::Execute => &self.execute,
            Stage::Rerank => &self.rerank,
        }
    }
}

fn digest<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_vec(value).expect("settings and instances are plain data");
    Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
}
