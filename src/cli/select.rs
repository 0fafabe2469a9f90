//! Which dataset, and which of its instances.

use std::path::{Path, PathBuf};

use regex::Regex;
use sha2::{Digest, Sha256};

use crate::artifact::{Instance, InstanceId};
use crate::cli::args::{OutputArgs, SelectArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::say;
use crate::config::Config;
use crate::dataset::{self, Dataset, Hub, HubName, ImageNaming, ImageTemplate};
use crate::store::RunDir;

/// `$AGENT_CACHE`, else `~/.cache/agent` (or what XDG_CACHE_HOME says).
pub(crate) fn cache_dir() -> Result<PathBuf, CliError> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(path) = variable("AGENT_CACHE") {
        return Ok(path);
    }
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("agent"))
        .ok_or_else(|| CliError::usage("no home directory").hint("set AGENT_CACHE to a directory"))
}

/// Opens a dataset by name or path; what is fetched for it, and which commit of the hub it is, is
/// said on standard error.
pub(crate) fn open_dataset(
    name: &str,
    config: &Config,
    output: &OutputArgs,
) -> Result<Dataset, CliError> {
    let note = |text: &str| {
        if !output.quiet {
            say(&format!("note: {text}"));
        }
    };
    let dataset = open(name, config, &note)?;
    if let Some(HubName { id, revision, split }) = dataset.pinned() {
        let commit = revision.get(..12).unwrap_or(revision);
        note(&format!("{name} is {id} at {commit}, split {split}, {} rows", dataset.len()));
    }
    Ok(dataset)
}

/// Opens the dataset of a run that may have begun: one of the hub stays at the commit that the run
/// took, so that its rows do not change between two starts, or before they are graded.
pub(crate) fn dataset_of_run(
    name: &str,
    run: Option<&Path>,
    config: &Config,
    output: &OutputArgs,
) -> Result<Dataset, CliError> {
    let begun = run.filter(|run| run.join("run.json").exists());
    let record = begun.map(|run| RunDir::create(run)?.record()).transpose()?.flatten();
    let pinned = record.filter(|record| record.dataset == name).and_then(|run| run.pinned_dataset);
    open_dataset(pinned.as_deref().unwrap_or(name), config, output)
}

/// Opens a run's dataset again, the hub's at the commit that the run took; silently.
pub(crate) fn reopen_dataset(
    name: &str,
    pinned: Option<&String>,
    config: &Config,
) -> Result<Dataset, CliError> {
    open(pinned.map_or(name, String::as_str), config, &|_| {})
}

fn open(name: &str, config: &Config, note: &(dyn Fn(&str) + Sync)) -> Result<Dataset, CliError> {
    let template = &config.dataset.image_template;
    let naming = if template.is_empty() {
        ImageNaming::Official
    } else {
        let template: ImageTemplate =
            template.parse().map_err(|error| CliError::from_error(Kind::Usage, error))?;
        ImageNaming::Template(template)
    };
    Ok(dataset::open(name, &cache_dir()?, &naming, &Hub::from_env(), note)?)
}

/// Where repositories lie; the bundled sample's are laid out there first, and a built dataset's
/// lie in the cache anyway.
pub(crate) fn repos_dir(config: &Config, dataset: &str) -> Result<PathBuf, CliError> {
    let cache = cache_dir()?.join("repos");
    let dir = if config.repos.dir.as_os_str().is_empty() {
        cache.clone()
    } else {
        config.repos.dir.clone()
    };
    if dataset == "sample" {
        dataset::sample::install(&dir)
            .map_err(|error| CliError::from_error(Kind::Environment, error))?;
    }
    Ok(dir)
}

