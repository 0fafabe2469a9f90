//! `agent rerank`: chooses again from `candidates.jsonl` and `executions.jsonl` alone, so that any
//! policy can be tried on any run, and candidates of another system can be ranked.

use std::process::ExitCode;

use crate::artifact::{Execution, InstanceId, InstanceOutcome, Prediction, Stage};
use crate::cli::args::{OutputArgs, StageArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::select;
use crate::cli::settings::Settings;
use crate::cli::{print, print_json};
use crate::stage::rerank::rerank as choose;
use crate::store::{InstanceDir, RunDir};

pub(crate) fn rerank(args: &StageArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let run = RunDir::create(&args.run)?;
    let record = run.record()?;
    let base = record.as_ref().map(|record| (&record.settings, args.run.join("run.json")));
    let settings = Settings::resolve(&args.settings, base)?;
    if args.settings.show_config {
        print(&settings.show())?;
        return Ok(ExitCode::SUCCESS);
    }
    let ids = ids(&args.run, record.as_ref().map(|record| record.instances.as_slice()))?;
    select::tell(&args.select, output);
    let selector = select::Selector::new(&args.select)?;
    let ids: Vec<InstanceId> = ids.into_iter().filter(|id| selector.matches(id)).collect();
    if ids.is_empty() {
        return Err(CliError::new(
            Kind::Nothing,
            format!("{} holds no candidates.jsonl", args.run.display()),
        )
        .hint("expected RUN/<instance_id>/candidates.jsonl"));
    }
    let model = run
        .predictions()?
        .first()
        .map_or_else(|| "agent".to_owned(), |row| row.model_name_or_path.clone());
    let mut predictions = Vec::new();
    let mut chosen = Vec::new();
    for id in &ids {
        let dir = run.view(id)?;
        let ranking = one(&dir, &settings)?;
        let patch = dir.candidates()?.into_iter().find(|c| Some(c.id) == ranking.chosen);
        chosen.push(serde_json::json!({"instance_id": id, "chosen": ranking.chosen}));
        predictions.push(Prediction {
            instance_id: id.clone(),
            model_name_or_path: model.clone(),
            model_patch: patch.map(|candidate| candidate.patch).unwrap_or_default(),
        });
    }
    run.change_predictions(|rows| merge(rows, predictions))?;
    if output.json {
        print_json(&chosen)?;
    } else {
        let name = settings.config.rerank.policy.name();
        crate::cli::say(&format!("{} instances ranked by {name}", ids.len()));
    }
    Ok(ExitCode::SUCCESS)
}

fn one(dir: &InstanceDir, settings: &Settings) -> Result<crate::artifact::Ranking, CliError> {
    let start = std::time::Instant::now();
    let executions: Vec<Execution> = dir.executions()?;
    let ranking = choose(&settings.config.rerank, &dir.candidates()?, &executions);
    dir.save_ranking(&ranking)?;
    dir.save_outcome(&match ranking.chosen {
        Some(_) => InstanceOutcome::Solved,
        None => InstanceOutcome::NoCandidate,
    })?;
    // The input is not the pipeline's: a later `agent run` under other settings ranks again.
    let input = format!("agent rerank --policy {}", ranking.policy);
    dir.finish(Stage::Rerank, &input, start.elapsed().as_secs_f64(), "ranked by itself")?;
    Ok(ranking)
}

/// The run's instances, or every directory that holds candidates.
fn ids(path: &std::path::Path, known: Option<&[InstanceId]>) -> Result<Vec<InstanceId>, CliError> {
    let with_candidates =
        |id: &InstanceId| path.join(id.as_str()).join("candidates.jsonl").exists();
    if let Some(known) = known {
        return Ok(known.iter().filter(|id| with_candidates(id)).cloned().collect());
    }
    let entries =
        std::fs::read_dir(path).map_err(|error| CliError::from_error(Kind::Usage, error))?;
    let mut ids: Vec<InstanceId> = entries
        .filter_map(|entry| InstanceId::new(entry.ok()?.file_name().into_string().ok()?).ok())
        .filter(with_candidates)
        .collect();
    ids.sort();
    Ok(ids)
}

/// New predictions take the place of old ones; those of other instances stay.
fn merge(mut rows: Vec<Prediction>, new: Vec<Prediction>) -> Vec<Prediction> {
    for prediction in new {
        match rows.iter_mut().find(|row| row.instance_id == prediction.instance_id) {
            Some(row) => *row = prediction,
            None => rows.push(prediction),
        }
    }
    let mut seen = std::collections::HashSet::new();
    rows.retain(|row| seen.insert(row.instance_id.clone()));
    rows
}
