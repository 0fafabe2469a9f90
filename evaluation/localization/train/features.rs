//! Writes what the ranker judges by, for each row of a dataset: the very numbers that `agent`
//! ranks with. One line of names, then one line an instance. README.md in this folder says what to
//! type.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use agent::dataset::Dataset;
use agent::event::Events;
use agent::repo::{self, Checkout};
use agent::{index::IndexCache, retrieval};
use clap::Parser;
use serde_json::json;

#[derive(Debug, Parser)]
#[command(name = "features", about = "Writes the ranker's features of a dataset")]
struct Arguments {
    /// Rows as SWE-bench has them
    dataset: PathBuf,
    /// Directory of clones, as `agent localize --repos` takes it
    #[arg(long)]
    repos: PathBuf,
    /// Past commits read for each row
    #[arg(long, default_value_t = 20_000)]
    history_commits: usize,
    /// Directory of indexes, to be fast the next time
    #[arg(long)]
    cache: Option<PathBuf>,
    /// File to write
    #[arg(short, long)]
    out: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let dataset = Dataset::load(&arguments.dataset)?;
    let cache = match arguments.cache {
        Some(directory) => IndexCache::at(directory, u64::MAX),
        None => IndexCache::in_memory(),
    };
    let mut out = BufWriter::new(File::create(&arguments.out)?);
    let features = retrieval::feature_names().into_iter();
    let head = features.map(|f| json!({"name": f.name, "group": f.group, "fused": f.fused}));
    writeln!(out, "{}", json!({"features": head.collect::<Vec<_>>()}))?;
    for instance in dataset.instances() {
        let path = repo::find(&arguments.repos, &instance.repo)
            .ok_or_else(|| format!("{}: no clone of {}", instance.id, instance.repo))?;
        let checkout = Arc::new(Checkout::open(&path, &instance.base_commit)?);
        let opened = cache.open(checkout, arguments.history_commits, &Events::discard())?;
        let files = opened.features(&instance.problem_statement);
        let paths = files.iter().map(|file| &file.path).collect::<Vec<_>>();
        let rows = files.iter().map(|file| &file.values).collect::<Vec<_>>();
        let id = &instance.id;
        let line = json!({"instance_id": id, "repo": instance.repo, "paths": paths, "rows": rows});
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}
