//! What stands before the server: as many requests as it bears, and the order in which they go.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::artifact::InstanceId;
use crate::event::{EventKind, Events};
use crate::llm::http::pace::{News, Pace, Sent};
use crate::llm::{Call, ModelRequest};
use crate::queue::{Pass, Place, Queue};

/// The gate. Its limit follows what becomes of requests, unless that is switched off.
#[derive(Debug)]
pub(super) struct Gate {
    queue: Queue,
    /// None where the limit is fixed.
    pace: Option<Mutex<Pace>>,
    order: Mutex<Order>,
    events: Events,
}

/// What places in the line follow from.
#[derive(Debug, Default)]
struct Order {
    ages: HashMap<InstanceId, u64>,
    groups: u64,
}

impl Gate {
    /// Lets at most `most` requests through at the same time.
    pub(super) fn new(most: usize, adaptive: bool, events: Events) -> Self {
        let pace = adaptive.then(|| Pace::new(most, true));
        let limit = pace.as_ref().map_or(most, Pace::limit);
        Self {
            queue: Queue::new(limit),
            pace: pace.map(Mutex::new),
            order: Mutex::default(),
            events,
        }
    }

    /// The place of a request's samples: those of one prompt go one after another, so that a server
    /// with a prefix cache reads the prompt once. The first does not go ahead alone: answers come
    /// whole, so the others would wait for a whole answer, while servers that batch share a prefix
    /// within a batch as well.
    ///
    /// Instances are as old as their first request. Within one, scripts that reproduce the issue go
    /// before repairs, which are more: scripts run while repairs are still asked for.
    pub(super) fn place(&self, request: &ModelRequest) -> Place {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let next = order.ages.len() as u64;
        let age = *order.ages.entry(request.instance.clone()).or_insert(next);
        order.groups += 1;
        Place {
            of_many: request.samples.len() > 1,
            age,
            rank: match request.call {
                Call::Localize => 0,
                Call::SelectRegression => 1,
                Call::Reproduce => 2,
                Call::Repair => 3,
            },
            group: order.groups,
            index: request.samples.start,
        }
    }

    /// Waits for the right to send.
    pub(super) async fn enter(&self, place: Place) -> Pass {
        self.queue.enter(place).await
    }

    /// Lets nothing through for `wait`: the server asks for it.
    pub(super) fn pause(&self, wait: Duration) {
        self.queue.close_until(tokio::time::Instant::now() + wait);
    }

    /// A request that is sent now, after it was let through.
    pub(super) fn sent(&self) -> Sent {
        Sent { at: Instant::now(), among: self.queue.inside() }
    }

    /// Takes note of what became of a request that has not left the gate yet.
    pub(super) fn note(&self, news: News, sent: Sent, reason: &str) {
        let Some(pace) = &self.pace else { return };
        let (under_way, changed) = {
            let mut pace = lock(pace);
            let under_way = self.queue.inside();
            let changed = pace.note(news, sent, Instant::now(), under_way);
            if let Some(change) = &changed {
                // Under the lock of the pace: a later limit must not be overwritten by an earlier one.
                self.queue.set_limit(change.limit);
            }
            (under_way, changed)
        };
        if let Some(change) = changed.filter(|change| change.telling) {
            let reason = match reason {
                "" => change.why.to_owned(),
                reason => format!("{} ({reason})", change.why),
            };
            let (limit, waiting) = (change.limit, self.queue.waiting());
            self.events.emit(EventKind::ModelPaced { limit, under_way, waiting, reason });
        }
    }
}

fn lock(pace: &Mutex<Pace>) -> MutexGuard<'_, Pace> {
    pace.lock().unwrap_or_else(PoisonError::into_inner)
}
