//! Group commit: what arrives while the disk is busy goes there together.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::llm::journal::file::{Journal, Record};
use crate::llm::journal::packed::Packer;
use crate::llm::{Call, Message, Reply};

/// Replies to one prompt.
pub(super) struct Batch {
    /// The prompt's digest and text.
    pub(super) prompt: Arc<str>,
    pub(super) messages: Arc<[Message]>,
    pub(super) call: Call,
    /// Sample, key, and what was said.
    pub(super) replies: Arc<Vec<(u32, String, Reply)>>,
}

/// An error that several wait for.
type Shared = Arc<io::Error>;

#[derive(Default)]
struct Queue {
    waiting: Vec<(Batch, oneshot::Sender<Result<(), Shared>>)>,
    /// Whether somebody is writing, who will come for what waits.
    writing: bool,
}

/// A journal and those who wait to write into it.
pub(super) struct Shelf {
    journal: Mutex<Journal>,
    packer: Arc<Packer>,
    queue: Mutex<Queue>,
}

impl Shelf {
    pub(super) fn new(journal: Journal, packer: Arc<Packer>) -> Self {
        Self { journal: Mutex::new(journal), packer, queue: Mutex::default() }
    }

    /// Uses the journal; may wait for whoever uses it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Journal) -> T) -> T {
        work(&mut self.journal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes `batch` down, whether or not the future is awaited; the future is done when it is on
    /// disk.
    pub(super) fn commit(
        self: &Arc<Self>,
        batch: Batch,
    ) -> impl Future<Output = io::Result<()>> + use<> {
        let (done, written) = oneshot::channel();
        let mut queue = self.queue();
        queue.waiting.push((batch, done));
        if !queue.writing {
            queue.writing = true;
            let shelf = self.clone();
            drop(tokio::task::spawn_blocking(move || shelf.write_all()));
        }
        async move {
            match written.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(io::Error::new(error.kind(), error.to_string())),
                Err(_) => Err(io::Error::other("the process ends before it could be written")),
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until nothing waits.
    fn write_all(&self) {
        loop {
            let group = {
                let mut queue = self.queue();
                if queue.waiting.is_empty() {
                    queue.writing = false;
                    return;
                }
                std::mem::take(&mut queue.waiting)
            };
            let (batches, waiting): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let written = self.write(&batches).map_err(Arc::new);
            for done in waiting {
                // Who went away does not want to know.
                let _ = done.send(written.clone());
            }
        }
    }

    fn write(&self, batches: &[Batch]) -> io::Result<()> {
        let mut records = Vec::new();
        for batch in batches {
            let (prompt, messages, call) = (&*batch.prompt, &*batch.messages, batch.call);
            records.extend(batch.replies.iter().map(|(sample, key, reply)| Record {
                key,
                prompt,
                messages,
                call,
                sample: *sample,
                reply,
            }));
        }
        let written = self.with(|journal| journal.append(&records, &self.packer))?;
        // Without the journal's lock, so that others may read meanwhile.
        written.sync()
    }
}
