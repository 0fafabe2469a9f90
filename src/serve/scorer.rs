//! Scores items: each before its deadline, at most so many at one time.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::artifact::InstanceId;
use crate::reward::{Case, Options, Text, score};
use crate::serve::Kind;
use crate::serve::grader::Grader;
use crate::serve::item::{Failure, FailureKind, Item, Outcome};
use crate::serve::metrics::Metrics;
use crate::serve::oracle::Oracles;
use crate::serve::verdicts::Verdicts;

/// What scoring takes, whoever asks.
pub struct Scorer {
    oracles: Arc<Oracles>,
    verdicts: Option<Verdicts>,
    options: Options,
}

impl Scorer {
    /// `grader` is needed for the kind `tests` alone.
    #[must_use]
    pub fn new(oracles: Oracles, grader: Option<Grader>, options: Options) -> Self {
        let verdicts = grader.map(|grader| Verdicts::new(Arc::new(grader)));
        Self { oracles: Arc::new(oracles), verdicts, options }
    }
}

/// A scorer at work within a server's limits.
pub(super) struct Desk {
    scorer: Scorer,
    /// Bounds the blocking threads that compare texts.
    workers: Arc<Semaphore>,
    /// Bounds those that parse large bodies, which must not wait behind comparisons: whether a
    /// request is admitted should be known soon.
    readers: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Desk {
    pub(super) fn new(scorer: Scorer, workers: usize, metrics: Arc<Metrics>) -> Self {
        let pool = || Arc::new(Semaphore::new(workers.max(1)));
        Self { scorer, workers: pool(), readers: pool(), metrics }
    }

    /// Scores all items side by side; `slots` holds one for each, given back as soon as it is
    /// done. Dropping the future takes what has not begun out of the queue.
    pub(super) async fn score(
        &self,
        items: Vec<Item>,
        slots: Vec<OwnedSemaphorePermit>,
        deadline: Instant,
    ) -> Vec<Outcome> {
        let work = items.into_iter().zip(slots).map(|(item, slot)| async move {
            let kind = item.kind();
            let outcome = match timeout_at(deadline, self.one(item, deadline)).await {
                Ok(outcome) => outcome,
                Err(_) => late(kind),
            };
            self.metrics.item(kind, &outcome);
            drop(slot);
            outcome
        });
        join_all(work).await
    }

    async fn one(&self, item: Item, deadline: Instant) -> Outcome {
        match item {
            Item::Case(case) => self.compare(deadline, move |_| Ok(*case)).await,
            Item::Like(id, answer) => {
                self.compare(deadline, move |oracles| oracles.case(&id, answer)).await
            }
            Item::Tests(id, answer) => self.judge(id, answer).await,
        }
    }

    async fn compare(
        &self,
        deadline: Instant,
        case: impl FnOnce(&Oracles) -> Result<Case, Outcome> + Send + 'static,
    ) -> Outcome {
        let oracles = Arc::clone(&self.scorer.oracles);
        let mut options = self.scorer.options.clone();
        self.blocking(move || {
            options.deadline = Some(deadline.saturating_duration_since(Instant::now()));
            match case(&oracles) {
                Ok(case) => compared(&case, &options, deadline),
                Err(outcome) => outcome,
            }
        })
        .await
    }

    async fn judge(&self, id: InstanceId, answer: Text) -> Outcome {
        let Some(verdicts) = &self.scorer.verdicts else {
            // Without a dataset no instance is known; this says so in the usual words.
            return match self.scorer.oracles.row(&id) {
                Err(outcome) => outcome,
                Ok(_) => masked(FailureKind::NotGradable, "this server runs no tests"),
            };
        };
        let oracles = Arc::clone(&self.scorer.oracles);
        let wanted = id.clone();
        let found = self.threaded(move || oracles.candidate(&wanted, &answer)).await;
        let candidate = match found {
            Ok(Ok(candidate)) => candidate,
            Ok(Err(outcome)) | Err(outcome) => return outcome,
        };
        let (judged, cached) = verdicts.get(&id, candidate).await;
        self.metrics.looked_up(cached);
        match judged {
            Ok(verdict) => {
                Outcome::Judged { resolved: verdict.resolved, error: verdict.error, cached }
            }
            Err(failure) => Outcome::Masked(failure),
        }
    }

    async fn blocking(&self, work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
        self.threaded(work).await.unwrap_or_else(|outcome| outcome)
    }

    /// Parses on a thread of its own.
    pub(super) async fn parse<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Outcome> {
        self.on(&self.readers, work).await
    }

    async fn threaded<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Outcome> {
        self.on(&self.workers, work).await
    }

    /// Runs on a blocking thread when the pool has one free. The permit goes with the thread: work
    /// whose waiter has gone still takes its place until it ends.
    async fn on<T: Send + 'static>(
        &self,
        pool: &Arc<Semaphore>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Outcome> {
        let Ok(permit) = Arc::clone(pool).acquire_owned().await else {
            return Err(masked(FailureKind::Shutdown, "the server ends"));
        };
        let metrics = Arc::clone(&self.metrics);
        let done = tokio::task::spawn_blocking(move || {
            let running = metrics.running();
            let result = work();
            drop((running, permit));
            result
        });
        done.await
            .map_err(|error| masked(FailureKind::Internal, format!("scoring stopped: {error}")))
    }
}

fn compared(case: &Case, options: &Options, deadline: Instant) -> Outcome {
    let mut score = score(case, options);
    if score.reward.is_some() {
        return Outcome::Compared(score);
    }
    let reason = score.error.take().unwrap_or_default();
    if Instant::now() >= deadline {
        late(Kind::Similarity)
    } else {
        masked(FailureKind::NotGradable, reason)
    }
}

fn masked(kind: FailureKind, reason: impl Into<String>) -> Outcome {
    Outcome::Masked(Failure::new(kind, reason))
}

fn late(kind: Kind) -> Outcome {
    let reason = match kind {
        Kind::Similarity => "the deadline passed before the texts were compared",
        Kind::Tests => {
            "the deadline passed before the tests ended; if they have begun they go on, and the \
             same request finds their verdict later"
        }
    };
    masked(FailureKind::Deadline, reason)
}
