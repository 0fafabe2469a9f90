//! What can be typed. Parsing validates and never does anything.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::artifact::{InstanceId, LogFormat};
use crate::cli::evaluate_args::EvaluateArgs;
use crate::cli::index_args::IndexCommand;
use crate::cli::limit_args::{BudgetArgs, LimitArgs};
use crate::cli::look_args::{CompletionsArgs, ManArgs, StatusArgs};
use crate::cli::pack_args::{PackArgs, ReportArgs};
use crate::cli::runs_args::{DiffArgs, MergeArgs, ReplayArgs};
use crate::cli::serve_args::RewardCommand;
use crate::cli::shard::{self, Shard};
use crate::images::Variable;

/// Turns a repository and an issue text into a tested patch, without an agent loop.
#[derive(Debug, Parser)]
#[command(name = "agent", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

const EXAMPLES: &str = "\
Examples:
  agent solve --instance sample__ledgerly-1          a bundled sample, replayed without a model
  agent solve --repo . --issue issue.md --apply      a bug of your own
  agent run rows.jsonl -o runs/a -j 4                a benchmark, resumable
  agent evaluate rows.jsonl -p runs/a/predictions.jsonl
  agent explain runs/a django__django-11099
  agent report runs/a                                one page for a browser, offline

Exit codes: 0 done; 1 done, some instances without a patch or failed; 2 usage or settings;
3 environment (endpoint, containers, disk); 4 nothing selected; 130 interrupted.";

/// How commands talk.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArgs {
    /// Print machine-readable output: one document, or one event a line for runs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print failures only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print every model reply and every test
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) color: ColorChoice,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Solve one issue; the patch goes to standard output
    Solve(SolveArgs),
    /// Solve many instances of a dataset; resumable
    Run(RunArgs),
    /// Rank files: one stage over a run directory, or retrieval alone over a dataset
    Localize(LocalizeArgs),
    /// Draw repair candidates: one stage over a run directory
    Repair(StageArgs),
    /// Draw reproduction tests and try them on the base commit: one stage over a run directory
    Reproduce(StageArgs),
    /// Run tests on candidates: one stage over a run directory
    Execute(StageArgs),
    /// Choose candidates: one stage over a run directory; needs candidates and executions only
    Rerank(StageArgs),
    /// Grade predictions with a benchmark's own tests
    Evaluate(EvaluateArgs),
    /// Score predicted changes by SWE-RL's reward: JSON lines in, JSON lines out
    Reward(RewardArgs),
    /// Say why a patch won, or where a run lost its samples
    Explain(ExplainArgs),
    /// Write a run as one HTML file that opens offline
    Report(ReportArgs),
    /// Pack a run for the SWE-bench leaderboard, or check such a package
    Pack(PackArgs),
    /// Show how far a run is, at work or not; or draw its events again
    Status(StatusArgs),
    /// Compare two runs: which instances differ, and at which stage first
    Diff(DiffArgs),
    /// Join run directories: shards of one run, or a run continued elsewhere
    Merge(MergeArgs),
    /// Make a recorded run anew under other settings, without a model and without a sandbox
    Replay(ReplayArgs),
    /// Make, check and remove images
    #[command(subcommand)]
    Images(ImagesCommand),
    /// Build, ask and measure what is kept of repositories to rank their files
    #[command(subcommand)]
    Index(IndexCommand),
    /// List datasets, or say what rows lack for which stage
    #[command(subcommand)]
    Dataset(DatasetCommand),
    /// Check endpoint, sandbox, disk and dataset
    Doctor(DoctorArgs),
    /// Print a script that completes commands and options in a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write a page for each command
    Man(ManArgs),
    /// Clean up after a process that was killed; started by the program itself
    #[command(name = crate::cli::reaper::COMMAND, hide = true)]
    Reap,
}

