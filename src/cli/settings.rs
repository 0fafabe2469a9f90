//! From what was typed and what the environment says to settings.

use std::path::PathBuf;

use toml::Value;

use crate::cli::args::SettingsArgs;
use crate::cli::error::CliError;
use crate::cli::limit_args::BudgetArgs;
use crate::config::{Config, DEFAULT, Layers, Origin};
use crate::llm::Secret;

/// Resolved settings with the origin of each value.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) layers: Layers,
    pub(crate) api_key: Option<Secret>,
}

/// Environment variables that are settings, and their keys.
const VARIABLES: [(&str, &str); 3] = [
    ("AGENT_BASE_URL", "model.base_url"),
    ("AGENT_MODEL", "model.name"),
    ("AGENT_SEED", "run.seed"),
];

impl Settings {
    /// Layers: built-in, `base` (the settings of an existing run), files, environment, `--set`,
    /// flags.
    pub(crate) fn resolve(
        args: &SettingsArgs,
        base: Option<(&serde_json::Value, PathBuf)>,
    ) -> Result<Self, CliError> {
        Self::within(args, &BudgetArgs::default(), base)
    }

    /// As [`Settings::resolve`], for a command that can be given a budget.
    pub(crate) fn within(
        args: &SettingsArgs,
        budget: &BudgetArgs,
        base: Option<(&serde_json::Value, PathBuf)>,
    ) -> Result<Self, CliError> {
        let mut layers = Layers::built_in(DEFAULT);
        if let Some((record, path)) = base {
            inherit(&mut layers, record, &path)?;
        }
        for file in &args.config {
            layers.file(file)?;
        }
        environment(&mut layers)?;
        for assignment in &args.set {
            layers.set(assignment)?;
        }
        flags(&mut layers, args, budget)?;
        let config = Config::resolve(&layers)?;
        Ok(Self { config, layers, api_key: api_key() })
    }

    /// One line a setting: key, value, origin.
    pub(crate) fn show(&self) -> String {
        self.layers
            .iter()
            .map(|(key, value, origin)| format!("{key} = {value}  # {origin}\n"))
            .collect()
    }

    /// For `run.json`.
    pub(crate) fn record(&self) -> serde_json::Value {
        let entries = self.layers.iter().map(|(key, value, origin)| {
            let value = serde_json::to_value(value).unwrap_or_default();
            (key.to_owned(), serde_json::json!({"value": value, "origin": origin.to_string()}))
        });
        serde_json::Value::Object(entries.collect())
    }
}

/// Settings of the run that a stage command works on, as far as this version still knows them.
fn inherit(
    layers: &mut Layers,
    record: &serde_json::Value,
    path: &std::path::Path,
) -> Result<(), CliError> {
    let Some(entries) = record.as_object() else { return Ok(()) };
    // A deadline is one process's own.
    for (key, entry) in entries.iter().filter(|(key, _)| *key != "run.deadline") {
        let Some(value) = entry.get("value") else { continue };
        let Ok(value) = Value::try_from(value) else { continue };
        if layers.value(key).is_some() && layers.value(key) != Some(&value) {
            layers.assign(key, value, Origin::Run(path.to_owned()))?;
        }
    }
    Ok(())
}

fn environment(layers: &mut Layers) -> Result<(), CliError> {
    let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let names = ["OPENAI_API_BASE", "OPENAI_BASE_URL"];
    if let (Some(old), Some(new)) = (get(names[0]), get(names[1]))
        && old.trim_end_matches('/') != new.trim_end_matches('/')
    {
        return Err(CliError::usage(format!(
            "OPENAI_API_BASE ({old}) and OPENAI_BASE_URL ({new}) name different endpoints"
        ))
        .hint("unset one of them, or say which with --base-url"));
    }
    for name in names {
        if let Some(value) = get(name) {
            layers.assign_text("model.base_url", &value, Origin::Env(name.to_owned()))?;
        }
    }
    for (name, key) in VARIABLES {
        if let Some(value) = get(name) {
            layers.assign_text(key, &value, Origin::Env(name.to_owned()))?;
        }
    }
    Ok(())
}

fn api_key() -> Option<Secret> {
    ["AGENT_API_KEY", "OPENAI_API_KEY"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.trim().is_empty())
        .map(Secret::new)
}

fn flags(layers: &mut Layers, args: &SettingsArgs, budget: &BudgetArgs) -> Result<(), CliError> {
    let mut set = |key: &str, flag: &str, value: Option<Value>| match value {
        Some(value) => layers.assign(key, value, Origin::Flag(flag.to_owned())),
        None => Ok(()),
    };
    let text = |value: &Option<String>| value.clone().map(Value::String);
    let path = |value: &Option<PathBuf>| {
        value.as_ref().map(|path| Value::String(path.to_string_lossy().into_owned()))
    };
    let number = |value: Option<u32>| value.map(|number| Value::Integer(number.into()));
    set("repos.dir", "--repos", path(&args.repos))?;
    set("prompts.dir", "--prompts", path(&args.prompts))?;
    set("dataset.image_template", "--image-template", text(&args.image_template))?;
    set("run.sandbox", "--sandbox", text(&args.sandbox))?;
    let list = |values: &[String]| {
        let values = values.iter().cloned().map(Value::String).collect::<Vec<_>>();
        (!values.is_empty()).then_some(Value::Array(values))
    };
    set("sandbox.docker_hosts", "--docker-host", list(&args.docker_hosts))?;
    set("model.name", "--model", text(&args.model))?;
    set("model.base_url", "--base-url", text(&args.base_url))?;
    set("localize.localizer", "--localizer", text(&args.localizer))?;
    set("localize.embeddings_url", "--embeddings-url", text(&args.embeddings_url))?;
    set("localize.embeddings_model", "--embeddings-model", text(&args.embeddings_model))?;
    set("run.localization", "--localization", path(&args.localization))?;
    set("run.regression_tests", "--regression-files", path(&args.regression_files))?;
    set("rerank.policy", "--policy", text(&args.policy))?;
    set("repair.samples", "--samples", number(args.samples))?;
    set("reproduce.samples", "--tests", number(args.tests))?;
    set("adaptive.confidence", "--confidence", args.confidence.map(Value::Float))?;
    set("run.seed", "--seed", number(args.seed))?;
    let limits = &args.limits;
    set("run.sessions", "--jobs", number(limits.jobs))?;
    set("model.concurrency", "--concurrency", number(limits.concurrency))?;
    set("model.max_requests", "--max-requests", number(limits.max_requests))?;
    let tokens = budget.max_tokens_total.map(i64::try_from).transpose();
    let tokens = tokens.map_err(|_| CliError::usage("--max-tokens-total is too large"))?;
    set("model.max_tokens_total", "--max-tokens-total", tokens.map(Value::Integer))?;
    set("run.deadline", "--deadline", text(&budget.deadline))?;
    set("repair.temperature", "--temperature", args.temperature.map(Value::Float))?;
    set("reproduce.temperature", "--temperature", args.temperature.map(Value::Float))?;
    Ok(())
}
