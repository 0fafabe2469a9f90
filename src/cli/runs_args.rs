//! Arguments of the commands that compare, join and replay run directories.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::artifact::InstanceId;
use crate::cli::args::{SelectArgs, SettingsArgs};

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// Run directory, the one before
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// Run directory, the one after
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,
    /// Grade report of A: a directory with report.json, or the file [default: A/graded, if there]
    #[arg(long, value_name = "DIR")]
    pub(crate) grades_a: Option<PathBuf>,
    /// Grade report of B [default: B/graded, if there]
    #[arg(long, value_name = "DIR")]
    pub(crate) grades_b: Option<PathBuf>,
    /// Only this instance; repeatable
    #[arg(short, long = "instance", value_name = "ID")]
    pub(crate) instances: Vec<InstanceId>,
    /// Exit with 1 if anything differs
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// Run directories
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    pub(crate) runs: Vec<PathBuf>,
    /// Directory of the joined run; new or empty
    #[arg(short = 'o', long = "run", value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Whose result to take of an instance that several runs finished differently
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) prefer: Option<Prefer>,
    /// Join runs although settings that decide results differ; run.json records which
    #[arg(long)]
    pub(crate) allow_different: bool,
}

/// Which of the runs named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Prefer {
    /// The one named first
    First,
    /// The one named last
    Last,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Run directory with journals
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Directory of the new run; new or empty [default: RUN-replay, with a number if that is there]
    #[arg(short = 'o', long = "run", value_name = "OUT")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}