/// Settings that most commands take; every one of them is also a key for `--set` and `--config`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingsArgs {
    /// Read settings from a TOML file; later files win
    #[arg(long = "config", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Give one setting a value, such as repair.samples=20
    #[arg(long = "set", value_name = "A.B=V")]
    pub(crate) set: Vec<String>,
    /// Directory of repositories (owner__name or owner__name.git)
    #[arg(long, value_name = "DIR")]
    pub(crate) repos: Option<PathBuf>,
    /// Image name for rows that name none; {instance_id} and {id_1776} are replaced
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) image_template: Option<String>,
    /// Where code runs: auto, docker or local
    #[arg(long, value_name = "KIND")]
    pub(crate) sandbox: Option<String>,
    /// Container engine: unix://, tcp:// or ssh:// address; repeatable, work is spread over several
    #[arg(long = "docker-host", value_name = "URL")]
    pub(crate) docker_hosts: Vec<String>,
    /// Model name; without it the endpoint's only model is taken
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// OpenAI-compatible endpoint, such as http://localhost:8000/v1
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Repair samples
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<u32>,
    /// Reproduction-test samples
    #[arg(long, value_name = "N")]
    pub(crate) tests: Option<u32>,
    /// Sampling temperature of repair and reproduction tests
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f64>,
    /// Stop drawing samples once the choice is this sure not to get better; 1 draws all
    #[arg(long, value_name = "P")]
    pub(crate) confidence: Option<f64>,
    /// Seed of the run
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u32>,
    /// Directory of prompts that override the built-in ones
    #[arg(long, value_name = "DIR")]
    pub(crate) prompts: Option<PathBuf>,
    /// How files are ranked: fused, retrieval, model, mini, or oracle (the reference fix's files)
    #[arg(long, value_name = "KIND")]
    pub(crate) localizer: Option<String>,
    /// Server of embeddings, whose list joins the ranking of files, such as http://localhost:8001/v1
    #[arg(long, value_name = "URL")]
    pub(crate) embeddings_url: Option<String>,
    /// Its model; without it the server's only model is taken
    #[arg(long, value_name = "NAME")]
    pub(crate) embeddings_model: Option<String>,
    /// Take ranked lists made elsewhere: JSON lines as `agent localize D --no-model` writes them
    #[arg(long, value_name = "FILE")]
    pub(crate) localization: Option<PathBuf>,
    /// Run these of the repository's tests against regressions instead of choosing them: paths of test
    /// files, one a line, or JSON lines an instance
    #[arg(long, value_name = "FILE")]
    pub(crate) regression_files: Option<PathBuf>,
    /// How candidates are chosen: mini or majority
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// Print every setting with its value and origin, and stop
    #[arg(long)]
    pub(crate) show_config: bool,
    // Last, since its heading would go on.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Where a run lies and where its model replies come from.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// Run directory [default: runs/<UTC time>]
    #[arg(short = 'o', long = "run", value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
    /// Ask no model: take replies from this journal (file or directory), or from the run's own
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "absent, without a value, with a value")]
    pub(crate) replay: Option<Option<PathBuf>>,
    /// Say what would be done, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["instance", "repo"]))]
