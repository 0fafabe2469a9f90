//! Settings: a commented `default.toml`, layers over it with the origin of each value, and the
//! structs that the parts of the program read.

mod layers;

use std::path::PathBuf;

use serde::Deserialize;

use crate::llm::Streaming;
use crate::sandbox::{Choice, SandboxConfig};
use crate::stage::execute::ExecuteConfig;
use crate::stage::localize::LocalizeConfig;
use crate::stage::repair::RepairConfig;
use crate::stage::reproduce::ReproduceConfig;
use crate::stage::rerank::{AdaptiveConfig, RerankConfig};

pub use layers::{ConfigError, Layers, Origin};

/// The lowest layer, and the reference manual of settings.
pub const DEFAULT: &str = include_str!("default.toml");

/// All settings, assembled from the structs of their readers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The run as a whole.
    pub run: RunConfig,
    /// The endpoint.
    pub model: ModelConfig,
    /// Prompt files.
    pub prompts: PromptsConfig,
    /// Repositories.
    pub repos: ReposConfig,
    /// Rows.
    pub dataset: DatasetConfig,
    /// What is kept of repositories.
    pub index: IndexConfig,
    /// Sandbox limits and images.
    pub sandbox: SandboxConfig,
    /// The stage of that name.
    pub localize: LocalizeConfig,
    /// The stage of that name.
    pub repair: RepairConfig,
    /// The stage of that name.
    pub reproduce: ReproduceConfig,
    /// The stage of that name.
    pub execute: ExecuteConfig,
    /// The stage of that name.
    pub rerank: RerankConfig,
    /// When sampling ends before its end.
    pub adaptive: AdaptiveConfig,
    /// What tokens cost.
    pub prices: PricesConfig,
    /// Grading.
    pub evaluate: EvaluateConfig,
}

/// The run as a whole. Fields are documented in `default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml documents every field")]
pub struct RunConfig {
    pub localization: PathBuf,
    pub regression_tests: PathBuf,
    pub jobs: usize,
    pub sessions: usize,
    pub deadline: String,
    pub sandbox: Choice,
    pub seed: u64,
    pub name: String,
}

/// The endpoint. Fields are documented in `default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml documents every field")]
pub struct ModelConfig {
    pub base_url: String,
    pub name: String,
    pub timeout: u64,
    pub connect_timeout: u64,
    pub max_attempts: u32,
    pub n_per_request: u32,
    pub concurrency: usize,
    pub adaptive_concurrency: bool,
    pub max_requests: u64,
    pub max_tokens_total: u64,
    pub extra_body: String,
    pub stream: Streaming,
    pub tokenizer: PathBuf,
}

/// Prompt files. Fields are documented in `default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml documents every field")]
pub struct PromptsConfig {
    pub dir: PathBuf,
    pub think: bool,
}

/// Repositories. Fields are documented in `default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml documents every field")]
pub struct ReposConfig {
    pub dir: PathBuf,
    pub url: String,
}

/// Rows. Fields are documented in `default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml documents every field")]
pub struct DatasetConfig {
    pub image_template: String,
}

/// What is kept of repositories. Fields are documented in `default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml documents every field")]
pub struct IndexConfig {
    pub dir: PathBuf,
    pub max_mib: u64,
}

/// What tokens cost. Fields are documented in `default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml documents every field")]
pub struct PricesConfig {
    pub prompt: f64,
    pub cached: f64,
    pub completion: f64,
}

/// Grading. Fields are documented in `default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "default.toml documents every field")]
pub struct EvaluateConfig {
    pub timeout: u64,
}

impl Config {
    /// Reads the layers as settings and checks what types alone cannot.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] names the setting and who gave its value.
    pub fn resolve(layers: &Layers) -> Result<Self, ConfigError> {
        let config: Self = serde_path_to_error::deserialize(toml::Value::Table(layers.table()))
            .map_err(|error| {
                let key = error.path().to_string();
                let detail = error.inner().to_string();
                invalid(layers, &key, detail.lines().next().unwrap_or_default())
            })?;
        config.check(layers)?;
        Ok(config)
    }

