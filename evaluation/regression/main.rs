//! How often the regression tests that are chosen for a right change hold the tests that matter: the
//! reference patch as the only candidate, the files of the reference test patch as what matters.

#![allow(
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a program whose output is its result"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use agent::dataset::Dataset;
use agent::repo::Checkout;
use agent::stage::execute::{Concern, related_test_files};
use agent::testlog::directive::patched_paths;
use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "regression", about = "Recall of the tests chosen against regressions")]
struct Arguments {
    /// Rows in SWE-bench's schema.
    rows: PathBuf,
    /// Directory with owner__name.git.
    #[arg(long)]
    repos: PathBuf,
    /// Print the instances that are missed at the default, 8.
    #[arg(long)]
    missed: bool,
}

const AT: [usize; 5] = [1, 4, 8, 16, 32];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let dataset = Dataset::load(&arguments.rows)?;
    let mut found: BTreeMap<&str, (usize, [usize; AT.len()])> = BTreeMap::new();
    for row in dataset.rows() {
        let Some(gold) = &row.gold else { continue };
        let name = row.instance.repo.replace('/', "__");
        let path = arguments.repos.join(format!("{name}.git"));
        let checkout = Checkout::open(&path, &row.instance.base_commit)?;
        // Test files that a fix adds exist for nobody who is yet to make it.
        let matter: Vec<&str> = patched_paths(&gold.test_patch)
            .filter(|path| path.ends_with(".py") && checkout.file(path).is_some())
            .collect();
        if matter.is_empty() {
            continue;
        }
        let files = gold.edited_files();
        let changes = [(gold.patch.as_str(), files.as_slice())];
        let issue = &row.instance.problem_statement;
        let concern = Concern { checkout: &checkout, changes: &changes, localized: &[], issue };
        let chosen = related_test_files(&concern, usize::MAX);
        let (count, hits) = found.entry(row.instance.repo.as_str()).or_default();
        *count += 1;
        let place = chosen.iter().position(|path| matter.contains(&path.as_str()));
        for (hits, at) in hits.iter_mut().zip(AT) {
            *hits += usize::from(place.is_some_and(|place| place < at));
        }
        if arguments.missed && place.is_none_or(|place| place >= 8) {
            println!("{}: {} wanted, at {place:?}", row.instance.id, matter.join(" "));
        }
    }
    let titles: Vec<String> = AT.iter().map(|at| format!("@{at}")).collect();
    println!("| repository | rows | {} |", titles.join(" | "));
    println!("|---|---|{}", "---|".repeat(AT.len()));
    let mut all = (0, [0; AT.len()]);
    for (repo, (count, hits)) in &found {
        print_row(repo, *count, hits);
        all.0 += count;
        all.1.iter_mut().zip(hits).for_each(|(sum, n)| *sum += n);
    }
    print_row("all", all.0, &all.1);
    Ok(())
}

fn print_row(name: &str, count: usize, hits: &[usize]) {
    let shares: Vec<String> = hits
        .iter()
        .map(|hits| format!("{:.1}", 100.0 * *hits as f64 / count.max(1) as f64))
        .collect();
    println!("| {name} | {count} | {} |", shares.join(" | "));
}
