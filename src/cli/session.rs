//! Everything that a running command holds: model, sandbox, reporters, signals.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::artifact::{Instance, Stage};
use crate::budget::Budget;
use crate::cli::args::{ColorChoice, OutputArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::settings::Settings;
use crate::cli::{reaper, select};
use crate::config::Config;
use crate::dataset;
use crate::embed::Embeddings;
use crate::event::Events;
use crate::index::IndexCache;
use crate::llm::{
    HttpClient, HttpConfig, Journaled, ModelClient, Replay, Secret, TokenCounter, has_journal,
};
use crate::pipeline::{PipelineError, Plan, Stages};
use crate::prompt::Prompts;
use crate::report::{Drained, JsonLines, Prices, Reporter, Style, Terminal, drain};
use crate::sandbox::docker::Engine;
use crate::sandbox::{self, Sandbox};
use crate::stage::localize::LocalizeConfig;
use crate::store::RunDir;
use crate::tools::{Sessions, Tools};

/// How events are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    /// A line for each stage: sensible for one instance.
    pub(crate) stages: bool,
    /// Events as JSON lines on standard output.
    pub(crate) json_events: bool,
}

/// Reporters at work, and the handle that feeds them.
pub(crate) struct Reporting {
    pub(crate) events: Events,
    task: JoinHandle<Drained>,
}

impl Reporting {
    /// Starts the reporters: terminal, and the run's event log where there is a run.
    pub(crate) fn start(
        output: &OutputArgs,
        show: Show,
        log: Option<&Path>,
    ) -> Result<Self, CliError> {
        Self::priced(output, show, log, None)
    }

    /// As [`Reporting::start`], and says what tokens cost.
    pub(crate) fn priced(
        output: &OutputArgs,
        show: Show,
        log: Option<&Path>,
        prices: Option<Prices>,
    ) -> Result<Self, CliError> {
        let mut reporters: Vec<Box<dyn Reporter>> = Vec::new();
        if show.json_events {
            reporters.push(Box::new(JsonLines::to(Box::new(std::io::stdout()))));
        }
        let terminal = Terminal::new(style(output, show), Box::new(std::io::stderr()));
        reporters.push(Box::new(terminal.with_prices(prices)));
        if let Some(path) = log {
            let log = JsonLines::append(path)
                .map_err(|error| CliError::from_error(Kind::Environment, error))?;
            reporters.push(Box::new(log));
        }
        let (events, receiver) = Events::channel();
        let task = tokio::spawn(drain(receiver, reporters));
        Ok(Self { events, task })
    }

    /// Waits until everything is shown; every other handle on the events has been dropped.
    pub(crate) async fn finish(self) -> Vec<String> {
        drop(self.events);
        let drained = self.task.await.unwrap_or_default();
        let failed = drained.failed.into_iter();
        failed.map(|(name, error)| format!("the {name} stopped: {error}")).collect()
    }
}

/// How to draw on standard error.
pub(crate) fn style(output: &OutputArgs, show: Show) -> Style {
    Style {
        live: is_screen() && !output.verbose && !show.json_events,
        color: color(output),
        stages: show.stages,
        verbose: output.verbose,
        quiet: output.quiet,
    }
}

/// Whether standard error is a terminal on which lines can be drawn anew.
fn is_screen() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether standard error takes colours.
pub(crate) fn color(output: &OutputArgs) -> bool {
    color_of(output, std::io::stderr().is_terminal())
}

/// Whether a stream takes colours.
pub(crate) fn color_of(output: &OutputArgs, is_terminal: bool) -> bool {
    match output.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        }
    }
}

/// Where model replies come from.
pub(crate) enum Replies<'a> {
    /// The endpoint, with the run's journal before it.
    Endpoint,
    /// These journals alone.
    Journals(Vec<PathBuf>),
    /// The recordings bundled with these instances of `sample`.
    Bundled(&'a [Instance]),
}

/// Decides: `--replay` first, then an endpoint, then the bundled recordings.
pub(crate) fn replies<'a>(
    replay: Option<&Option<PathBuf>>,
    settings: &Settings,
    run: &RunDir,
    dataset: &str,
    instances: &'a [Instance],
) -> Result<Replies<'a>, CliError> {
    let has_journal = |instance: &Instance| has_journal(&run.path().join(instance.id.as_str()));
    match replay {
        Some(Some(path)) => Ok(Replies::Journals(vec![path.clone()])),
        Some(None) if instances.iter().any(has_journal) => {
            Ok(Replies::Journals(vec![run.path().to_owned()]))
        }
        Some(None) if dataset == "sample" => Ok(Replies::Bundled(instances)),
        Some(None) => Err(CliError::usage(format!("{} holds no journal", run.path().display()))
            .hint("name one with `--replay PATH`")),
        None if !settings.config.model.base_url.is_empty() => Ok(Replies::Endpoint),
        None if dataset == "sample" => Ok(Replies::Bundled(instances)),
        None => Err(CliError::usage("no model endpoint is given")
            .hint("set --base-url or OPENAI_BASE_URL to an OpenAI-compatible server, such as http://localhost:8000/v1")),
    }
}

