//! What `agent` would show of ranked files: for each instance, budget and strategy the lines of the
//! context, and the blocks of files with their descriptions. It reads no reference patch; the
//! Python files beside it join gold data. README.md in this folder says what to type.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agent::context::{self, ContextFile};
use agent::llm::TokenCounter;
use agent::repo::{self, Checkout};
use agent::retrieval::{self, SourceFile};
use agent::source;
use clap::{Args, Parser, Subcommand};
use serde::Deserialize;
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
#[command(name = "contexts", about = "What `agent` would show of ranked files")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lines shown, for each instance, budget and strategy: one JSON line each
    Curve {
        #[command(flatten)]
        rows: Rows,
        /// Budgets in tokens
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "2000,4000,8000,16000,32000,64000,128000"
        )]
        budgets: Vec<usize>,
        /// STRATEGY:FILES to compare: mini (whole files in order) or ours (by expected gain), with
        /// the most files shown
        #[arg(long, value_delimiter = ',', default_value = "mini:20,mini:5,ours:10,ours:5")]
        strategies: Vec<Strategy>,
        /// A tokenizer.json to count with; without one, bytes / 3.3
        #[arg(long, value_name = "FILE")]
        tokenizer: Option<PathBuf>,
    },
    /// Every block of the first files of each list with its features, for fit_places.py
    Describe {
        #[command(flatten)]
        rows: Rows,
        /// Files of each list
        #[arg(long, default_value_t = 12)]
        files: usize,
    },
}

#[derive(Debug, Args)]
struct Rows {
    /// SWE-bench rows, JSON lines
    rows: PathBuf,
    /// Directory of repositories
    #[arg(long, value_name = "DIR")]
    repos: PathBuf,
    /// Ranked lists, as `agent localize ROWS --no-model -o FILE` writes them
    #[arg(long, value_name = "FILE")]
    lists: PathBuf,
}

#[derive(Debug, Clone, Copy)]
struct Strategy {
    with_places: bool,
    files: usize,
}

impl std::str::FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let expected = || format!("{text:?} is not mini:FILES or ours:FILES");
        let (name, files) = text.split_once(':').ok_or_else(expected)?;
        let with_places = match name {
            "ours" => true,
            "mini" => false,
            _ => return Err(expected()),
        };
        Ok(Self { with_places, files: files.parse().map_err(|_| expected())? })
    }
}

/// A row without anything that a fix would give away.
#[derive(Deserialize)]
struct Row {
    instance_id: String,
    repo: String,
    base_commit: String,
    problem_statement: String,
}

#[derive(Deserialize)]
struct Ranked {
    instance_id: String,
    ranked: Vec<String>,
}

fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|error| format!("{}:{number}: {error}", path.display()).into())
        })
        .collect()
}

/// Calls `work` for each row that has a list, with the texts of its first `most` files.
fn each(
    rows: &Rows,
    most: usize,
    mut work: impl FnMut(&Row, Vec<SourceFile>) -> Result<()>,
) -> Result<()> {
    let lists = lines::<Ranked>(&rows.lists)?.into_iter().map(|row| (row.instance_id, row.ranked));
    let lists = lists.collect::<HashMap<_, _>>();
    for row in lines::<Row>(&rows.rows)? {
        let Some(ranked) = lists.get(&row.instance_id) else { continue };
        let path = repo::find(&rows.repos, &row.repo)
            .ok_or_else(|| format!("{} is not in {}", row.repo, rows.repos.display()))?;
        let checkout = Checkout::open(&path, &row.base_commit)?;
        let mut files = Vec::new();
        for path in ranked.iter().take(most) {
            let Some(bytes) = checkout.read(path)? else { continue };
            let Some(text) = source::decode(&bytes) else { continue };
            files.push(SourceFile { path: path.clone(), text: text.into_owned() });
        }
        work(&row, files)?;
    }
    Ok(())
}

fn curve(
    rows: &Rows,
    budgets: &[usize],
    strategies: &[Strategy],
    tokens: &TokenCounter,
    out: &mut impl Write,
) -> Result<()> {
    let most = strategies.iter().map(|strategy| strategy.files * 2).max().unwrap_or(0);
    each(rows, most, |row, files| {
        let found = retrieval::places(&row.problem_statement, &files, 24);
        let with = files.iter().zip(found).map(|(file, places)| ContextFile {
            path: file.path.clone(),
            text: file.text.clone(),
            places,
        });
        let with = with.collect::<Vec<_>>();
        let without = with.iter().map(|file| ContextFile { places: Vec::new(), ..file.clone() });
        let without = without.collect::<Vec<_>>();
        for strategy in strategies {
            let files = if strategy.with_places { &with } else { &without };
            let files = &files[..files.len().min(strategy.files * 2)];
            for budget in budgets {
                let count = |text: &str| tokens.count(text);
                let issue = &row.problem_statement;
                let context = context::select(files, issue, strategy.files, *budget, &count);
                let shown = context.shown.iter().zip(&context.lines).collect::<BTreeMap<_, _>>();
                let name = if strategy.with_places { "ours" } else { "mini" };
                let line = json!({
                    "instance_id": row.instance_id,
                    "strategy": format!("{name}:{}", strategy.files),
                    "budget": budget,
                    "tokens": tokens.count(&context.text),
                    "shown": shown,
                });
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    })
}

fn describe(rows: &Rows, files: usize, out: &mut impl Write) -> Result<()> {
    each(rows, files, |row, files| {
        let described = retrieval::describe(&row.problem_statement, &files);
        let files = files.iter().zip(described).map(|(file, blocks)| {
            let blocks = blocks.iter().map(|block| {
                let [first, last] = block.place.lines;
                json!([first, last, block.place.name, block.place.score, block.features.to_vec()])
            });
            json!({"path": file.path, "blocks": blocks.collect::<Vec<_>>()})
        });
        let line = json!({
            "instance_id": row.instance_id,
            "features": retrieval::PLACE_FEATURES,
            "files": files.collect::<Vec<_>>(),
        });
        Ok(writeln!(out, "{line}")?)
    })
}

fn work(arguments: &Arguments) -> Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match &arguments.command {
        Command::Curve { rows, budgets, strategies, tokenizer } => {
            let tokens = match tokenizer {
                Some(path) => TokenCounter::from_file(path)?,
                None => TokenCounter::estimate(),
            };
            curve(rows, budgets, strategies, &tokens, &mut out)?;
        }
        Command::Describe { rows, files } => describe(rows, *files, &mut out)?,
    }
    Ok(out.flush()?)
}

fn main() -> ExitCode {
    match work(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
