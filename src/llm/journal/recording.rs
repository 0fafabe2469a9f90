//! A client that asks its inner one only for what the journal lacks, and writes down each answer
//! before it hands it on.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::artifact::{InstanceId, Server};
use crate::event::{EventKind, Events};
use crate::llm::journal::commit::{Batch, Shelf};
use crate::llm::journal::file::Journal;
use crate::llm::journal::line::{prompt_digest, request_key};
use crate::llm::journal::packed::Packer;
use crate::llm::{Arrival, Completion, ModelClient, ModelError, ModelRequest, Reply};

/// Replies taken from the client at once at most.
const GROUP: usize = 64;

/// A model whose answers are kept under `DIR/<instance>/journal.jsonl.zst`.
///
/// The key of an answer is a digest over the model's identity (name and vendor settings), messages,
/// temperature, `max_tokens`, stop texts, seed of the run and sample. Errors are not kept. A request that another one is already asking
/// waits for that answer; a process killed in the middle loses only what was still under way.
pub struct Journaled {
    inner: Arc<dyn ModelClient>,
    dir: PathBuf,
    events: Events,
    packer: Arc<Packer>,
    shelves: Mutex<HashMap<InstanceId, Arc<Shelf>>>,
    asking: Mutex<Asking>,
}

/// A lock for each answer that somebody is asking for.
#[derive(Default)]
struct Asking {
    locks: HashMap<String, Arc<AsyncMutex<()>>>,
    /// With more locks than this those are taken away that nobody holds.
    swept_at: usize,
}

/// What belongs to one request while it is answered.
struct Task<'a> {
    request: &'a ModelRequest,
    events: Events,
    shelf: Arc<Shelf>,
    messages: Arc<[crate::llm::Message]>,
    prompt: Arc<str>,
    identity: String,
}

impl Journaled {
    /// Records what `inner` answers in `dir`, and answers what is there from there.
    #[must_use]
    pub fn recording(inner: Arc<dyn ModelClient>, dir: &Path, events: Events) -> Self {
        let (shelves, asking) = (Mutex::default(), Mutex::default());
        let packer = Arc::new(Packer::new());
        Self { inner, dir: dir.to_owned(), events, packer, shelves, asking }
    }

    fn shelf(&self, instance: &InstanceId) -> Arc<Shelf> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || {
            let folder = self.dir.join(instance.as_str());
            let journal = Journal::at(&folder, self.events.of(instance));
            Arc::new(Shelf::new(journal, self.packer.clone()))
        };
        shelves.entry(instance.clone()).or_insert_with(open).clone()
    }

    /// Waits until nobody else asks for `key`. Dropping the guard lets the next one ask.
    async fn alone(&self, key: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
            let Asking { locks, swept_at } = &mut *asking;
            // Not each time: with hundreds of samples under way that would be a square of them.
            if locks.len() > *swept_at {
                locks.retain(|_, lock| Arc::strong_count(lock) > 1);
                *swept_at = 2 * locks.len() + 64;
            }
            locks.entry(key.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }

    /// Sends what the journal holds of `samples`; gives back the rest, in order.
    async fn known(
        &self,
        task: &Task<'_>,
        samples: Vec<u32>,
        arrived: &UnboundedSender<(Arrival, bool)>,
    ) -> Vec<u32> {
        let keys: Vec<_> = samples.iter().map(|&sample| (sample, task.key(sample))).collect();
        let found = task
            .with_journal(move |journal| {
                journal.refresh()?;
                let find = |(sample, key): (u32, String)| Ok((sample, journal.by_key(&key)?));
                keys.into_iter().map(find).collect::<io::Result<Vec<_>>>()
            })
            .await;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let path = || task.path();
                for sample in samples {
                    let source = io::Error::new(error.kind(), error.to_string());
                    let error = ModelError::Journal { path: path(), source };
                    let _ = arrived.send(((sample, Err(error)), false));
                }
                return Vec::new();
            }
        };
        let mut missing = Vec::new();
        for (sample, reply) in found {
            let Some(reply) = reply else {
                missing.push(sample);
                continue;
            };
            task.events.emit(replied_from_journal(task.request, sample, &reply));
            let _ = arrived.send(((sample, Ok(reply)), true));
        }
        missing
    }

    /// Asks for `missing`, whose guards are held, and keeps each answer when it arrives.
    async fn ask(
        &self,
        task: &Task<'_>,
        missing: &[u32],
        mut guards: BTreeMap<u32, OwnedMutexGuard<()>>,
        arrived: &UnboundedSender<(Arrival, bool)>,
    ) {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Arrival>();
        let requests: Vec<_> = ranges(missing)
            .into_iter()
            .map(|samples| ModelRequest { samples, ..task.request.clone() })
            .collect();
        let asked = requests.iter().map(|request| self.inner.stream(request, sender.clone()));
        let asked = join_all(asked);
        drop(sender);
        let kept = async {
            let (mut group, mut open, mut syncing) = (Vec::new(), true, FuturesUnordered::new());
            while open || !syncing.is_empty() {
                tokio::select! {
                    // What arrives is written before anything waits for a disk.
                    biased;
                    count = receiver.recv_many(&mut group, GROUP), if open => {
                        open = count > 0;
                        syncing.push(task.keep(std::mem::take(&mut group)));
                    }
                    Some(done) = syncing.next() => for (sample, answer) in done {
                        let _ = arrived.send(((sample, answer), false));
                        guards.remove(&sample);
                    }
                }
            }
        };
        tokio::join!(asked, kept);
    }

    /// Answers everything, in any order; true stands for an answer from the journal.
    async fn answer(&self, request: &ModelRequest, arrived: UnboundedSender<(Arrival, bool)>) {
        let task = Task {
            request,
            events: self.events.of(&request.instance),
            shelf: self.shelf(&request.instance),
            messages: request.messages.clone().into(),
            prompt: prompt_digest(&request.messages).into(),
            identity: self.inner.identity(),
        };
        let missing = self.known(&task, request.samples.clone().collect(), &arrived).await;
        if missing.is_empty() {
            return;
        }
        // Everybody takes locks in the same order, so that no two wait for one another.
        let keys: BTreeMap<_, _> =
            missing.iter().map(|&sample| (task.key(sample), sample)).collect();
        let mut guards = BTreeMap::new();
        for (key, sample) in keys {
            guards.insert(sample, self.alone(&key).await);
        }
        // Another one may have asked meanwhile.
        let missing = self.known(&task, missing, &arrived).await;
        guards.retain(|sample, _| missing.contains(sample));
        self.ask(&task, &missing, guards, &arrived).await;
    }
}