    fn check(&self, layers: &Layers) -> Result<(), ConfigError> {
        let temperature = |key: &str, value: f32| {
            if (0.0..=10.0).contains(&value) {
                Ok(())
            } else {
                Err(invalid(layers, key, "expected a temperature from 0 to 10"))
            }
        };
        temperature("localize.temperature", self.localize.temperature)?;
        temperature("repair.temperature", self.repair.temperature)?;
        temperature("reproduce.temperature", self.reproduce.temperature)?;
        let positive = [
            ("model.timeout", self.model.timeout > 0),
            ("model.max_attempts", self.model.max_attempts > 0),
            ("model.n_per_request", self.model.n_per_request > 0),
            ("model.concurrency", self.model.concurrency > 0),
            ("repair.samples", self.repair.samples > 0),
            ("repair.max_tokens", self.repair.max_tokens > 0),
            ("reproduce.max_tokens", self.reproduce.max_tokens > 0),
            ("reproduce.timeout", self.reproduce.timeout > 0),
            ("execute.timeout", self.execute.timeout > 0),
            ("execute.regression_timeout", self.execute.regression_timeout > 0),
            ("execute.base_runs", self.execute.base_runs > 0),
            ("adaptive.round", self.adaptive.round > 0),
            ("evaluate.timeout", self.evaluate.timeout > 0),
            ("localize.embeddings_files", self.localize.embeddings_files > 0),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, holds)| !holds) {
            return Err(invalid(layers, key, "expected more than 0"));
        }
        if !(0.0..=1.0).contains(&self.adaptive.confidence) {
            return Err(invalid(layers, "adaptive.confidence", "expected a number from 0 to 1"));
        }
        let weight = self.localize.embeddings_weight;
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(invalid(layers, "localize.embeddings_weight", "expected 0 or more"));
        }
        if let Some((unknown, known)) = self.localize.unknown_list() {
            let detail =
                format!("{unknown:?} is no list of retrieval; there are {}", known.join(", "));
            return Err(invalid(layers, "localize.without", &detail));
        }
        if let Err(detail) = self.sandbox.check_hosts() {
            return Err(invalid(layers, "sandbox.docker_hosts", &detail));
        }
        let prices = &self.prices;
        let given = [("prices.prompt", prices.prompt), ("prices.completion", prices.completion)];
        let is_price = |price: f64| price.is_finite() && price >= 0.0;
        if let Some((key, _)) = given.into_iter().find(|(_, price)| !is_price(*price)) {
            return Err(invalid(layers, key, "expected a price from 0 up"));
        }
        if !prices.cached.is_finite() {
            return Err(invalid(layers, "prices.cached", "expected a price, or -1"));
        }
        let python = &self.repair.python;
        let is_version = |text: &str| {
            text.split_once('.').is_some_and(|(major, minor)| {
                major.parse::<u8>().is_ok() && minor.parse::<u8>().is_ok()
            })
        };
        if !python.is_empty() && !is_version(python) {
            return Err(invalid(layers, "repair.python", "expected a version such as 3.9"));
        }
        if !self.model.extra_body.is_empty() {
            let parsed: Result<serde_json::Map<String, serde_json::Value>, _> =
                serde_json::from_str(&self.model.extra_body);
            if let Err(error) = parsed {
                let detail = format!("expected a JSON object: {error}");
                return Err(invalid(layers, "model.extra_body", &detail));
            }
        }
        Ok(())
    }
}

fn invalid(layers: &Layers, key: &str, detail: &str) -> ConfigError {
    ConfigError::Invalid {
        origin: layers.origin(key).cloned().unwrap_or(Origin::BuiltIn),
        key: key.to_owned(),
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(set: &[&str]) -> Result<Config, ConfigError> {
        let mut layers = Layers::built_in(DEFAULT);
        for assignment in set {
            layers.set(assignment)?;
        }
        Config::resolve(&layers)
    }

    #[test]
    fn the_defaults_are_valid_and_complete() {
        let config = resolve(&[]).unwrap();
        assert_eq!(config.run.sandbox, Choice::Auto);
    }

    #[test]
    fn a_value_out_of_range_names_the_setting_and_its_origin() {
        let say = |set: &str| resolve(&[set]).unwrap_err().to_string();
        insta::assert_snapshot!(say("rerank.policy=best"), @"--set: rerank.policy: unknown variant `best`, expected one of `evidence`, `mini`, `agentless`, `self-play`, `majority`");
        insta::assert_snapshot!(say("repair.samples=0"), @"--set: repair.samples: expected more than 0");
        insta::assert_snapshot!(say("repair.samples=-1"), @"--set: repair.samples: invalid value: integer `-1`, expected u32");
        insta::assert_snapshot!(say("repair.temperature=11"), @"--set: repair.temperature: expected a temperature from 0 to 10");
        insta::assert_snapshot!(say("adaptive.confidence=95"), @"--set: adaptive.confidence: expected a number from 0 to 1");
        let hosts = say("sandbox.docker_hosts=unix:///a,gopher://b");
        assert!(hosts.starts_with("--set: sandbox.docker_hosts: \"gopher://b\" is no address"));
        assert!(hosts.contains("tcp://HOST:PORT"), "{hosts}");
        insta::assert_snapshot!(say("prices.completion=-2"), @"--set: prices.completion: expected a price from 0 up");
        insta::assert_snapshot!(say("prices.cached=nan"), @"--set: prices.cached: expected a price, or -1");
        assert!(say("sandbox.docker_hosts=tcp://a:1,tcp://a:1").contains("twice"));
        insta::assert_snapshot!(say("repair.python=three"), @"--set: repair.python: expected a version such as 3.9");
    }
}
