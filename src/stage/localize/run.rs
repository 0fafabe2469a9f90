//! The stage: retrieve, ask, resolve, fuse.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::artifact::{Instance, Localization, RankedFile};
use crate::index;
use crate::llm::{Call, ModelError, ModelRequest, sample_seed};
use crate::prompt::{PromptName, Prompts};
use crate::repo::Checkout;
use crate::retrieval::{Role, role};
use crate::stage::StageError;
use crate::stage::localize::answer::{Named, Paths};
use crate::stage::localize::tree::Form;
use crate::stage::localize::{LocalizeConfig, Localizer, Vary, below, fusion, tree};
use crate::tools::Tools;

/// How many files a ranking has.
const KEPT: usize = 100;

/// How often a prompt that the model calls too long is shortened before giving up.
const SHORTENINGS: u32 = 6;

/// Estimated tokens of issue text that a prompt begins with; a longer issue loses its middle.
const ISSUE_TOKENS: usize = 32_000;

/// Bytes of prose and code that make one token, on the safe side.
const BYTES_A_TOKEN: usize = 3;

/// What the stage works with.
pub(super) struct Stage<'a> {
    pub(super) tools: &'a Tools,
    pub(super) config: &'a LocalizeConfig,
    pub(super) prompts: &'a Prompts,
    pub(super) instance: &'a Instance,
    pub(super) checkout: &'a Arc<Checkout>,
}

/// Ranks the files of the base commit for an issue, and finds places in the best of them.
///
/// # Errors
/// [`StageError::Repo`] when the tree cannot be read; [`StageError::Model`] when every sample
/// failed, or one failed in a way that will not pass (no connection, budget, cancelled);
/// [`StageError::NotGiven`] for [`Localizer::Oracle`], whose files nobody handed in.
pub async fn localize(
    tools: &Tools,
    config: &LocalizeConfig,
    prompts: &Prompts,
    instance: &Instance,
    checkout: &Arc<Checkout>,
) -> Result<Localization, StageError> {
    if tools.cancel.is_cancelled() {
        return Err(StageError::Cancelled);
    }
    if config.localizer == Localizer::Oracle {
        return Err(StageError::NotGiven);
    }
    announce(tools, checkout);
    let stage = Stage { tools, config, prompts, instance, checkout };
    let mut localization = stage.rank().await?;
    below::fill(&stage, &mut localization).await?;
    Ok(localization)
}

/// Takes a ranking that was handed in instead of making one: files that the base commit does not
/// have are dropped, and places are found in the best of the others that have none.
///
/// # Errors
/// As [`localize`].
pub async fn given(
    tools: &Tools,
    config: &LocalizeConfig,
    prompts: &Prompts,
    instance: &Instance,
    checkout: &Arc<Checkout>,
    given: &Localization,
) -> Result<Localization, StageError> {
    if tools.cancel.is_cancelled() {
        return Err(StageError::Cancelled);
    }
    announce(tools, checkout);
    let stage = Stage { tools, config, prompts, instance, checkout };
    let known = checkout.files().iter().map(|file| file.path.as_str()).collect::<BTreeSet<_>>();
    let mut localization = given.clone();
    localization.ranked.retain(|file| known.contains(file.path.as_str()));
    let dropped = given.ranked.len() - localization.ranked.len();
    if dropped > 0 {
        stage.note(&format!("{dropped} of the files handed in are not in the base commit"));
    }
    below::fill(&stage, &mut localization).await?;
    Ok(localization)
}

