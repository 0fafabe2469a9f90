//! Answers from journals alone: no network, no model.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedSender;

use crate::artifact::InstanceId;
use crate::event::Events;
use crate::llm::journal::file::Journal;
use crate::llm::journal::join::has_journal;
use crate::llm::journal::line::{prompt_digest, request_key};
use crate::llm::journal::recording::replied_from_journal;
use crate::llm::{Arrival, Completion, ModelClient, ModelError, ModelRequest, Reply};

/// The name where no recorded reply names its model.
const UNNAMED: &str = "recorded";

/// Recorded answers.
///
/// A request is looked up under its exact key first, then by kind and sample of the instance. If
/// that gives an answer to another prompt, a notice says so once per instance; recordings written by
/// hand, which know no prompts, give none. What is not recorded is [`ModelError::NotRecorded`].
#[derive(Debug)]
pub struct Replay {
    model: String,
    events: Events,
    /// Directories with `<instance>/journal.jsonl.zst`.
    dirs: Vec<PathBuf>,
    /// A single file, which answers for every instance.
    any: Option<PathBuf>,
    journals: Mutex<HashMap<InstanceId, Vec<Journal>>>,
    noticed: Mutex<HashSet<InstanceId>>,
}

impl Replay {
    /// Replays from `paths`: directories as [`crate::llm::Journaled`] writes them (a run directory
    /// is one), and single journals, plain or packed. A single journal's instance is the folder's name for
    /// `<instance>/journal.jsonl.zst`, else the file's without its ending; a journal that is the only
    /// path answers for every instance.
    ///
    /// # Errors
    /// [`ModelError::Journal`] if a path is missing, cannot be read or holds nothing recorded;
    /// [`ModelError::Config`] if no path is given or a file's name is no instance.
    pub fn new(paths: &[PathBuf], events: Events) -> Result<Self, ModelError> {
        let mut replay = Self::empty(events);
        let mut named = None;
        for path in paths {
            let failed = |source| ModelError::Journal { path: path.clone(), source };
            let model = if fs::metadata(path).map_err(failed)?.is_dir() {
                replay.dirs.push(path.clone());
                first_model(path).map_err(failed)?
            } else {
                let journal = opened(path, &replay.events).map_err(failed)?;
                let model = journal.models().first().cloned();
                if paths.len() == 1 {
                    replay.any = Some(path.clone());
                } else {
                    let instance = instance_of(path)?;
                    replay.journals().entry(instance).or_default().push(journal);
                }
                model
            };
            named = named.or(model);
        }
        if paths.is_empty() {
            return Err(ModelError::Config { detail: "no journal is given to replay".into() });
        }
        for (instance, journals) in replay.journals().iter_mut() {
            journals.extend(replay.of_dirs(instance));
        }
        replay.model = named.unwrap_or_else(|| UNNAMED.to_owned());
        Ok(replay)
    }

    /// Replays `lines`, a journal's text, for `instance`. [`Replay::and_lines`] adds further ones.
    ///
    /// # Errors
    /// [`ModelError::Config`] if no line of it is a reply.
    pub fn from_lines(
        instance: &InstanceId,
        lines: &str,
        events: Events,
    ) -> Result<Self, ModelError> {
        Self::empty(events).and_lines(instance, lines)
    }

    /// Adds another instance's recordings.
    ///
    /// # Errors
    /// As [`Replay::from_lines`].
    pub fn and_lines(mut self, instance: &InstanceId, lines: &str) -> Result<Self, ModelError> {
        let mut journal = Journal::text(lines, self.events.of(instance));
        let path = journal.path();
        journal.refresh().map_err(|source| ModelError::Journal { path, source })?;
        if journal.is_empty() {
            let detail = format!("the recordings of {instance} hold no reply");
            return Err(ModelError::Config { detail });
        }
        if let Some(model) = journal.models().first().filter(|_| self.model == UNNAMED) {
            self.model.clone_from(model);
        }
        self.journals().entry(instance.clone()).or_default().push(journal);
        Ok(self)
    }

    /// A replay that holds nothing yet; [`Replay::and_lines`] adds recordings.
    #[must_use]
    pub fn empty(events: Events) -> Self {
        Self {
            model: UNNAMED.to_owned(),
            events,
            dirs: Vec::new(),
            any: None,
            journals: Mutex::default(),
            noticed: Mutex::default(),
        }
    }

