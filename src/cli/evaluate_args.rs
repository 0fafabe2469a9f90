//! What `agent evaluate` takes.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::cli::args::{SelectArgs, SettingsArgs};
use crate::evaluate::{Again, Rules};

const RULES_HELP: &str = "\
By the rules of a harness a row needs the columns of SWE-bench 5 (`eval_script`, `log_parser`) and
the docker sandbox. harness-4.1 runs the row's `eval_script` as it stands: 4.1.0 makes its script
from tables of its own, so give rows that hold that one. evaluation/grading.md lists what differs.";

#[derive(Debug, Args)]
#[command(after_help = RULES_HELP)]
pub(crate) struct EvaluateArgs {
    /// Dataset: sample, packages, verified, lite, full, owner/name of the Hugging Face hub, or a
    /// .jsonl, .json or .parquet file
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: String,
    /// Predictions (.jsonl or .json), or `gold` for the reference patches
    #[arg(short, long, value_name = "FILE")]
    pub(crate) predictions: PathBuf,
    /// Directory of the report [default: graded, beside the predictions; graded-RULES by the
    /// rules of a harness]
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    output: Option<PathBuf>,
    /// By whose rules: mistakes of the official harness are mended, or kept
    #[arg(long, value_enum, default_value = "agent")]
    rules: RulesName,
    /// Verdicts exactly as the official harness 5.0.2 gives them; short for
    /// --rules harness-5.0.2
    #[arg(long, conflicts_with = "rules")]
    compat: bool,
    /// Make earlier verdicts of this kind anew (repeatable); infrastructure failures always are,
    /// all others are taken while patch, row and rules are the same
    #[arg(long, value_enum, value_name = "KIND")]
    again: Vec<AgainKind>,
    /// Run all tests again; short for --again all
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

impl EvaluateArgs {
    /// By whose rules.
    pub(crate) fn rules(&self) -> Rules {
        match self.rules {
            _ if self.compat => Rules::Harness5,
            RulesName::Agent => Rules::Ours,
            RulesName::Harness5 => Rules::Harness5,
            RulesName::Harness4 => Rules::Harness4,
        }
    }

    /// Where the report goes. Other rules than ours have a folder of their own, so that neither
    /// replaces the other's verdicts.
    pub(crate) fn out(&self) -> PathBuf {
        let name = match self.rules() {
            Rules::Ours => "graded".to_owned(),
            rules => format!("graded-{}", rules.name()),
        };
        let beside = self.predictions.parent().unwrap_or(Path::new("")).join(name);
        self.output.clone().unwrap_or(beside)
    }

    /// Which earlier verdicts are made anew.
    pub(crate) fn again(&self) -> Vec<Again> {
        if self.fresh {
            return vec![Again::All];
        }
        let kind = |kind: &AgainKind| match kind {
            AgainKind::Infra => Again::Infra,
            AgainKind::Harness => Again::Harness,
            AgainKind::Timeout => Again::Timeout,
            AgainKind::Error => Again::Error,
            AgainKind::Unresolved => Again::Unresolved,
            AgainKind::Resolved => Again::Resolved,
            AgainKind::All => Again::All,
        };
        self.again.iter().map(kind).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RulesName {
    /// The harness's, with its mistakes mended
    Agent,
    /// Those of SWE-bench's harness 5.0.2
    #[value(name = "harness-5.0.2")]
    Harness5,
    /// Those of SWE-bench's harness 4.1.0
    #[value(name = "harness-4.1")]
    Harness4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AgainKind {
    /// The infrastructure failed
    Infra,
    /// The gold tests could not be set up
    Harness,
    /// The tests ran past their limit
    Timeout,
    /// No verdict about the tests, whatever the cause
    Error,
    /// The tests say no
    Unresolved,
    /// The tests say yes
    Resolved,
    /// Everything
    All,
}
