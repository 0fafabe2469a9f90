//! Settings of this stage.

use serde::{Deserialize, Serialize};

use crate::retrieval::{self, RankOptions, Scorer};

/// Where the ranking comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Localizer {
    /// Retrieval alone; no model is asked.
    Retrieval,
    /// The model's answers alone. Retrieval only chooses what of a too large tree is shown.
    Model,
    /// Retrieval and the model's answers, fused by reciprocal rank.
    Fused,
    /// As Agentless Mini: the model's answers alone, over a tree from which every file and
    /// directory is hidden whose name begins with `test`; nothing is retrieved, and no places.
    Mini,
    /// The files that the reference fix changes, handed in by the command line: an upper bound for
    /// measurements. This stage cannot know them.
    Oracle,
}

/// Where places below the files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlacesFrom {
    /// Nowhere: contexts are whole files, in order, as Agentless Mini's.
    None,
    /// Retrieval alone; no model is asked.
    Retrieval,
    /// Retrieval and one more request to the model, which sees outlines of the first files.
    Model,
}

/// How the samples' prompts differ from one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vary {
    /// Not at all: one prompt for all samples.
    None,
    /// In how many files may be named, which stands at the end: what comes before, nearly all of the
    /// prompt, is one prefix for the server's cache.
    Count,
    /// As Agentless Mini: in that number (2 to `max_files`), in the order of the tree at every level
    /// and in its indentation (2 or 4). [`Localizer::Mini`] always does.
    Tree,
}

/// Settings of `localize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalizeConfig {
    /// Where the ranking comes from: `retrieval`, `model`, `fused`, `mini` or `oracle`.
    pub localizer: Localizer,
    /// Answers asked of the model; 0 asks none and leaves the ranking to retrieval.
    pub samples: u32,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f32,
    /// Upper bound of one answer in tokens, thinking included.
    pub max_tokens: u32,
    /// How many files an answer may name, from 1; more are ignored.
    pub max_files: usize,
    /// How prompts of several samples differ: `none`, `count` or `tree`. By the seed and the number
    /// of the sample alone; a single sample never differs.
    pub vary: Vary,
    /// Estimated tokens that the rendered tree may take; what does not fit is shown as a count.
    pub tree_tokens: usize,
    /// Whether tests, documentation and examples are shown in the tree as a count only. Files that
    /// the issue names are shown in any case.
    pub hide_tests: bool,
    /// Where the places come from that are shown of files that do not fit: `retrieval`, `model` or
    /// `none`.
    pub places: PlacesFrom,
    /// Estimated tokens that the outlines may take which the model sees with `places = "model"`.
    pub outline_tokens: usize,
    /// Ancestors of the base commit whose messages and changes retrieval may use; 0 for none.
    pub history_commits: usize,
    /// Lists of retrieval, or groups of them, that are left out: for comparisons.
    pub without: Vec<String>,
    /// How retrieval's lists become one ranking.
    pub scorer: Scorer,
    /// Seed sent with the model's requests; none sends no seed.
    #[serde(default)]
    pub seed: Option<u64>,
    /// An OpenAI-compatible server of embeddings, whose list joins retrieval's; empty for none.
    // What has not changed is not written, so that runs from before stay finished.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub embeddings_url: String,
    /// Its model; empty takes the only one that it offers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub embeddings_model: String,
    /// Files, the first of retrieval's ranking, that the list orders.
    #[serde(default = "embeddings_files", skip_serializing_if = "is_usual_files")]
    pub embeddings_files: usize,
    /// Weight of the list beside retrieval's ranking, which has 1.
    #[serde(default = "embeddings_weight", skip_serializing_if = "is_usual_weight")]
    pub embeddings_weight: f64,
}

const fn embeddings_files() -> usize {
    LocalizeConfig::EMBEDDINGS_FILES
}

const fn embeddings_weight() -> f64 {
    LocalizeConfig::EMBEDDINGS_WEIGHT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_usual_files(files: &usize) -> bool {
    *files == LocalizeConfig::EMBEDDINGS_FILES
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_usual_weight(weight: &f64) -> bool {
    weight.to_bits() == LocalizeConfig::EMBEDDINGS_WEIGHT.to_bits()
}

impl LocalizeConfig {
    /// Usual value of [`LocalizeConfig::embeddings_files`].
    pub const EMBEDDINGS_FILES: usize = 30;
    /// Usual value of [`LocalizeConfig::embeddings_weight`].
    pub const EMBEDDINGS_WEIGHT: f64 = 0.5;

    /// How retrieval ranks.
    #[must_use]
    pub fn ranking(&self) -> RankOptions {
        RankOptions { without: self.without.clone(), scorer: self.scorer }
    }

    /// The first name in `without` that stands for nothing, with all that would.
    #[must_use]
    pub fn unknown_list(&self) -> Option<(&str, Vec<&'static str>)> {
        let known = retrieval::list_names();
        let unknown = self.without.iter().find(|name| !known.contains(&name.as_str()))?;
        Some((unknown, known))
    }
}