/// The model client for a source of replies.
pub(crate) async fn model(
    replies: Replies<'_>,
    settings: &Settings,
    run: &RunDir,
    events: &Events,
    cancel: &CancellationToken,
    budget: &Arc<Budget>,
) -> Result<Arc<dyn ModelClient>, CliError> {
    Ok(match replies {
        Replies::Journals(paths) => {
            events.notice("no model is asked: replies come from recorded journals");
            Arc::new(Replay::new(&paths, events.clone())?)
        }
        Replies::Bundled(instances) => {
            events.notice("no model is asked: replies are the recordings bundled with `sample`");
            let mut replay = Replay::empty(events.clone());
            for instance in instances {
                if let Some(lines) = dataset::sample::replies(&instance.id) {
                    replay = replay.and_lines(&instance.id, lines)?;
                }
            }
            Arc::new(replay)
        }
        Replies::Endpoint => {
            let config = HttpConfig { budget: Arc::clone(budget), ..http_config(settings) };
            let client = HttpClient::new(config, events.clone(), cancel.clone()).await?;
            Arc::new(Journaled::recording(Arc::new(client), run.path(), events.clone()))
        }
    })
}

/// What tokens cost by the settings; nothing where no price is given.
pub(crate) fn prices(config: &Config) -> Option<Prices> {
    let given = &config.prices;
    let cached = if given.cached < 0.0 { given.prompt } else { given.cached };
    let prices = Prices { prompt: given.prompt, cached, completion: given.completion };
    (prices.prompt > 0.0 || prices.completion > 0.0 || prices.cached > 0.0).then_some(prices)
}

/// The settings as the HTTP client takes them.
pub(crate) fn http_config(settings: &Settings) -> HttpConfig {
    let model = &settings.config.model;
    let mut config = HttpConfig::new(&model.base_url);
    config.api_key.clone_from(&settings.api_key);
    config.model = (!model.name.is_empty()).then(|| model.name.clone());
    config.timeout = Duration::from_secs(model.timeout);
    config.connect_timeout = Duration::from_secs(model.connect_timeout);
    config.max_attempts = model.max_attempts;
    config.n_per_request = model.n_per_request;
    config.concurrency = model.concurrency;
    config.adaptive_concurrency = model.adaptive_concurrency;
    config.max_requests = (model.max_requests > 0).then_some(model.max_requests);
    config.extra_body = serde_json::from_str(&model.extra_body).unwrap_or_default();
    config.stream = model.stream;
    config.tokenizer = (!model.tokenizer.as_os_str().is_empty()).then(|| model.tokenizer.clone());
    config
}

/// The sandbox that the settings ask for, and a line that says which was taken.
pub(crate) async fn sandbox(
    config: &Config,
    events: &Events,
) -> Result<(Arc<dyn Sandbox>, String), CliError> {
    reaper::start(config.run.sandbox, &config.sandbox);
    Ok(sandbox::connect(config.run.sandbox, config.sandbox.clone(), &run_id(), events.clone())
        .await?)
}

/// The container engines that the settings name, each of which must answer.
pub(crate) async fn engines(config: &Config) -> Result<Vec<Engine>, CliError> {
    let mut engines = Vec::new();
    for host in config.sandbox.hosts() {
        engines.push(Engine::connect_to(&host).await?);
    }
    Ok(engines)
}

/// A name for the sessions of this process.
pub(crate) fn run_id() -> String {
    format!("{}-{}", std::process::id(), time::OffsetDateTime::now_utc().unix_timestamp())
}

