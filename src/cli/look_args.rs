//! What can be typed after `agent status`, `agent completions` and `agent man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Run directory
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Look again every second until no process is at work on the run
    #[arg(short, long, conflicts_with = "events")]
    pub(crate) watch: bool,
    /// Draw the run's recorded events again, as they were shown
    #[arg(long)]
    pub(crate) events: bool,
    /// Give one setting another value than the run had, such as prices.prompt=0.27
    #[arg(long = "set", value_name = "A.B=V")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command to this directory, which is made if needed
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}
