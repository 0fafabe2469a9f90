//! What can be typed after `agent report` and `agent pack`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Run directory; it need not be finished
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// The page [default: RUN/report.html]
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What `agent evaluate -o DIR` wrote [default: RUN/graded, if it is there]
    #[arg(long, value_name = "DIR")]
    pub(crate) grades: Option<PathBuf>,
    /// Give one setting another value than the run had, such as prices.prompt=0.27
    #[arg(long = "set", value_name = "A.B=V")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    /// Run directory
    #[arg(value_name = "RUN", required_unless_present = "validate", requires = "output")]
    pub(crate) run: Option<PathBuf>,
    /// The package: a new or an empty directory
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// What `agent evaluate -o DIR` wrote [default: RUN/graded, if it is there]
    #[arg(long, value_name = "DIR")]
    pub(crate) grades: Option<PathBuf>,
    /// A filled metadata.yaml; without it one with TODO where a person must say something
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata: Option<PathBuf>,
    /// Let TODO stand
    #[arg(long)]
    pub(crate) draft: bool,
    /// Check a package that is there, and write nothing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "output", "grades", "metadata"])]
    pub(crate) validate: Option<PathBuf>,
}