/// The selected instances, in the dataset's order.
pub(crate) fn select(dataset: &Dataset, args: &SelectArgs) -> Result<Vec<Instance>, CliError> {
    for wanted in &args.instances {
        if !dataset.instances().iter().any(|instance| instance.id.as_str() == wanted) {
            return Err(unknown_instance(dataset, wanted));
        }
    }
    let selected = filter(dataset.instances(), args)?;
    if selected.is_empty() {
        return Err(CliError::new(Kind::Nothing, "no instance is selected").hint(format!(
            "{} has {} instances",
            dataset.source(),
            dataset.len()
        )));
    }
    Ok(selected)
}

/// Says which shard the environment named.
pub(crate) fn tell(args: &SelectArgs, output: &OutputArgs) {
    if let Some(shard) = args.shard.as_ref().filter(|shard| shard.is_found() && !output.quiet) {
        crate::cli::say(&format!("note: shard {shard}, from {}", shard.origin()));
    }
}

/// Those that ids, expression and shard let through.
pub(crate) fn filter(
    instances: Vec<Instance>,
    args: &SelectArgs,
) -> Result<Vec<Instance>, CliError> {
    let selector = Selector::new(args)?;
    Ok(instances.into_iter().filter(|instance| selector.matches(&instance.id)).collect())
}

/// The selection as a test of ids.
pub(crate) struct Selector<'a> {
    args: &'a SelectArgs,
    expression: Option<Regex>,
}

impl<'a> Selector<'a> {
    pub(crate) fn new(args: &'a SelectArgs) -> Result<Self, CliError> {
        let expression = args
            .filter
            .as_deref()
            .map(Regex::new)
            .transpose()
            .map_err(|error| CliError::from_error(Kind::Usage, error))?;
        Ok(Self { args, expression })
    }

    pub(crate) fn matches(&self, id: &InstanceId) -> bool {
        let (args, id) = (self.args, id.as_str());
        (args.instances.is_empty() || args.instances.iter().any(|wanted| wanted == id))
            && self.expression.as_ref().is_none_or(|expression| expression.is_match(id))
            && args.shard.as_ref().is_none_or(|shard| in_shard(id, shard.k, shard.n))
    }
}

/// One instance by its id.
pub(crate) fn find(dataset: &Dataset, id: &str) -> Result<Instance, CliError> {
    dataset
        .instances()
        .into_iter()
        .find(|instance| instance.id.as_str() == id)
        .ok_or_else(|| unknown_instance(dataset, id))
}

fn unknown_instance(dataset: &Dataset, id: &str) -> CliError {
    let error = CliError::usage(format!("{} has no instance {id}", dataset.source()));
    match dataset.nearest(id) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint("`agent dataset check D` lists a dataset's instances"),
    }
}

/// Stable over datasets and versions: the id's hash alone decides.
fn in_shard(id: &str, k: u32, n: u32) -> bool {
    let digest = Sha256::digest(id.as_bytes());
    let hash = u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
    hash % u64::from(n) == u64::from(k - 1)
}

/// `runs/<UTC time>`, where the user names no directory.
pub(crate) fn default_run_dir() -> PathBuf {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let name = time::OffsetDateTime::now_utc().format(format).unwrap_or_else(|_| "run".to_owned());
    Path::new(RUNS).join(name)
}

/// The folder of runs that are named by nobody or by `runs/NAME`.
const RUNS: &str = "runs";

/// Makes git look away from a new `./runs`, because it often lies in somebody's work tree.
pub(crate) fn hide_runs(run: &Path) -> Result<(), CliError> {
    let runs = Path::new(RUNS);
    if !run.starts_with(runs) || runs.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(runs)
        .and_then(|()| std::fs::write(runs.join(".gitignore"), "*\n"))
        .map_err(|error| {
            CliError::from_error(Kind::Environment, error)
                .hint("the default run directory is ./runs; name another with -o")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_a_partition() {
        for id in ["django__django-11099", "sympy__sympy-1", "a", "b", "c"] {
            let shards = (1..=7).filter(|&k| in_shard(id, k, 7)).count();
            assert_eq!(shards, 1, "{id}");
        }
    }
}
