//! What an instance of a dataset runs in when it is graded, and under which limits.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::artifact::Instance;
use crate::cli::session;
use crate::config::Config;
use crate::evaluate::{Again, EvaluateConfig, Rules, SpecError};
use crate::pipeline::BaseTree;
use crate::repo::{self, Checkout};
use crate::sandbox::EnvironmentSpec;

/// Seconds for each step before the tests, such as applying a patch.
const STEP_SECONDS: u64 = 120;

/// The limits of an evaluation that the settings ask for.
pub(crate) fn limits(config: &Config, rules: Rules, again: Vec<Again>) -> EvaluateConfig {
    // The harness's own limit of one call to the engine.
    let step = if rules.runs_bare() { 1800 } else { STEP_SECONDS };
    EvaluateConfig {
        timeout: Duration::from_secs(config.evaluate.timeout),
        step_timeout: Duration::from_secs(step),
        limits: config.sandbox.limits(),
        jobs: session::or_cores(config.run.sessions).get(),
        rules,
        again,
    }
}

/// What an instance runs in: its image, or its tree where it has none.
pub(crate) fn environment(instance: &Instance, repos: &Path) -> Result<EnvironmentSpec, SpecError> {
    let path = repo::find(repos, &instance.repo);
    let tree = match (path, &instance.image) {
        (Some(path), _) => Some(Checkout::open(&path, &instance.base_commit)),
        (None, Some(_)) => None,
        (None, None) => {
            return Err(format!("{} is not in {}", instance.repo, repos.display()).into());
        }
    };
    let tree = match tree {
        Some(Ok(checkout)) => BaseTree::new(Arc::new(checkout)),
        Some(Err(error)) if instance.image.is_none() => return Err(error.into()),
        _ => BaseTree::absent(),
    };
    Ok(EnvironmentSpec {
        instance: instance.id.clone(),
        image: instance.image.clone(),
        tree: Arc::new(tree),
        install: instance.install.clone(),
    })
}
