//! Rankings by retrieval of many instances.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::artifact::{Instance, InstanceId};
use crate::cli::error::{CliError, Kind};
use crate::cli::session;
use crate::cli::settings::Settings;
use crate::embed::Embeddings;
use crate::event::Events;
use crate::index::IndexCache;
use crate::pipeline::{self, Source};
use crate::repo::Checkout;
use crate::retrieval::RankOptions;

/// Paths of each ranked list.
const LISTED: usize = 100;

/// Commits of one repository that are open at a time.
const BATCH: usize = 64;

/// Ranks files by retrieval alone.
pub(crate) struct Ranking {
    cache: IndexCache,
    source: Source,
    history: usize,
    options: RankOptions,
    embeddings: Option<Arc<Embeddings>>,
    events: Events,
}

/// An instance's place in the dataset, its id, and its files or nothing.
type Line = (usize, Ranked);

/// An instance and its files, best first; nothing where an event says why there are none.
type Ranked = (InstanceId, Option<Vec<String>>);

impl Ranking {
    /// With the settings of a run.
    pub(crate) fn new(
        settings: &Settings,
        source: Source,
        events: Events,
    ) -> Result<Self, CliError> {
        let config = &settings.config;
        let cache = session::index_cache(config)?;
        Ok(Self {
            cache,
            source,
            history: config.localize.history_commits,
            options: config.localize.ranking(),
            embeddings: session::embeddings(settings, &CancellationToken::new()),
            events,
        })
    }

    /// The best 100 files of each instance, in their order. One repository is worked on after the
    /// other, and of one many commits at a time: what is new in them is indexed at once.
    pub(crate) async fn all(self, instances: Vec<Instance>) -> Result<Vec<Ranked>, CliError> {
        let mut repositories = IndexMap::<String, Vec<(usize, Instance)>>::new();
        for (place, instance) in instances.into_iter().enumerate() {
            repositories.entry(instance.repo.clone()).or_default().push((place, instance));
        }
        let this = Arc::new(self);
        let mut lines = Vec::new();
        for group in repositories.into_values() {
            for batch in group.chunks(BATCH) {
                let mut opened = Vec::new();
                for (place, instance) in batch {
                    match this.checkout(instance).await {
                        Ok(checkout) => opened.push((*place, instance.clone(), Arc::new(checkout))),
                        Err(error) => {
                            this.failed(instance, &error);
                            lines.push((*place, (instance.id.clone(), None)));
                        }
                    }
                }
                let this = Arc::clone(&this);
                let runtime = Handle::current();
                let work = tokio::task::spawn_blocking(move || this.batch(&opened, &runtime)).await;
                lines.extend(work.map_err(|error| CliError::from_error(Kind::Environment, error))?);
            }
        }
        lines.sort_by_key(|(place, _)| *place);
        Ok(lines.into_iter().map(|(_, ranked)| ranked).collect())
    }

    async fn checkout(&self, instance: &Instance) -> Result<Checkout, CliError> {
        let events = self.events.of(&instance.id);
        pipeline::checkout(&self.source, instance, &events, &CancellationToken::new())
            .await
            .map_err(|error| CliError::from_error(Kind::Environment, error))
    }

    fn batch(&self, opened: &[(usize, Instance, Arc<Checkout>)], runtime: &Handle) -> Vec<Line> {
        if let Some((_, _, first)) = opened.first() {
            let checkouts = opened.iter().map(|(_, _, checkout)| &**checkout).collect::<Vec<_>>();
            // What fails here fails again, and is told, for the instance whose file it is.
            let _ =
                self.cache.of(first, &self.events).prepare(&checkouts, self.history, &self.events);
        }
        let next = AtomicUsize::new(0);
        let lines = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..session::or_cores(0).get() {
                scope.spawn(|| {
                    while let Some(one) = opened.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let line = self.line(one, runtime);
                        lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    }
                });
            }
        });
        lines.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(
        &self,
        (place, instance, checkout): &(usize, Instance, Arc<Checkout>),
        runtime: &Handle,
    ) -> Line {
        let events = self.events.of(&instance.id);
        let ranked = match self.cache.open(Arc::clone(checkout), self.history, &events) {
            Ok(opened) => {
                let issue = &instance.problem_statement;
                let mut ranked = opened.rank(issue, &self.options, LISTED);
                if let Some(embeddings) = &self.embeddings {
                    let join = embeddings.join(ranked, issue, checkout, &self.cache, &events);
                    ranked = runtime.block_on(join);
                }
                Some(ranked.into_iter().map(|file| file.path).collect())
            }
            Err(error) => {
                self.failed(instance, &error.into());
                None
            }
        };
        (*place, (instance.id.clone(), ranked))
    }

    fn failed(&self, instance: &Instance, error: &CliError) {
        self.events.of(&instance.id).notice(error.render(false).trim_end());
    }
}
