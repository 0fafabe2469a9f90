//! A commit opened with all that is known of it, and asked, while reporters are at work.

use std::sync::Arc;
use std::time::Instant;

use crate::artifact::RankedFile;
use crate::cli::args::OutputArgs;
use crate::cli::error::{CliError, Kind};
use crate::cli::index_args::{CommitArgs, IndexSettings};
use crate::cli::session::{self, Reporting, Show};
use crate::cli::settings::Settings;
use crate::event::Events;
use crate::index::{IndexCache, Opened};
use crate::repo::Checkout;

/// A commit, where it is kept, and how long opening it took.
pub(crate) struct Looked {
    pub(crate) opened: Opened,
    pub(crate) seconds: f64,
    cache: Arc<IndexCache>,
    settings: Settings,
}

/// Opens a commit, on a thread that may block, and does something with it.
pub(crate) async fn look<T>(
    commit: CommitArgs,
    index: IndexSettings,
    output: &OutputArgs,
    then: impl AsyncFnOnce(&Looked, &Events) -> T,
) -> Result<(Looked, T), CliError> {
    let reporting = Reporting::start(output, Show { stages: false, json_events: false }, None)?;
    let events = reporting.events.clone();
    let done = async {
        let looked = open(commit, index, &events).await?;
        let answer = then(&looked, &events).await;
        Ok((looked, answer))
    };
    let done = done.await;
    drop(events);
    for message in reporting.finish().await {
        crate::cli::say(&message);
    }
    done
}

async fn open(
    commit: CommitArgs,
    index: IndexSettings,
    events: &Events,
) -> Result<Looked, CliError> {
    let start = Instant::now();
    let (cache, settings) = index.open()?;
    let (cache, history) = (Arc::new(cache), settings.config.localize.history_commits);
    let (shared, events) = (Arc::clone(&cache), events.clone());
    let work = move || {
        let checkout = Checkout::discover(&commit.repo, &commit.rev)?;
        shared.open(Arc::new(checkout), history, &events)
    };
    let opened = tokio::task::spawn_blocking(work).await;
    let opened = opened.map_err(|error| CliError::from_error(Kind::Environment, error))??;
    Ok(Looked { opened, seconds: start.elapsed().as_secs_f64(), cache, settings })
}

impl Looked {
    /// The best files for an issue, and the seconds of each of `repeat` askings.
    pub(crate) async fn ask(
        &self,
        issue: &str,
        limit: usize,
        repeat: u32,
        events: &Events,
    ) -> (Vec<RankedFile>, Vec<f64>) {
        let localize = &self.settings.config.localize;
        let embeddings = session::embeddings(&self.settings, &Default::default());
        let (mut ranked, mut seconds) = (Vec::new(), Vec::new());
        for _ in 0..repeat {
            let start = Instant::now();
            ranked = match &embeddings {
                None => self.opened.rank(issue, &localize.ranking(), limit),
                Some(embeddings) => {
                    // What lies beyond the limit may come to lie within.
                    let most = limit.max(localize.embeddings_files);
                    let found = self.opened.rank(issue, &localize.ranking(), most);
                    let checkout = self.opened.checkout();
                    let join = embeddings.join(found, issue, checkout, &self.cache, events);
                    let mut joined = join.await;
                    joined.truncate(limit);
                    joined
                }
            };
            seconds.push(start.elapsed().as_secs_f64());
        }
        (ranked, seconds)
    }
}