    fn journals(&self) -> MutexGuard<'_, HashMap<InstanceId, Vec<Journal>>> {
        self.journals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journals that the directories hold of `instance`, whether they exist or not.
    fn of_dirs(&self, instance: &InstanceId) -> Vec<Journal> {
        let events = || self.events.of(instance);
        let of_dir = |dir: &PathBuf| Journal::at(&dir.join(instance.as_str()), events());
        let any = self.any.iter().map(|path| Journal::file(path.clone(), events()));
        self.dirs.iter().map(of_dir).chain(any).collect()
    }

    /// The answer to one sample, and whether it was given to another prompt.
    fn find(
        &self,
        request: &ModelRequest,
        prompt: &str,
        sample: u32,
    ) -> Result<(Reply, bool), ModelError> {
        let mut journals = self.journals();
        let own = || self.of_dirs(&request.instance);
        let own = journals.entry(request.instance.clone()).or_insert_with(own);
        let mut nearest = None;
        for journal in own {
            let failed = |path| move |source| ModelError::Journal { path, source };
            journal.refresh().map_err(failed(journal.path()))?;
            for model in journal.models().to_vec() {
                let key = request_key(&model, prompt, request, sample);
                if let Some(reply) = journal.by_key(&key).map_err(failed(journal.path()))? {
                    return Ok((reply, false));
                }
            }
            let found = journal.by_sample(request.call, sample, prompt);
            if let Some((reply, of)) = found.map_err(failed(journal.path()))? {
                let other = of.is_some_and(|of| of != prompt);
                // An answer to this very prompt is better than one from an earlier journal.
                if nearest.as_ref().is_none_or(|&(_, before)| before && !other) {
                    nearest = Some((reply, other));
                }
            }
        }
        let (instance, call) = (request.instance.clone(), request.call.name());
        nearest.ok_or(ModelError::NotRecorded { instance, call, sample })
    }
}

#[async_trait]
impl ModelClient for Replay {
    async fn complete(&self, request: &ModelRequest) -> Vec<Result<Completion, ModelError>> {
        let replies = self.replies(request);
        let complete = |(sample, reply): Arrival| reply.map(|reply| reply.completion(sample, true));
        replies.into_iter().map(complete).collect()
    }

    fn model(&self) -> &str {
        &self.model
    }

    async fn stream(&self, request: &ModelRequest, arrived: UnboundedSender<Arrival>) {
        for arrival in self.replies(request) {
            let _ = arrived.send(arrival);
        }
    }
}

impl Replay {
    fn replies(&self, request: &ModelRequest) -> Vec<Arrival> {
        let prompt = prompt_digest(&request.messages);
        let events = self.events.of(&request.instance);
        let mut arrivals = Vec::with_capacity(request.samples.len());
        for sample in request.samples.clone() {
            let found = self.find(request, &prompt, sample).map(|(reply, other)| {
                if other && self.first_time(&request.instance) {
                    events.notice(
                        "the recorded replies answer other prompts than today's; the result may differ",
                    );
                }
                events.emit(replied_from_journal(request, sample, &reply));
                reply
            });
            arrivals.push((sample, found));
        }
        arrivals
    }

    fn first_time(&self, instance: &InstanceId) -> bool {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner).insert(instance.clone())
    }
}

fn opened(path: &Path, events: &Events) -> io::Result<Journal> {
    let mut journal = Journal::file(path.to_owned(), events.clone());
    journal.refresh()?;
    if journal.is_empty() {
        return Err(io::Error::new(ErrorKind::InvalidData, "no line of it is a recorded reply"));
    }
    Ok(journal)
}

/// The model that the first journal in `dir` which names one names.
fn first_model(dir: &Path) -> io::Result<Option<String>> {
    let mut folders: Vec<_> = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    folders.sort();
    let mut any = false;
    for folder in folders {
        if !has_journal(&folder) {
            continue;
        }
        any = true;
        // Notices belong to the instance's own use of the file.
        let mut journal = Journal::at(&folder, Events::discard());
        journal.refresh()?;
        if let Some(model) = journal.models().first() {
            return Ok(Some(model.clone()));
        }
    }
    if any {
        return Ok(None);
    }
    Err(io::Error::new(ErrorKind::NotFound, "no <instance>/journal.jsonl.zst in this directory"))
}

fn instance_of(path: &Path) -> Result<InstanceId, ModelError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(".zst").unwrap_or(name);
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let name = if stem == "journal" { folder.unwrap_or(stem) } else { stem };
    InstanceId::new(name).map_err(|error| ModelError::Config {
        detail: format!("cannot tell whose journal {} is: {error}", path.display()),
    })
}