impl Stage<'_> {
    async fn rank(&self) -> Result<Localization, StageError> {
        let Self { tools, config, instance, checkout, .. } = *self;
        let asks = config.samples > 0 && config.localizer != Localizer::Retrieval;
        let retrieved = if asks && config.localizer == Localizer::Mini {
            Vec::new()
        } else {
            retrieve(tools, config, instance, checkout).await?
        };
        if !asks {
            return Ok(Localization { ranked: retrieved, samples: Vec::new() });
        }
        let candidates = index::candidates(checkout).into_iter().map(|file| file.path.as_str());
        let candidates = candidates.collect::<Vec<_>>();
        if candidates.is_empty() {
            tools.events.notice("the repository has no file that could be named");
            return Ok(Localization::default());
        }
        let answers = Asking { stage: self, candidates, retrieved: &retrieved }.ask().await?;
        let paths = |answer: &Option<Vec<Named>>| {
            answer.iter().flatten().map(|named| named.path.clone()).collect::<Vec<_>>()
        };
        let samples = answers.iter().map(paths).collect();
        let answered = answers.into_iter().flatten().collect::<Vec<_>>();
        let base = if config.localizer == Localizer::Fused { retrieved.as_slice() } else { &[] };
        Ok(Localization { ranked: fusion::fuse(base, &answered), samples })
    }

    pub(super) fn note(&self, message: &str) {
        self.tools.events.notice(format!("localize: {message}"));
    }

    /// The issue as prompts begin with it.
    pub(super) fn issue(&self) -> String {
        self.issue_within(ISSUE_TOKENS * BYTES_A_TOKEN)
    }

    /// The issue, without its middle when it is longer than `bytes`.
    fn issue_within(&self, bytes: usize) -> String {
        let text = self.instance.problem_statement.replace("\r\n", "\n");
        if text.len() <= bytes {
            return text;
        }
        let head = text.floor_char_boundary(bytes * 2 / 3);
        let tail = text.ceil_char_boundary(text.len() - bytes / 3);
        let cut = text[head..tail].chars().count();
        self.note(&format!("{cut} characters of the issue are left out of the prompt"));
        format!("{}\n[... {cut} characters left out ...]\n{}", &text[..head], &text[tail..])
    }
}

fn announce(tools: &Tools, checkout: &Checkout) {
    let skipped = checkout.skipped();
    if let Some(first) = skipped.first() {
        tools.events.notice(format!(
            "{} entries of the tree are left out, such as {}: {}",
            skipped.len(),
            first.path,
            first.reason
        ));
    }
}

async fn retrieve(
    tools: &Tools,
    config: &LocalizeConfig,
    instance: &Instance,
    checkout: &Arc<Checkout>,
) -> Result<Vec<RankedFile>, StageError> {
    let looked_at = checkout;
    let (checkout, events) = (Arc::clone(checkout), tools.events.clone());
    let (cache, options) = (Arc::clone(&tools.index), config.ranking());
    let (issue, history) = (instance.problem_statement.clone(), config.history_commits);
    let work = move || {
        cache.open(checkout, history, &events).map(|opened| opened.rank(&issue, &options, KEPT))
    };
    let ranked = match tokio::task::spawn_blocking(work).await {
        Ok(ranked) => ranked?,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => return Err(StageError::Cancelled),
    };
    let Some(embeddings) = &tools.embeddings else { return Ok(ranked) };
    let issue = &instance.problem_statement;
    let joined = embeddings.join(ranked, issue, looked_at, &tools.index, &tools.events).await;
    // Stopped while the server was asked: without its list the ranking would be another one.
    if tools.cancel.is_cancelled() { Err(StageError::Cancelled) } else { Ok(joined) }
}

/// How some samples are asked.
struct Variant {
    samples: Range<u32>,
    /// Files that an answer may name.
    count: usize,
    form: Form,
}

/// One instance's question to the model.
struct Asking<'a> {
    stage: &'a Stage<'a>,
    candidates: Vec<&'a str>,
    retrieved: &'a [RankedFile],
}

