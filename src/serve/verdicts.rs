//! Verdicts by instance and normal form: equal patches are judged once, even while the first of
//! them still runs. Rollout groups repeat patches.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

use crate::artifact::InstanceId;
use crate::serve::grader::{Grader, Verdict};
use crate::serve::item::{Failure, FailureKind};
use crate::serve::oracle::Candidate;

/// Verdicts remembered at one time; the oldest are forgotten first.
const REMEMBERED: usize = 100_000;

type Key = (InstanceId, String);
type Judged = Result<Verdict, Failure>;

/// Where verdicts come from.
pub(super) struct Verdicts {
    known: Arc<Known>,
    grader: Arc<Grader>,
    jobs: Arc<Semaphore>,
}

#[derive(Default)]
struct Known(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    settled: HashMap<Key, Verdict>,
    order: VecDeque<Key>,
    running: HashMap<Key, Arc<watch::Sender<Option<Judged>>>>,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a run. Failures are not remembered: another try may end better.
    fn settle(&self, key: Key, judged: Judged) {
        let mut inner = self.lock();
        if let Ok(verdict) = &judged
            && inner.settled.insert(key.clone(), verdict.clone()).is_none()
        {
            inner.order.push_back(key.clone());
            if inner.order.len() > REMEMBERED
                && let Some(oldest) = inner.order.pop_front()
            {
                inner.settled.remove(&oldest);
            }
        }
        if let Some(sender) = inner.running.remove(&key) {
            sender.send_replace(Some(judged));
        }
    }

    /// Gives a run up, unless somebody has come to wait for it.
    fn abandon(&self, key: &Key) -> bool {
        let mut inner = self.lock();
        let unwanted = inner.running.get(key).is_none_or(|sender| sender.receiver_count() == 0);
        if unwanted {
            inner.running.remove(key);
        }
        unwanted
    }
}

impl Verdicts {
    pub(super) fn new(grader: Arc<Grader>) -> Self {
        let jobs = Arc::new(Semaphore::new(grader.config.jobs.max(1)));
        Self { known: Arc::default(), grader, jobs }
    }

    /// The verdict on a candidate, and whether another item's run gave it.
    ///
    /// Dropping the future gives up waiting. A run for which nobody waits any more is not begun;
    /// one that has begun goes on, so that another try finds its verdict.
    pub(super) async fn get(&self, id: &InstanceId, candidate: Candidate) -> (Judged, bool) {
        let key = (id.clone(), candidate.key.clone());
        let (mut receiver, shared) = {
            let mut inner = self.known.lock();
            if let Some(verdict) = inner.settled.get(&key) {
                return (Ok(verdict.clone()), true);
            }
            match inner.running.get(&key) {
                Some(sender) => (sender.subscribe(), true),
                None => {
                    let (sender, receiver) = watch::channel(None);
                    let sender = Arc::new(sender);
                    inner.running.insert(key.clone(), Arc::clone(&sender));
                    tokio::spawn(self.run(key, candidate, sender));
                    (receiver, false)
                }
            }
        };
        let judged = match receiver.wait_for(Option::is_some).await {
            Ok(judged) => judged.clone(),
            Err(_) => None,
        };
        let lost = || Err(Failure::new(FailureKind::Internal, "the run of the tests was lost"));
        (judged.unwrap_or_else(lost), shared)
    }

    fn run(
        &self,
        key: Key,
        candidate: Candidate,
        sender: Arc<watch::Sender<Option<Judged>>>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (known, grader, jobs) =
            (Arc::clone(&self.known), Arc::clone(&self.grader), Arc::clone(&self.jobs));
        async move {
            let permit = loop {
                tokio::select! {
                    biased;
                    permit = jobs.acquire() => break permit,
                    () = sender.closed() => if known.abandon(&key) { return },
                }
            };
            if sender.receiver_count() == 0 && known.abandon(&key) {
                return;
            }
            // A panic must not leave the key behind, on which all later items would wait.
            let work = tokio::spawn({
                let id = key.0.clone();
                async move { grader.judge(&id, &candidate.patch).await }
            });
            let judged = work.await.unwrap_or_else(|error| {
                Err(Failure::new(FailureKind::Internal, format!("judging stopped: {error}")))
            });
            drop(permit);
            known.settle(key, judged);
        }
    }
}