#[async_trait]
impl ModelClient for Journaled {
    async fn complete(&self, request: &ModelRequest) -> Vec<Result<Completion, ModelError>> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        self.answer(request, sender).await;
        let mut answers = BTreeMap::new();
        while let Ok(((sample, reply), journaled)) = receiver.try_recv() {
            answers.insert(sample, reply.map(|reply| reply.completion(sample, journaled)));
        }
        answers.into_values().collect()
    }

    fn model(&self) -> &str {
        self.inner.model()
    }

    fn identity(&self) -> String {
        self.inner.identity()
    }

    async fn server(&self) -> Option<Server> {
        self.inner.server().await
    }

    async fn stream(&self, request: &ModelRequest, arrived: UnboundedSender<Arrival>) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let forward = async {
            while let Some((arrival, _)) = receiver.recv().await {
                let _ = arrived.send(arrival);
            }
        };
        tokio::join!(self.answer(request, sender), forward);
    }
}

impl Task<'_> {
    fn key(&self, sample: u32) -> String {
        request_key(&self.identity, &self.prompt, self.request, sample)
    }

    fn path(&self) -> PathBuf {
        self.shelf.with(|journal| journal.path())
    }

    /// Writes the replies of `arrivals` down, also if the caller is dropped meanwhile. The future
    /// given back is done when they are on disk, and gives the arrivals back.
    fn keep(&self, arrivals: Vec<Arrival>) -> impl Future<Output = Vec<Arrival>> + use<'_> {
        let (mut replies, mut rest) = (Vec::new(), Vec::new());
        for (sample, answer) in arrivals {
            match answer {
                Ok(reply) => replies.push((sample, self.key(sample), reply)),
                Err(error) => rest.push((sample, Err(error))),
            }
        }
        let replies = Arc::new(replies);
        let kept = (!replies.is_empty()).then(|| {
            self.shelf.commit(Batch {
                prompt: self.prompt.clone(),
                messages: self.messages.clone(),
                call: self.request.call,
                replies: replies.clone(),
            })
        });
        async move {
            let kept = match kept {
                Some(kept) => kept.await,
                None => Ok(()),
            };
            let answer = |(sample, _, reply): &(u32, String, Reply)| match &kept {
                Ok(()) => (*sample, Ok(reply.clone())),
                Err(error) => {
                    let source = io::Error::new(error.kind(), error.to_string());
                    (*sample, Err(ModelError::Journal { path: self.path(), source }))
                }
            };
            rest.extend(replies.iter().map(answer));
            rest
        }
    }

    async fn with_journal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let shelf = self.shelf.clone();
        blocking(move || shelf.with(work)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The event of an answer that cost nothing.
pub(super) fn replied_from_journal(
    request: &ModelRequest,
    sample: u32,
    reply: &Reply,
) -> EventKind {
    EventKind::ModelReplied {
        call: request.call.name().to_owned(),
        sample,
        usage: reply.usage,
        journaled: true,
        seconds: 0.0,
    }
}

/// `samples`, which ascend, as runs without gaps.
fn ranges(samples: &[u32]) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for &sample in samples {
        match ranges.last_mut() {
            Some(last) if last.end == sample => last.end += 1,
            _ => ranges.push(sample..sample + 1),
        }
    }
    ranges
}