impl Asking<'_> {
    /// One entry a sample: the files that it named, or None where it gave no answer.
    async fn ask(&self) -> Result<Vec<Option<Vec<Named>>>, StageError> {
        let (mut tree_tokens, mut issue_tokens) = (self.stage.config.tree_tokens, ISSUE_TOKENS);
        let mut shortened = 0;
        let replies = loop {
            let tree = self.tree(tree_tokens, Form::PLAIN);
            let issue = self.stage.issue_within(issue_tokens * BYTES_A_TOKEN);
            let requests = self.variants().into_iter().map(|variant| {
                let own =
                    (variant.form != Form::PLAIN).then(|| self.tree(tree_tokens, variant.form));
                self.request(own.as_ref().unwrap_or(&tree), &issue, variant)
            });
            let requests = requests.collect::<Vec<_>>();
            let model = &self.stage.tools.model;
            let replies = join_all(requests.iter().map(|request| model.complete(request))).await;
            let replies = replies.into_iter().flatten().collect::<Vec<_>>();
            let overflow = |reply: &Result<_, ModelError>| {
                matches!(reply, Err(ModelError::ContextOverflow { .. }))
            };
            if shortened == SHORTENINGS || !replies.iter().any(overflow) {
                break replies;
            }
            shortened += 1;
            // Half of what was sent, not of a budget that was never reached; the issue gives way
            // only when it is the larger part.
            if issue.len() > tree.len() {
                issue_tokens = issue.len() / BYTES_A_TOKEN / 2;
            }
            tree_tokens = tree_tokens.min(tree.len() / BYTES_A_TOKEN) / 2;
            self.stage.tools.events.notice(format!(
                "the localization prompt is longer than the model's context; asking again with at \
                 most {tree_tokens} tokens of tree"
            ));
        };
        let paths = Paths::new(self.candidates.iter().copied());
        let mut answers = Vec::with_capacity(replies.len());
        let mut failed = Vec::new();
        for reply in replies {
            answers.push(match reply {
                Ok(completion) => match completion.answer {
                    Ok(answer) => Some(paths.named(&answer, self.stage.config.max_files)),
                    Err(reason) => {
                        self.stage
                            .note(&format!("sample {} has no answer: {reason}", completion.sample));
                        None
                    }
                },
                Err(
                    error @ (ModelError::Cancelled
                    | ModelError::Budget(_)
                    | ModelError::Unreachable { .. }),
                ) => return Err(error.into()),
                Err(error) => {
                    failed.push((answers.len(), error));
                    None
                }
            });
        }
        if failed.len() == answers.len()
            && let Some((_, error)) = failed.into_iter().next()
        {
            return Err(error.into());
        }
        Ok(answers)
    }

    /// What each request asks for, in order of the samples.
    fn variants(&self) -> Vec<Variant> {
        let config = self.stage.config;
        let vary = if config.localizer == Localizer::Mini { Vary::Tree } else { config.vary };
        let most = config.max_files;
        if vary == Vary::None || config.samples < 2 {
            return vec![Variant { samples: 0..config.samples, count: most, form: Form::PLAIN }];
        }
        let variant = |sample: u32| {
            let chance = sample_seed(config.seed.unwrap_or_default(), Call::Localize, sample);
            let count = if most < 2 { most } else { 2 + (chance as usize >> 1) % (most - 1) };
            let form = match vary {
                Vary::Tree => {
                    let indent = if chance & 1 == 0 { 2 } else { 4 };
                    Form { indent, shuffle: Some(chance) }
                }
                Vary::None | Vary::Count => Form::PLAIN,
            };
            Variant { samples: sample..sample + 1, count, form }
        };
        (0..config.samples).map(variant).collect()
    }

    fn request(&self, tree: &str, issue: &str, variant: Variant) -> ModelRequest {
        let count = variant.count.to_string();
        let values = [("issue", issue), ("tree", tree), ("count", count.as_str())];
        ModelRequest {
            instance: self.stage.instance.id.clone(),
            call: Call::Localize,
            messages: self.stage.prompts.render(PromptName::LocalizeFiles, &values),
            samples: variant.samples,
            temperature: self.stage.config.temperature,
            max_tokens: self.stage.config.max_tokens,
            seed: self.stage.config.seed,
            stop: Vec::new(),
        }
    }

    fn tree(&self, tokens: usize, form: Form) -> String {
        let preferred = self.retrieved.iter().map(|file| file.path.as_str()).collect::<Vec<_>>();
        let shown = self.shown();
        let rendered = tree::render(&self.candidates, &shown, &preferred, tokens, form);
        let drawn = self.candidates.len() - rendered.hidden;
        // The plain form is always drawn, so it is said once.
        if drawn < shown.len() && form == Form::PLAIN {
            let shown = shown.len();
            self.stage.note(&format!("{drawn} of {shown} files fit into {tokens} tokens of tree"));
        }
        rendered.text
    }

    fn shown(&self) -> BTreeSet<&str> {
        let paths = self.candidates.iter().copied();
        match self.stage.config.localizer {
            Localizer::Mini => paths.filter(|path| !mini_hides(path)).collect(),
            _ if !self.stage.config.hide_tests => paths.collect(),
            _ => {
                let lifted = self.retrieved.iter().filter(|file| file.score > 0.0);
                let lifted = lifted.map(|file| file.path.as_str()).collect::<BTreeSet<_>>();
                let shown = paths.clone().filter(|p| role(p) == Role::Source || lifted.contains(p));
                let shown = shown.collect::<BTreeSet<_>>();
                if shown.is_empty() { paths.collect() } else { shown }
            }
        }
    }
}

/// Agentless Mini's rule: any component that begins with `test`.
fn mini_hides(path: &str) -> bool {
    path.split('/').any(|component| component.starts_with("test"))
}

#[cfg(test)]
mod tests;
