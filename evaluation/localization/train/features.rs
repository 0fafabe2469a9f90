//! Writes what the ranker judges by, for each row of a dataset: the very numbers that `agent`
//! ranks with. One line of names, then one line an instance. README.md in this folder says what to
//! type.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use agent::dataset::Dataset;
use agent::event::Events;
use agent::repo::{self, Checkout};
use agent::{retrieval, stage::localize};
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
    #[arg(long, default_value_t = 10_000)]
    history_commits: usize,
    /// File to write
    #[arg(short, long)]
    out: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let dataset = Dataset::load(&arguments.dataset)?;
    let mut out = BufWriter::new(File::create(&arguments.out)?);
    let (names, groups) = retrieval::feature_names().into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
    writeln!(out, "{}", json!({"features": names, "groups": groups}))?;
    for instance in dataset.instances() {
        let path = repo::find(&arguments.repos, &instance.repo)
            .ok_or_else(|| format!("{}: no clone of {}", instance.id, instance.repo))?;
        let checkout = Checkout::open(&path, &instance.base_commit)?;
        let issue = &instance.problem_statement;
        let events = Events::discard();
        let files = localize::features(&checkout, issue, arguments.history_commits, &events)?;
        let paths = files.iter().map(|file| &file.path).collect::<Vec<_>>();
        let rows = files.iter().map(|file| &file.values).collect::<Vec<_>>();
        let id = &instance.id;
        let line = json!({"instance_id": id, "repo": instance.repo, "paths": paths, "rows": rows});
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}