pub(crate) struct SolveArgs {
    /// Instance of the dataset
    #[arg(long, value_name = "ID")]
    pub(crate) instance: Option<String>,
    /// Dataset: sample, packages, verified, lite, full, owner/name of the Hugging Face hub, or a
    /// .jsonl, .json or .parquet file [default: sample]
    #[arg(long, value_name = "D", requires = "instance")]
    pub(crate) dataset: Option<String>,
    /// Your own repository
    #[arg(long, value_name = "PATH", requires = "issue")]
    pub(crate) repo: Option<PathBuf>,
    /// Issue text: a file, - for standard input, or a GitHub issue's URL
    #[arg(long, value_name = "FILE|-|URL", requires = "repo")]
    pub(crate) issue: Option<String>,
    /// Commit to work on
    #[arg(long, value_name = "REV", default_value = "HEAD", requires = "repo")]
    pub(crate) rev: String,
    /// Apply the patch to the repository's work tree
    #[arg(long, requires = "repo")]
    pub(crate) apply: bool,
    /// Image with the repository in /testbed
    #[arg(long, value_name = "IMAGE", requires = "repo")]
    pub(crate) image: Option<String>,
    /// Command that installs the repository, for an environment made from its tree
    #[arg(long, value_name = "COMMAND", requires = "repo")]
    pub(crate) install: Option<String>,
    /// Command that runs test files, which are appended to it; found from the repository's files if
    /// it is not given, none if it is empty
    #[arg(long, value_name = "COMMAND", requires = "repo")]
    pub(crate) test_command: Option<String>,
    /// How the test command's output is read: pytest, unittest, junit (XML that the command prints or
    /// writes to the file $JUNIT_XML), django, ... [default: pytest]
    #[arg(long, visible_alias = "log-parser", value_name = "FORMAT", requires = "test_command",
          value_parser = log_format)]
    pub(crate) log_format: Option<LogFormat>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectArgs {
    /// Only this instance; repeatable
    #[arg(short, long = "instance", value_name = "ID")]
    pub(crate) instances: Vec<String>,
    /// Only instances whose id matches
    #[arg(long, value_name = "REGEX")]
    pub(crate) filter: Option<String>,
    /// Only the K-th of N parts, by a stable hash of the id, K from 1; or what the scheduler says of
    /// this task: slurm (SLURM_ARRAY_TASK_ID), kubernetes (JOB_COMPLETION_INDEX) or auto, each also
    /// with the number of parts, such as slurm/8 for the tasks 0 to 7
    #[arg(long, value_name = "K/N|auto|slurm|kubernetes", value_parser = shard::parse)]
    pub(crate) shard: Option<Shard>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Dataset: sample, packages, verified, lite, full, owner/name of the Hugging Face hub, or a
    /// .jsonl, .json or .parquet file
    #[arg(default_value = "sample", value_name = "DATASET")]
    pub(crate) dataset: String,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StageArgs {
    /// Run directory
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Ask no model: take replies from this journal, or from the run's own
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "absent, without a value, with a value")]
    pub(crate) replay: Option<Option<PathBuf>>,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LocalizeArgs {
    /// Run directory; with --no-model a dataset
    #[arg(value_name = "RUN|DATASET")]
    pub(crate) target: String,
    /// Rank the files of a dataset's instances by retrieval alone: one JSON line an instance
    #[arg(long)]
    pub(crate) no_model: bool,
    /// Where --no-model writes [default: standard output]
    #[arg(short = 'o', long = "output", value_name = "FILE", requires = "no_model")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Ask no model: take replies from this journal, or from the run's own
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "absent, without a value, with a value")]
    pub(crate) replay: Option<Option<PathBuf>>,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RewardArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RewardCommand>,
    /// Cases, one JSON object a line; - for standard input
    #[arg(default_value = "-", value_name = "FILE|-")]
    pub(crate) file: String,
    /// Mend the published definition's holes: diffs that cannot be parsed score 0, equal changes
    /// without lines score 1; such results carry the flag `mended`
    #[arg(long)]
    pub(crate) safe: bool,
    /// Longest time for one case; one that takes longer gets an error and no reward
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) deadline: Option<Duration>,
    /// Cases scored at the same time [default: one for each processor]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZero<usize>>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Run directory
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Instance; without it, the whole run: a line for each instance, and where samples were lost
    #[arg(value_name = "ID")]
    pub(crate) instance: Option<InstanceId>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImagesCommand {
    /// Make images: of the dataset `packages`, or of a git tree or source archive
    Build(BuildArgs),
    /// Say which images of a dataset are on this machine
    Check(ImagesArgs),
    /// Pull the images of a dataset that are not on this machine
    Pull(ImagesArgs),
    /// Remove images that `agent` made, and no others; those in use stay
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Dataset: sample, packages, verified, lite, full, owner/name of the Hugging Face hub, or a
    /// .jsonl, .json or .parquet file
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: String,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// `packages`, a git repository, or a source archive (.tar.gz, .zip, directory)
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Commit, for a git repository [default: HEAD]
    #[arg(long, value_name = "REV")]
    pub(crate) rev: Option<String>,
    /// Name of the image, for a git repository or a source archive
    #[arg(long, value_name = "NAME")]
    pub(crate) tag: Option<String>,
    /// Command that installs the tree
    #[arg(long, value_name = "COMMAND", default_value = "python -m pip install -e .")]
    pub(crate) install: String,
    /// Requirement put into the environment first; repeatable
    #[arg(long = "require", value_name = "REQUIREMENT")]
    pub(crate) requirements: Vec<String>,
    /// Image to start from, such as agent-base:bullseye [default: agent-base:bookworm]
    #[arg(long, value_name = "IMAGE")]
    pub(crate) base: Option<String>,
    /// Environment variable of the image and of the install command; repeatable
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<Variable>,
    /// Only this instance of `packages`; repeatable
    #[arg(short, long = "instance", value_name = "ID")]
    pub(crate) instances: Vec<String>,
    /// Build again what is there already
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Datasets that are known by name, and which of them are on this machine
    List,
    /// Fetch a dataset of the Hugging Face hub into the hub's cache, for machines without a network
    Fetch {
        /// verified, lite, full, or owner/name, each with @REVISION, :SPLIT or both after it
        #[arg(value_name = "DATASET")]
        dataset: String,
        #[command(flatten)]
        settings: Box<SettingsArgs>,
    },
    /// What the rows of a dataset lack, and for which stage; -v names all rows
    Check {
        /// Dataset: sample, packages, verified, lite, full, owner/name of the Hugging Face hub, or a
        /// .jsonl, .json or .parquet file
        #[arg(value_name = "DATASET")]
        dataset: String,
        #[command(flatten)]
        settings: Box<SettingsArgs>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Dataset to check as well
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: Option<String>,
    /// The model's context length in tokens, to try what the server does beyond it, where it does not
    /// say so itself
    #[arg(long, value_name = "TOKENS")]
    pub(crate) context: Option<u64>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds, such as 2.5".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("expected seconds above 0, such as 2.5".to_owned()),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    LogFormat::from_name(text)
        .or_else(|| LogFormat::from_parser(text))
        .ok_or_else(|| format!("expected one of {}", LogFormat::names()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
