//! What an instance of a dataset runs in when it is graded.

use std::path::Path;
use std::sync::Arc;

use crate::artifact::Instance;
use crate::evaluate::SpecError;
use crate::pipeline::BaseTree;
use crate::repo::{self, Checkout};
use crate::sandbox::EnvironmentSpec;

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
