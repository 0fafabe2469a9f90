//! `agent merge`: several run directories joined into a new one.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::args::OutputArgs;
use crate::cli::commands::stage;
use crate::cli::error::{CliError, Kind};
use crate::cli::runs_args::{MergeArgs, Prefer};
use crate::cli::settings::Settings;
use crate::cli::{args::SettingsArgs, print_json, say, select};
use crate::merge::{self, Input, MergeError, Options};

pub(crate) fn merge(args: &MergeArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let mut inputs = Vec::new();
    for path in &args.runs {
        let (run, record) = stage::open(path)?;
        inputs.push(Input { name: path.display().to_string(), run, record });
    }
    let options = Options {
        prefer_last: args.prefer.map(|which| which == Prefer::Last),
        allow_different: args.allow_different,
        order: order(&inputs[0]),
    };
    let merged = merge::merge(&inputs, &options, &args.out)?;
    for line in &merged.different {
        say(&format!("joined although different: {line}"));
    }
    if output.json {
        let taken: Vec<_> =
            merged.taken.iter().map(|(id, run)| json!({"instance_id": id, "from": run})).collect();
        print_json(&json!({
            "run": args.out, "instances": taken, "different": merged.different,
            "verdicts": merged.verdicts,
        }))?;
    } else if !output.quiet {
        say(&format!("{}: {} instances", args.out.display(), merged.taken.len()));
        for input in &inputs {
            let count = merged.taken.iter().filter(|(_, run)| *run == input.name).count();
            say(&format!("  {count:>5} from {}", input.name));
        }
        for (folder, count) in &merged.verdicts {
            say(&format!(
                "{folder}: {count} verdicts; `agent evaluate` finds them there and writes the report"
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The dataset's order, if the dataset is still there as it was.
fn order(input: &Input) -> Vec<crate::artifact::InstanceId> {
    let record = &input.record;
    let base = (&record.settings, input.run.path().join("run.json"));
    let dataset = Settings::resolve(&SettingsArgs::default(), Some(base)).and_then(|settings| {
        let pinned = record.pinned_dataset.as_ref();
        select::reopen_dataset(&record.dataset, pinned, &settings.config)
    });
    match dataset {
        Ok(dataset) if dataset.digest() == record.dataset_digest => {
            dataset.instances().into_iter().map(|instance| instance.id).collect()
        }
        _ => Vec::new(),
    }
}

impl From<MergeError> for CliError {
    fn from(error: MergeError) -> Self {
        let (kind, hint) = match &error {
            MergeError::Store(crate::store::StoreError::Locked { .. }) => {
                (Kind::Usage, "wait until the work there has ended, or stop it; nothing is lost")
            }
            MergeError::Store(_) => (Kind::Environment, ""),
            MergeError::NotEmpty(_) => (Kind::Usage, "name a new directory with -o"),
            MergeError::Inside { .. } => (Kind::Usage, "name a directory elsewhere with -o"),
            MergeError::Different(_) => (
                Kind::Usage,
                "--allow-different joins them nevertheless and records it in run.json",
            ),
            MergeError::Conflict { .. } => {
                (Kind::Usage, "--prefer first or --prefer last says whose result to take")
            }
        };
        Self::from_error(kind, error).hint_unless_empty(hint)
    }
}