/// The plan that the settings describe.
pub(crate) fn plan(config: &Config, stages: Stages) -> Result<Plan, CliError> {
    if config.adaptive.is_on() && stages == Stages::only(Stage::Repair) {
        let refused = PipelineError::Adaptive(config.adaptive.confidence);
        return Err(CliError::usage(refused.to_string()));
    }
    let prompts_dir = &config.prompts.dir;
    let overrides = (!prompts_dir.as_os_str().is_empty()).then_some(prompts_dir.as_path());
    let tokenizer = &config.model.tokenizer;
    let tokens = if tokenizer.as_os_str().is_empty() {
        TokenCounter::estimate()
    } else {
        TokenCounter::from_file(tokenizer).map_err(|e| CliError::from_error(Kind::Usage, e))?
    };
    Ok(Plan {
        localize: LocalizeConfig { seed: Some(config.run.seed), ..config.localize.clone() },
        repair: config.repair.clone(),
        reproduce: config.reproduce.clone(),
        execute: config.execute.clone(),
        rerank: config.rerank.clone(),
        adaptive: config.adaptive.clone(),
        limits: config.sandbox.limits(),
        seed: Some(config.run.seed),
        prompts: Arc::new(Prompts::load(overrides, config.prompts.think)?),
        tokens: Arc::new(tokens),
        given: Arc::default(),
        given_tests: Arc::default(),
        stages,
    })
}

/// The tools of a run.
pub(crate) fn tools(
    config: &Config,
    model: Arc<dyn ModelClient>,
    sandbox: Arc<dyn Sandbox>,
    events: Events,
    cancel: CancellationToken,
    budget: Arc<Budget>,
) -> Result<Tools, CliError> {
    let sessions = Arc::new(Sessions::new(or_room(config.run.sessions, &*sandbox)));
    let index = Arc::new(index_cache(config)?);
    Ok(Tools { model, sandbox, index, embeddings: None, sessions, events, cancel, budget, age: 0 })
}

/// The embeddings server, if the settings name one.
pub(crate) fn embeddings(
    settings: &Settings,
    cancel: &CancellationToken,
) -> Option<Arc<Embeddings>> {
    let localize = &settings.config.localize;
    let config = embeddings_config(settings)?;
    let (files, weight) = (localize.embeddings_files, localize.embeddings_weight);
    Some(Arc::new(Embeddings::new(config, files, weight, cancel.clone())))
}

/// How the embeddings server is reached, if the settings name one.
pub(crate) fn embeddings_config(settings: &Settings) -> Option<HttpConfig> {
    let (localize, model) = (&settings.config.localize, &settings.config.model);
    if localize.embeddings_url.is_empty() {
        return None;
    }
    let same = |url: &str| url.trim_end_matches('/').to_owned();
    let own = std::env::var("AGENT_EMBEDDINGS_API_KEY").ok().map(Secret::new);
    // A key never goes to an address that it was not given for.
    let shared = settings.api_key.clone();
    let shared = shared.filter(|_| same(&localize.embeddings_url) == same(&model.base_url));
    Some(HttpConfig {
        base_url: localize.embeddings_url.clone(),
        api_key: own.filter(|key| !key.is_empty()).or(shared),
        model: Some(localize.embeddings_model.clone()).filter(|name| !name.is_empty()),
        extra_body: serde_json::Map::new(),
        ..http_config(settings)
    })
}

/// Where what is known of repositories is kept.
pub(crate) fn index_cache(config: &Config) -> Result<IndexCache, CliError> {
    let dir = &config.index.dir;
    if dir.as_os_str() == "none" {
        return Ok(IndexCache::in_memory());
    }
    let dir = match dir.as_os_str().is_empty() {
        true => select::cache_dir()?.join("index"),
        false => dir.clone(),
    };
    Ok(IndexCache::at(dir, config.index.max_mib.saturating_mul(1 << 20)))
}

/// A number of sessions; for 0 what the sandbox's hosts have room for, or the number of cores.
pub(crate) fn or_room(wanted: usize, sandbox: &dyn Sandbox) -> NonZeroUsize {
    let room = sandbox.slots().filter(|_| wanted == 0);
    room.unwrap_or_else(|| or_cores(wanted))
}

/// A number of workers, or the number of cores for 0.
pub(crate) fn or_cores(wanted: usize) -> NonZeroUsize {
    NonZeroUsize::new(wanted)
        .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
}

/// What is said at the first signal.
pub(crate) const STOPPING: &str = "stopping: what is finished is kept (again to stop at once)";

/// Cancels on the first signal, saying so unless another will; on the second, ends the process at once. Containers that are then
/// left end by themselves, and the next run sweeps them.
pub(crate) fn watch_signals(cancel: CancellationToken, says: bool) {
    tokio::spawn(async move {
        for strike in 1.. {
            if !signalled().await {
                return;
            }
            if strike == 1 {
                cancel.cancel();
                if says {
                    crate::cli::say(STOPPING);
                }
            } else {
                #[expect(clippy::exit, reason = "the second signal asks for just this")]
                std::process::exit(130);
            }
        }
    });
}

async fn signalled() -> bool {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return false;
        };
        tokio::select! {
            signal = interrupt.recv() => signal.is_some(),
            signal = terminate.recv() => signal.is_some(),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await.is_ok()
    }
}
