//! Who may come in: bounds on items and on the bytes of bodies, without waiting.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::serve::Limits;
use crate::serve::refusal::Refusal;

/// Bytes of one permit of the byte budget: a semaphore counts in 32 bits.
const UNIT: usize = 1024;

/// Bounds on what is in the server at one time.
pub(super) struct Gate {
    slots: Arc<Semaphore>,
    capacity: usize,
    bytes: Arc<Semaphore>,
}

/// A body's part of the byte budget; given back on drop.
#[derive(Default)]
pub(super) struct Held {
    permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(limits.queue)),
            capacity: limits.queue,
            bytes: Arc::new(Semaphore::new(limits.total_bytes.div_ceil(UNIT))),
        }
    }

    /// A slot for each of `items`, or none at all.
    pub(super) fn admit(&self, items: usize) -> Result<Vec<OwnedSemaphorePermit>, Refusal> {
        if items > self.capacity {
            return Err(Refusal::too_large(format!(
                "the request holds {items} items, and the queue only {}: send smaller batches or \
                 start the server with a larger --queue",
                self.capacity
            )));
        }
        let wanted = u32::try_from(items).unwrap_or(u32::MAX);
        let Ok(mut all) = Arc::clone(&self.slots).try_acquire_many_owned(wanted) else {
            let message = format!("the queue of {} items is full", self.capacity);
            return Err(Refusal::busy("queue_full", message));
        };
        let mut slots = Vec::with_capacity(items);
        for _ in 1..items {
            slots.extend(all.split(1));
        }
        if items > 0 {
            slots.push(all);
        }
        Ok(slots)
    }

    /// Adds to what a body holds until it covers `bytes`.
    pub(super) fn hold(&self, held: &mut Held, bytes: usize) -> Result<(), Refusal> {
        let has = held.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(bytes.div_ceil(UNIT).saturating_sub(has)).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let Ok(permit) = Arc::clone(&self.bytes).try_acquire_many_owned(more) else {
            let message = "the bodies of other requests fill the memory that is set aside for them";
            return Err(Refusal::busy("memory_full", message));
        };
        match &mut held.permit {
            Some(first) => first.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }

    /// Items that are waiting or running.
    pub(super) fn taken(&self) -> usize {
        self.capacity.saturating_sub(self.slots.available_permits())
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::serve::Kind;

    fn gate(queue: usize, total_bytes: usize) -> Gate {
        Gate::new(&Limits {
            kind: Kind::Similarity,
            queue,
            deadline: Duration::from_secs(1),
            body_bytes: 1,
            total_bytes,
            read_timeout: Duration::from_secs(1),
            connections: 1,
            workers: 1,
        })
    }

    #[test]
    fn a_batch_enters_whole_or_not_at_all() {
        let gate = gate(4, 0);
        let mut three = gate.admit(3).unwrap();
        assert_eq!((three.len(), gate.taken()), (3, 3));
        let refused = gate.admit(2).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code), (429, "queue_full"));
        assert_eq!(gate.taken(), 3, "a refused batch kept slots");
        three.pop();
        assert_eq!(gate.admit(2).unwrap().len(), 2);
        assert_eq!(gate.admit(0).unwrap().len(), 0);
        assert_eq!(gate.admit(5).unwrap_err().status.as_u16(), 413, "it could never enter");
    }

    #[test]
    fn bytes_are_held_until_the_body_goes() {
        let gate = gate(1, 10 * UNIT);
        let (mut one, mut two) = (Held::default(), Held::default());
        gate.hold(&mut one, 6 * UNIT).unwrap();
        gate.hold(&mut one, 8 * UNIT).unwrap();
        gate.hold(&mut two, 2 * UNIT).unwrap();
        assert_eq!(gate.hold(&mut two, 2 * UNIT + 1).unwrap_err().code, "memory_full");
        drop(one);
        gate.hold(&mut two, 10 * UNIT).unwrap();
    }
}
