//! Compares the selection policies, the very functions that `agent` ships: on simulated matrices,
//! and on run directories whose classes were graded. Also fits the weights of `evidence`, measures
//! the stopping rule, and times a ranking. README.md in this folder says what to type.

mod adaptive;
mod fit;
mod logit;
mod measure;
mod output;
mod random;
mod runs;
mod simulator;
mod timing;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use adaptive::Course;
use measure::{Score, subsample, total};
use output::{Point, plot, recovered, summary, table};
use random::Random;
use simulator::{Case, Cell, draw, grid};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
#[command(name = "selection", about = "Compares selection policies")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulated matrices: every cell of the grid, then smaller budgets of the SWE-RL-like cells
    Simulate {
        /// Instances a cell
        #[arg(long, default_value_t = 2000)]
        instances: usize,
        /// Seed; the weights were fitted on another one
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Folder for tables and plots
        #[arg(short, long)]
        out: PathBuf,
    },
    /// A run and its truth, at every budget
    Compare {
        /// Run directory
        run: PathBuf,
        /// Rows of {"instance_id", "class", "right"}; the command `truth` writes them
        #[arg(long)]
        truth: PathBuf,
        /// Random orders that smaller budgets are averaged over
        #[arg(long, default_value_t = 20)]
        repeats: usize,
        /// Seed of those orders
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Folder for tables and plots
        #[arg(short, long)]
        out: PathBuf,
    },
    /// Writes predictions with every class of a run, for `agent evaluate`
    Classes {
        /// Run directory
        run: PathBuf,
        /// Folder for class-000.jsonl, …
        #[arg(short, long)]
        out: PathBuf,
    },
    /// Collects the reports of `agent evaluate` on those predictions into truth.jsonl
    Truth {
        /// Folder with class-000.jsonl and class-000.graded/report.json, …
        folder: PathBuf,
    },
    /// What the stopping rule saves on the SWE-RL-like cells
    Stop {
        /// Instances a cell
        #[arg(long, default_value_t = 800)]
        instances: usize,
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Folder for the table
        #[arg(short, long)]
        out: PathBuf,
    },
    /// Fits the weights of `evidence`: prints src/stage/rerank/evidence/weights.rs
    Fit {
        /// Cases from the grid, and as many from random cells
        #[arg(long, default_value_t = 24000)]
        instances: usize,
        #[arg(long, default_value_t = 101)]
        seed: u64,
    },
    /// Fits the weights of the stopping rule
    FitStop {
        /// Cases from the SWE-RL-like cells, and as many from random cells
        #[arg(long, default_value_t = 8000)]
        instances: usize,
        #[arg(long, default_value_t = 103)]
        seed: u64,
    },
    /// Times one ranking of 500 classes by 30 scripts
    Time,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<String> {
    match command {
        Command::Simulate { instances, seed, out } => simulate(instances, seed, &out),
        Command::Compare { run, truth, repeats, seed, out } => {
            let cases = runs::load(&run, &truth)?;
            let mut text = summary(&full(&cases));
            text.push('\n');
            text.push_str(&budgets(&cases, repeats, seed, &out)?);
            fs::write(out.join("compare.md"), &text)?;
            Ok(text)
        }
        Command::Classes { run, out } => {
            let count = runs::write_classes(&run, &out)?;
            Ok(format!("{count} files in {}\n", out.display()))
        }
        Command::Truth { folder } => {
            let count = runs::write_truth(&folder)?;
            Ok(format!("{count} classes in {}\n", folder.join("truth.jsonl").display()))
        }
        Command::Stop { instances, seed, out } => stop(instances, seed, &out),
        Command::Fit { instances, seed } => {
            let (text, [classes, none]) = fit::fit(seed, instances);
            let _ = writeln!(
                std::io::stderr(),
                "mean log-likelihood {classes:.4} of the classes, {none:.4} of \"none is right\""
            );
            Ok(text)
        }
        Command::FitStop { instances, seed } => {
            let (weights, likelihood) = adaptive::fit(seed, instances);
            let shown: Vec<String> = weights.iter().map(|weight| format!("{weight:.3}")).collect();
            Ok(format!("{}; mean log-likelihood {likelihood:.4}\n", shown.join(", ")))
        }
        Command::Time => Ok(timing::table()),
    }
}

fn full(cases: &[Case]) -> Score {
    total(cases.len(), |index| Score::of(&cases[index]), Score::add)
}

