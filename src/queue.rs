//! Who goes next where a limit is reached: the oldest instance, and what belongs together in a row.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;
use tokio::time::Instant;

/// A place in the line; the smallest goes first. Equal places go in order of arrival.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Whether it is one of many of its group. One that is alone goes before all that are not:
    /// it costs a single turn, and a whole instance waits for it.
    pub of_many: bool,
    /// Number of the instance in the order in which work on it began. Old ones finish first.
    pub age: u64,
    /// Order among an instance's groups.
    pub rank: u8,
    /// What belongs together: once its first has gone, the others that wait go before all but
    /// those that are alone. Groups of several instances must differ.
    pub group: u64,
    /// Order within the group.
    pub index: u32,
}

impl Place {
    /// The place of an instance's work in which nothing belongs together.
    #[must_use]
    pub fn of_age(age: u64) -> Self {
        Self { age, ..Self::default() }
    }

    fn group_of(&self) -> (bool, u64, u8, u64) {
        (self.of_many, self.age, self.rank, self.group)
    }
}

/// A limit on what goes on at the same time, with an ordered line before it. Clones share it.
///
/// Nobody is passed over for ever: an older instance's work ends, and so does a group.
#[derive(Debug, Clone)]
pub struct Queue {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    inside: usize,
    closed_until: Option<Instant>,
    waiting: BTreeMap<(Place, u64), oneshot::Sender<Pass>>,
    arrivals: u64,
    /// The group of many whose turn it is.
    current: Option<Place>,
}

/// The right to go on; given back when it is dropped.
#[derive(Debug)]
pub struct Pass {
    of: Option<Arc<Mutex<State>>>,
}

impl Queue {
    /// Lets `limit` in at the same time.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let state = State {
            limit,
            inside: 0,
            closed_until: None,
            waiting: BTreeMap::new(),
            arrivals: 0,
            current: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Waits for its turn. Whoever stops waiting loses its place and nothing else.
    pub async fn enter(&self, place: Place) -> Pass {
        loop {
            let (sender, receiver) = oneshot::channel();
            {
                let mut state = lock(&self.state);
                state.arrivals += 1;
                let arrival = state.arrivals;
                state.waiting.insert((place, arrival), sender);
                state.admit(&self.state);
            }
            // A sender is dropped unused only with the queue, which `self` keeps.
            if let Ok(pass) = receiver.await {
                return pass;
            }
        }
    }

    /// Changes the limit. Those inside beyond a lower one stay until they are done.
    pub fn set_limit(&self, limit: usize) {
        let mut state = lock(&self.state);
        state.limit = limit;
        state.admit(&self.state);
    }

    /// Lets nobody in before `until`. A later end stays.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn close_until(&self, until: Instant) {
        {
            let mut state = lock(&self.state);
            if state.closed_until.is_some_and(|known| known >= until) {
                return;
            }
            state.closed_until = Some(until);
        }
        let state = Arc::downgrade(&self.state);
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            if let Some(state) = Weak::upgrade(&state) {
                lock(&state).admit(&state);
            }
        });
    }

    /// How many are inside.
    #[must_use]
    pub fn inside(&self) -> usize {
        lock(&self.state).inside
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.state).waiting.values().filter(|sender| !sender.is_closed()).count()
    }
}

