//! Instance and localization to candidates: one for each sample, valid or not.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::artifact::{Candidate, CandidateId, CandidateStatus, Instance, Localization};
use crate::base::Base;
use crate::context::{self, Context, ContextFile};
use crate::llm::{Call, Completion, ModelRequest, TokenCounter};
use crate::patch::{self, ApplyOptions, BaseTree, ClassKind, Classifier, Reading};
use crate::prompt::{PromptName, Prompts};
use crate::repo::Checkout;
use crate::stage::StageError;
use crate::tools::Tools;

/// Settings of the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairConfig {
    /// Samples drawn, each one candidate.
    pub samples: u32,
    /// Sampling temperature.
    pub temperature: f32,
    /// Upper bound of an answer in tokens, thinking included.
    pub max_tokens: u32,
    /// Files shown at most.
    pub max_files: usize,
    /// Tokens that the files shown may take together; issue and instructions come on top.
    pub context_tokens: usize,
    /// How answers are read.
    pub reading: Reading,
    /// Whether an edit whose SEARCH text occurs several times changes all occurrences (SWE-RL's
    /// appliers do) instead of being rejected as ambiguous.
    pub replace_all: bool,
    /// Python version that new files must parse under, such as `3.9`; empty for the newest.
    pub python: String,
}

/// What the stage works on.
pub struct Inputs<'a> {
    /// The issue.
    pub instance: &'a Instance,
    /// The files it is about.
    pub at: &'a Localization,
    /// The repository.
    pub checkout: &'a Arc<Checkout>,
}

/// Draws samples of one instance and applies them. Every sample is asked with the same prompt,
/// however many draws they take.
pub struct Sampler<'a> {
    tools: &'a Tools,
    config: &'a RepairConfig,
    prompts: &'a Prompts,
    tokens: &'a TokenCounter,
    seed: Option<u64>,
    instance: &'a Instance,
    base: Arc<Base>,
    classifier: Arc<Classifier>,
    files: Vec<ContextFile>,
    /// Tokens of files that the model is known to take.
    budget: usize,
    reported: bool,
}

impl<'a> Sampler<'a> {
    /// Reads the files that may be shown; nothing is asked yet.
    #[must_use]
    pub fn new(
        tools: &'a Tools,
        config: &'a RepairConfig,
        prompts: &'a Prompts,
        tokens: &'a TokenCounter,
        seed: Option<u64>,
        inputs: &Inputs<'a>,
    ) -> Self {
        let base = Arc::new(Base::new(Arc::clone(inputs.checkout)));
        let files = readable_files(inputs.at, &base, config.max_files);
        let classifier = Classifier::new(base.paths(), python_version(&config.python));
        let budget = config.context_tokens;
        let instance = inputs.instance;
        Self {
            tools,
            config,
            prompts,
            tokens,
            seed,
            instance,
            base,
            classifier: Arc::new(classifier),
            files,
            budget,
            reported: false,
        }
    }

    /// Draws and applies the samples with these indices.
    ///
    /// # Errors
    /// [`StageError`] when the model cannot be asked or the repository not be read. A sample without
    /// a usable edit is a candidate with status `invalid`, not an error.
    pub async fn draw(&mut self, samples: Range<u32>) -> Result<Vec<Candidate>, StageError> {
        let config = self.config;
        let count = |text: &str| self.tokens.count(text);
        let issue = &self.instance.problem_statement;
        let ask = |budget| {
            let context = context::select(&self.files, issue, config.max_files, budget, &count);
            let variables = [("issue", issue.as_str()), ("files", &context.text)];
            let request = ModelRequest {
                instance: self.instance.id.clone(),
                call: Call::Repair,
                messages: self.prompts.render(PromptName::RepairEdit, &variables),
                samples: samples.clone(),
                temperature: config.temperature,
                max_tokens: config.max_tokens,
                seed: self.seed,
                stop: Vec::new(),
            };
            (request, context)
        };
        let (completions, context) =
            crate::stage::ask_within(self.tools, &mut self.budget, ask).await?;
        if !std::mem::replace(&mut self.reported, true) {
            report_context(self.tools, &context);
        }
        let (config, shown, base) = (config.clone(), context.shown, Arc::clone(&self.base));
        let classifier = Arc::clone(&self.classifier);
        tokio::task::spawn_blocking(move || {
            let candidate = |reply| candidate(reply, &shown, &base, &config, &classifier);
            completions.iter().map(candidate).collect()
        })
        .await
        .map_err(|error| StageError::Internal(error.to_string()))
    }
}

/// The ranked files that exist and are text, in order. Twice as many as may be shown are looked
/// at, so that a file too large to fit does not leave its place empty.
fn readable_files(at: &Localization, base: &Base, max_files: usize) -> Vec<ContextFile> {
    at.ranked
        .iter()
        .filter_map(|ranked| {
            let content = base.read(&ranked.path)?.content;
            let text = String::from_utf8_lossy(&content).into_owned();
            let (path, places) = (ranked.path.clone(), ranked.places.clone());
            (!text.contains('\0')).then_some(ContextFile { path, text, places })
        })
        .take(max_files * 2)
        .collect()
}

fn report_context(tools: &Tools, context: &Context) {
    if context.shown.is_empty() {
        tools.events.notice("no readable file was localized; the model sees the issue alone");
    }
    if !context.elided.is_empty() {
        tools.events.notice(format!(
            "the files exceed the context budget; only parts are shown of {}",
            context.elided.join(", ")
        ));
    }
}

fn candidate(
    reply: &Completion,
    shown: &[String],
    base: &Base,
    config: &RepairConfig,
    classifier: &Classifier,
) -> Candidate {
    let sample = reply.sample;
    let answer = match (&reply.answer, config.reading) {
        // The reward looks for the tags itself.
        (_, Reading::Strict) => &reply.written,
        (Ok(answer), Reading::Tolerant) => answer,
        (Err(why), Reading::Tolerant) => return Candidate::invalid(sample, why.to_string()),
    };
    let options = ApplyOptions { reading: config.reading, replace_all: config.replace_all };
    let applied = match patch::apply_answer(answer, shown, base, &options) {
        Ok(applied) => applied,
        Err(rejection) => {
            let cut = if reply.truncated { " (the token limit cut the answer)" } else { "" };
            return Candidate::invalid(sample, format!("{rejection}{cut}"));
        }
    };
    let class = match classifier.judge(&applied.changes) {
        Ok(class) => class,
        Err(rejection) => return Candidate::invalid(sample, rejection.to_string()),
    };
    Candidate {
        id: CandidateId(sample),
        sample,
        status: CandidateStatus::Ok,
        reason: String::new(),
        files: applied.changes.iter().map(|change| change.path.clone()).collect(),
        patch: patch::diff(&applied.changes),
        class: class.digest,
        rules: applied.rules,
        substantive: class.kind == ClassKind::Substantive,
    }
}

/// `3.9` as a pair; nothing for an empty or unreadable text (the configuration checks it).
fn python_version(text: &str) -> Option<(u8, u8)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
