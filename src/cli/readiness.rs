//! What the rows of a dataset lack on this machine, for which stage.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use futures_util::StreamExt as _;
use serde::Serialize;

use crate::cli::error::CliError;
use crate::cli::select;
use crate::config::Config;
use crate::dataset::{self, Dataset, Row};
use crate::repo;
use crate::sandbox::Choice;
use crate::sandbox::docker::Engine;

/// Questions to an engine at the same time.
const ASKED: usize = 16;

/// What a row may lack something for, in the order of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    Localize,
    Repair,
    Reproduce,
    Execute,
    Rerank,
    Evaluate,
}

impl Stage {
    pub(crate) const ALL: [Self; 6] = [
        Self::Localize,
        Self::Repair,
        Self::Reproduce,
        Self::Execute,
        Self::Rerank,
        Self::Evaluate,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Localize => "localize",
            Self::Repair => "repair",
            Self::Reproduce => "reproduce",
            Self::Execute => "execute",
            Self::Rerank => "rerank",
            Self::Evaluate => "evaluate",
        }
    }
}

/// How much a lack costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Weight {
    /// It is fetched or made when it is needed.
    OnDemand,
    /// The stage runs and does less.
    Less,
    /// The stage cannot work on the row.
    Cannot,
}

impl Weight {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::OnDemand => "on demand",
            Self::Less => "less",
            Self::Cannot => "cannot",
        }
    }
}

/// One thing that a row lacks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Lack {
    pub(crate) weight: Weight,
    pub(crate) what: String,
    pub(crate) stages: Vec<Stage>,
}

impl Lack {
    fn new(weight: Weight, what: impl Into<String>, stages: &[Stage]) -> Self {
        Self { weight, what: what.into(), stages: stages.to_vec() }
    }
}

/// A row and what it lacks.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) instance_id: String,
    pub(crate) lacks: Vec<Lack>,
}

impl Finding {
    /// The worst that the row lacks for a stage.
    pub(crate) fn weight(&self, stage: Stage) -> Option<Weight> {
        let of_stage = self.lacks.iter().filter(|lack| lack.stages.contains(&stage));
        of_stage.map(|lack| lack.weight).max()
    }
}

/// What this machine has.
pub(crate) struct Machine {
    repos: PathBuf,
    clone_url: String,
    /// Images found; none if no engine answers.
    images: Option<HashSet<String>>,
}

impl Machine {
    /// Looks for repositories, and for images if an engine answers.
    pub(crate) async fn look(
        dataset: &Dataset,
        name: &str,
        config: &Config,
    ) -> Result<Self, CliError> {
        Ok(Self {
            repos: select::repos_dir(config, name)?,
            clone_url: config.repos.url.clone(),
            images: images(dataset, config).await,
        })
    }

    /// Whether images were looked for.
    pub(crate) fn has_engine(&self) -> bool {
        self.images.is_some()
    }

    /// Findings of all rows, in their order.
    pub(crate) fn check(&self, dataset: &Dataset) -> Vec<Finding> {
        let mut found = HashMap::new();
        let rows = dataset.rows().iter();
        rows.map(|row| {
            let repo = row.instance.repo.as_str();
            let path = found.entry(repo).or_insert_with(|| repo::find(&self.repos, repo));
            Finding {
                instance_id: row.instance.id.to_string(),
                lacks: self.lacks(row, path.as_ref()),
            }
        })
        .collect()
    }

    fn lacks(&self, row: &Row, repository: Option<&PathBuf>) -> Vec<Lack> {
        let mut lacks = Vec::new();
        let repository = self.repository(row, repository);
        lacks.extend(repository.clone());
        lacks.extend(self.environment(row, repository.as_ref()));
        if row.instance.test_command.is_none() {
            let what = "no test command: no regression tests, only scripts judge";
            lacks.push(Lack::new(Weight::Less, what, &[Stage::Execute]));
        }
        lacks.extend(evaluation(row));
        lacks
    }