fn lock(state: &Arc<Mutex<State>>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn admit(&mut self, this: &Arc<Mutex<Self>>) {
        if let Some(until) = self.closed_until {
            if Instant::now() < until {
                return;
            }
            self.closed_until = None;
        }
        while self.inside < self.limit {
            let Some(key) = self.next() else { return };
            let Some(sender) = self.waiting.remove(&key) else { return };
            if sender.is_closed() {
                continue;
            }
            self.inside += 1;
            match sender.send(Pass { of: Some(Arc::clone(this)) }) {
                Ok(()) if key.0.of_many => self.current = Some(key.0),
                Ok(()) => {}
                Err(mut unused) => {
                    // Dropping it would ask for the lock that is held here.
                    unused.of = None;
                    self.inside -= 1;
                }
            }
        }
    }

    fn next(&self) -> Option<(Place, u64)> {
        let first = *self.waiting.keys().next()?;
        let Some(current) = self.current.filter(|_| first.0.of_many) else { return Some(first) };
        let from = Place { index: 0, ..current };
        let mut rest = self.waiting.range((from, 0)..).map(|(key, _)| *key);
        let same = rest.next().filter(|key| key.0.group_of() == current.group_of());
        same.or(Some(first))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(of) = self.of.take() {
            let mut state = lock(&of);
            state.inside -= 1;
            state.admit(&of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    fn place(age: u64, rank: u8, group: u64, index: u32) -> Place {
        Place { of_many: true, age, rank, group, index }
    }

    /// The order in which `places`, which arrive in this order while nobody may go, are let in one
    /// by one.
    async fn order(places: &[Place]) -> Vec<usize> {
        let queue = Queue::new(0);
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for (number, place) in places.iter().copied().enumerate() {
            let (own, sender) = (queue.clone(), sender.clone());
            tokio::spawn(async move {
                let pass = own.enter(place).await;
                sender.send((number, pass)).unwrap();
            });
            while queue.waiting() <= number {
                tokio::task::yield_now().await;
            }
        }
        drop(sender);
        queue.set_limit(1);
        let mut order = Vec::new();
        while let Some((number, pass)) = receiver.recv().await {
            order.push(number);
            drop(pass);
        }
        order
    }

    #[tokio::test]
    async fn the_oldest_goes_first_and_equals_in_order_of_arrival() {
        let places = [Place::of_age(2), Place::of_age(1), Place::of_age(2), Place::of_age(0)];
        assert_eq!(order(&places).await, [3, 1, 0, 2]);
    }

    #[tokio::test]
    async fn a_group_s_rest_goes_before_an_older_instance_but_not_before_one_that_is_alone() {
        let queue = Queue::new(1);
        let held = queue.enter(place(5, 1, 50, 0)).await;
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let alone = Place { of_many: false, ..place(7, 0, 70, 0) };
        let waiting =
            [place(1, 0, 10, 0), place(5, 1, 50, 2), place(5, 1, 50, 1), place(1, 0, 10, 1), alone];
        for (number, place) in waiting.into_iter().enumerate() {
            let (own, sender) = (queue.clone(), sender.clone());
            tokio::spawn(async move {
                let pass = own.enter(place).await;
                sender.send((number, pass)).unwrap();
            });
        }
        while queue.waiting() < waiting.len() {
            tokio::task::yield_now().await;
        }
        drop((held, sender));
        let mut order = Vec::new();
        while let Some((number, pass)) = receiver.recv().await {
            order.push(number);
            drop(pass);
        }
        assert_eq!(order, [4, 2, 1, 0, 3]);
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_nobody_s_turn() {
        let queue = Queue::new(1);
        let held = queue.enter(Place::of_age(0)).await;
        let first = tokio::spawn({
            let queue = queue.clone();
            async move { queue.enter(Place::of_age(1)).await }
        });
        let second = tokio::spawn({
            let queue = queue.clone();
            async move { queue.enter(Place::of_age(2)).await }
        });
        while queue.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        drop(held);
        let pass = second.await.unwrap();
        assert_eq!((queue.inside(), queue.waiting()), (1, 0));
        drop(pass);
        assert_eq!(queue.inside(), 0);
    }

    #[tokio::test]
    async fn a_lower_limit_waits_for_those_inside_and_a_closed_queue_opens_by_itself() {
        let queue = Queue::new(3);
        let place = Place::of_age(0);
        let (one, two) = (queue.enter(place).await, queue.enter(place).await);
        queue.set_limit(1);
        drop(one);
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.enter(place).await }
        });
        while queue.waiting() < 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(queue.inside(), 1);
        let until = Instant::now() + Duration::from_millis(30);
        queue.close_until(until);
        queue.close_until(until - Duration::from_millis(20));
        drop(two);
        let _pass = waiting.await.unwrap();
        assert!(Instant::now() >= until);
    }
}