fn simulate(instances: usize, seed: u64, out: &Path) -> Result<String> {
    fs::create_dir_all(out)?;
    let cells = grid();
    let mut rows = [Vec::new(), Vec::new()];
    let mut sums = [Score::default(), Score::default()];
    for ((swe_rl, cell), stream) in cells.iter().zip(0u64..) {
        let one = |number: usize| Score::of(&draw(cell, seed, stream, number as u64));
        let score = total(instances, one, Score::add);
        let group = usize::from(!swe_rl);
        sums[group].add(score);
        rows[group].push((cell.name.clone(), score));
    }
    let mut text = String::new();
    for ((title, rows), sum) in
        ["SWE-RL-like cells", "Easier and harder cells"].iter().zip(&rows).zip(&sums)
    {
        let closed = recovered(sum).unwrap_or(0.0);
        let _ = writeln!(text, "## {title}\n\n{}", summary(sum));
        let _ =
            writeln!(text, "Gap between `mini` and the oracle closed by `evidence`: {closed:.2}\n");
        let _ = writeln!(text, "{}", table("cell", rows, None));
    }
    let swe_rl: Vec<(u64, &Cell)> =
        (0u64..).zip(&cells).filter(|(_, (swe, _))| *swe).map(|(s, (_, cell))| (s, cell)).collect();
    let each = instances.div_ceil(10);
    let cases: Vec<Case> = swe_rl
        .iter()
        .flat_map(|(stream, cell)| (0..each as u64).map(|n| draw(cell, seed, *stream, n)))
        .collect();
    let _ = writeln!(text, "## Smaller budgets, SWE-RL-like cells\n");
    text.push_str(&budgets(&cases, 1, seed, out)?);
    fs::write(out.join("simulated.md"), &text)?;
    Ok(text)
}

/// 1, 2, 5, 10, 20, 50, … below `max`, then `max`.
fn steps(max: usize) -> Vec<usize> {
    let mut steps: Vec<usize> = (0..6u32)
        .flat_map(|power| [1, 2, 5].map(|factor| factor * 10usize.pow(power)))
        .filter(|&step| step < max)
        .collect();
    steps.push(max);
    steps
}

/// Tables and plots over samples (all scripts) and over scripts (all samples).
fn budgets(cases: &[Case], repeats: usize, seed: u64, out: &Path) -> Result<String> {
    fs::create_dir_all(out)?;
    let most = cases.iter().map(|case| case.candidates.len()).max().unwrap_or(0);
    let scripts = cases.iter().map(|case| measure::script_names(case).len()).max().unwrap_or(0);
    let at = |samples: usize, tests: usize| {
        let one = |index: usize| {
            let random = &mut Random::new(seed, &[2000, index as u64]);
            Score::of(&subsample(&cases[index % cases.len()], samples, tests, random))
        };
        total(cases.len() * repeats, one, Score::add)
    };
    let over_samples: Vec<Point> = steps(most).into_iter().map(|n| (n, at(n, scripts))).collect();
    let mut tests = steps(scripts);
    if scripts > 0 {
        tests.insert(0, 0);
    }
    let over_tests: Vec<Point> = tests.into_iter().map(|m| (m, at(most, m))).collect();
    let mut text = String::new();
    for (axis, file, points) in
        [("samples", "samples.svg", &over_samples), ("scripts", "scripts.svg", &over_tests)]
    {
        let title = format!("Solved by policy over {axis}");
        fs::write(out.join(file), plot(&title, axis, points))?;
        let rows: Vec<(String, Score)> = points.iter().map(|(n, s)| (n.to_string(), *s)).collect();
        let _ = writeln!(text, "{}\n![{title}]({file})\n", table(axis, &rows, Some(repeats)));
    }
    Ok(text)
}

fn stop(instances: usize, seed: u64, out: &Path) -> Result<String> {
    fs::create_dir_all(out)?;
    let cells: Vec<(u64, Cell)> =
        (0u64..).zip(grid()).filter(|(_, (swe, _))| *swe).map(|(s, (_, cell))| (s, cell)).collect();
    let one = |index: usize| {
        let (stream, cell) = &cells[index % cells.len()];
        vec![Course::new(&draw(cell, seed, *stream, (index / cells.len()) as u64))]
    };
    let courses = total(cells.len() * instances, one, Vec::extend);
    let text = adaptive::report(&courses);
    fs::write(out.join("stop.md"), &text)?;
    Ok(text)
}