    fn repository(&self, row: &Row, path: Option<&PathBuf>) -> Option<Lack> {
        let lack = |weight, what| Lack::new(weight, what, &[Stage::Localize, Stage::Repair]);
        let has_image = row.instance.image.is_some();
        let dir = self.repos.display();
        Some(match path {
            Some(path) if repo::has_commit(path, &row.instance.base_commit) => return None,
            Some(_) if has_image => lack(
                Weight::OnDemand,
                format!("base commit is not in {dir}: the repository is taken from the image"),
            ),
            Some(_) => lack(Weight::Cannot, format!("base commit is not in {dir}: fetch it there")),
            None if !self.clone_url.is_empty() => lack(
                Weight::OnDemand,
                format!("repository is not in {dir}: cloned from {}", self.clone_url),
            ),
            None if has_image => {
                lack(Weight::OnDemand, format!("repository is not in {dir}: taken from the image"))
            }
            None => lack(
                Weight::Cannot,
                format!("repository is not in {dir}, no repos.url to clone it from, and no image"),
            ),
        })
    }

    fn environment(&self, row: &Row, repository: Option<&Lack>) -> Option<Lack> {
        let stages = [Stage::Reproduce, Stage::Execute, Stage::Evaluate];
        let Some(image) = &row.instance.image else {
            return Some(match repository {
                Some(lack) if lack.weight == Weight::Cannot => {
                    let what = "no image, and no repository to make one from";
                    Lack::new(Weight::Cannot, what, &stages)
                }
                _ => {
                    let what = "no image: one is made from the tree";
                    Lack::new(Weight::OnDemand, what, &stages)
                }
            });
        };
        let here = self.images.as_ref().is_none_or(|images| images.contains(image));
        let what = "image is not on this machine: pulled (`agent images pull D` does so ahead)";
        (!here).then(|| Lack::new(Weight::OnDemand, what, &stages))
    }
}

/// What grading needs of the row itself.
fn evaluation(row: &Row) -> Vec<Lack> {
    let lack = |weight, what: &str| Lack::new(weight, what, &[Stage::Evaluate]);
    let mut lacks = Vec::new();
    let Some(gold) = &row.gold else {
        let what = "no gold: patch, test_patch, FAIL_TO_PASS and PASS_TO_PASS are needed to grade";
        return vec![lack(Weight::Cannot, what)];
    };
    if gold.fail_to_pass.is_empty() && gold.pass_to_pass.is_empty() {
        lacks.push(lack(Weight::Cannot, "FAIL_TO_PASS and PASS_TO_PASS are empty"));
    }
    if gold.eval_script.is_none() {
        if row.instance.test_command.is_none() {
            lacks.push(lack(Weight::Cannot, "neither a test command nor an eval_script"));
        } else if gold.version.is_empty() && dataset::is_benchmark_repo(&row.instance.repo) {
            let what = "no version: the test command of the newest versions is taken";
            lacks.push(lack(Weight::Less, what));
        }
    }
    if row.created_at.is_none() {
        lacks.push(lack(Weight::Less, "no created_at: results by year leave it out"));
    }
    lacks
}

/// The dataset's images that every engine has, if any engine answers.
async fn images(dataset: &Dataset, config: &Config) -> Option<HashSet<String>> {
    if config.run.sandbox == Choice::Local {
        return None;
    }
    let wanted: BTreeSet<_> =
        dataset.rows().iter().filter_map(|row| row.instance.image.clone()).collect();
    let mut here: Option<HashSet<String>> = None;
    for host in config.sandbox.hosts() {
        let Ok(engine) = Engine::connect_to(&host).await else { continue };
        let asked = futures_util::stream::iter(wanted.iter().cloned()).map(|image| {
            let engine = &engine;
            async move { matches!(engine.image(&image).await, Ok(Some(_))).then_some(image) }
        });
        let found: HashSet<_> =
            asked.buffer_unordered(ASKED).filter_map(std::future::ready).collect().await;
        here = Some(match here {
            Some(before) => before.intersection(&found).cloned().collect(),
            None => found,
        });
    }
    here
}

/// Rows that lack the same, worst first: what, and the rows' ids.
pub(crate) fn groups(findings: &[Finding]) -> Vec<(&Lack, Vec<&str>)> {
    let mut groups = BTreeMap::<_, Vec<&str>>::new();
    for finding in findings {
        for lack in &finding.lacks {
            groups.entry(lack).or_default().push(&finding.instance_id);
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(lack, _)| std::cmp::Reverse(lack.weight));
    groups
}
