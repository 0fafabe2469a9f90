//! One journal: an index over the lines of a file (or of a text compiled in), and appending.
//!
//! The index holds places, not texts: a run over hundreds of instances keeps gigabytes of replies
//! on disk. Appending is safe among threads and processes, and a process killed in the middle of a
//! line costs that line only.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::event::Events;
use crate::llm::journal::line::Line;
use crate::llm::{Call, Reply};

/// Where a line lies: first byte and length without newline.
type Place = (u64, usize);

/// Where the lines are.
#[derive(Debug)]
enum Source {
    File(PathBuf),
    Text(String),
}

/// A reply's place and the prompt it answers, if that is known.
#[derive(Debug, Clone)]
struct Entry {
    place: Place,
    prompt: Option<String>,
}

/// An indexed journal.
#[derive(Debug)]
pub(super) struct Journal {
    source: Source,
    /// Bytes indexed: up to the end of the last whole line.
    read_to: u64,
    by_key: HashMap<String, Place>,
    by_sample: HashMap<(Call, u32), Vec<Entry>>,
    prompts: HashSet<String>,
    models: Vec<String>,
    skipped_noticed: bool,
    events: Events,
}

/// A reply to append.
pub(super) struct Record<'a> {
    pub(super) key: String,
    pub(super) prompt: String,
    pub(super) messages: &'a [crate::llm::Message],
    pub(super) call: Call,
    pub(super) sample: u32,
    pub(super) reply: &'a Reply,
}

impl Journal {
    /// The journal in the file `path`, which need not exist yet. `events` is the instance's handle.
    pub(super) fn file(path: PathBuf, events: Events) -> Self {
        Self::new(Source::File(path), events)
    }

    /// The journal in `text`.
    pub(super) fn text(text: &str, events: Events) -> Self {
        Self::new(Source::Text(text.to_owned()), events)
    }

    fn new(source: Source, events: Events) -> Self {
        Self {
            source,
            read_to: 0,
            by_key: HashMap::new(),
            by_sample: HashMap::new(),
            prompts: HashSet::new(),
            models: Vec::new(),
            skipped_noticed: false,
            events,
        }
    }

    /// Where it lies, for errors.
    pub(super) fn path(&self) -> PathBuf {
        match &self.source {
            Source::File(path) => path.clone(),
            Source::Text(_) => PathBuf::from("(recordings compiled in)"),
        }
    }

    /// Whether it holds no reply.
    pub(super) fn is_empty(&self) -> bool {
        self.by_sample.is_empty()
    }

    /// The models that its replies name, in order of appearance.
    pub(super) fn models(&self) -> &[String] {
        &self.models
    }

    /// Indexes what was added since the last time, by whomever.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        let mut added = Vec::new();
        match &self.source {
            Source::Text(text) => {
                let from = usize::try_from(self.read_to).unwrap_or(usize::MAX).min(text.len());
                added.extend_from_slice(&text.as_bytes()[from..]);
            }
            Source::File(path) => {
                let mut file = match File::open(path) {
                    Ok(file) => file,
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(error),
                };
                let length = file.metadata()?.len();
                if length < self.read_to {
                    self.forget();
                }
                if length > self.read_to {
                    file.seek(SeekFrom::Start(self.read_to))?;
                    file.read_to_end(&mut added)?;
                }
            }
        }
        self.index(&added);
        Ok(())
    }

    /// The reply under `key`.
    pub(super) fn by_key(&self, key: &str) -> io::Result<Option<Reply>> {
        self.by_key.get(key).map(|&place| self.reply_at(place)).transpose()
    }

    /// A reply to sample `sample` of `call`: the last one to the prompt `prompt`, else the last one.
    /// With it, the digest of the prompt that it answers.
    pub(super) fn by_sample(
        &self,
        call: Call,
        sample: u32,
        prompt: &str,
    ) -> io::Result<Option<(Reply, Option<String>)>> {
        let Some(entries) = self.by_sample.get(&(call, sample)) else { return Ok(None) };
        let same = entries.iter().rfind(|entry| entry.prompt.as_deref() == Some(prompt));
        let Some(entry) = same.or(entries.last()) else { return Ok(None) };
        Ok(Some((self.reply_at(entry.place)?, entry.prompt.clone())))
    }

    /// Appends `records`, and their prompts where the file lacks them, in one write. A key that is
    /// there already stays as it is.
    ///
    /// The write survives the death of the process. To survive that of the machine, the file given
    /// back must be synced, which takes long and needs no lock.
    pub(super) fn append(&mut self, records: Vec<Record<'_>>) -> io::Result<File> {
        let Source::File(path) = &self.source else {
            return Err(io::Error::from(ErrorKind::ReadOnlyFilesystem));
        };
        let path = path.clone();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
        // Released at the latest when the file is closed, also by the death of the process.
        file.lock()?;
        self.refresh()?;
        let mut bytes = self.mend_tail(&mut file)?;
        let mut prompts = HashSet::new();
        for record in records {
            if self.by_key.contains_key(&record.key) {
                continue;
            }
            if !self.prompts.contains(&record.prompt) && prompts.insert(record.prompt.clone()) {
                let (digest, messages) = (record.prompt.clone(), record.messages.into());
                bytes.extend(Line::Prompt { digest, messages }.encode()?);
            }
            let reply = Line::Reply {
                key: Some(record.key),
                prompt: Some(record.prompt),
                call: record.call,
                sample: record.sample,
                reply: std::borrow::Cow::Borrowed(record.reply),
            };
            bytes.extend(reply.encode()?);
        }
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(&bytes) {
            // A full disk leaves half a line; cut now if that works, else the next append cuts.
            let _ = file.set_len(before);
            return Err(error);
        }
        self.refresh()?;
        file.unlock()?;
        Ok(file)
    }

    /// Cuts off a torn last line, which, the lock being held, nobody still writes. Gives back what
    /// must be written first: a newline, if the last whole line lacks its own.
    fn mend_tail(&self, file: &mut File) -> io::Result<Vec<u8>> {
        if file.metadata()?.len() > self.read_to {
            file.set_len(self.read_to)?;
        }
        if self.read_to == 0 {
            return Ok(Vec::new());
        }
        let mut last = [0];
        file.seek(SeekFrom::Start(self.read_to - 1))?;
        file.read_exact(&mut last)?;
        Ok(if last == *b"\n" { Vec::new() } else { vec![b'\n'] })
    }

    fn forget(&mut self) {
        self.read_to = 0;
        self.by_key.clear();
        self.by_sample.clear();
        self.prompts.clear();
    }

    /// Indexes the whole lines of `added`, which begins at `read_to`. A last line without newline is
    /// whole if it can be read: lines are objects, and no part of one is one.
    fn index(&mut self, added: &[u8]) {
        let mut skipped = 0;
        for line in added.split_inclusive(|&byte| byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            if text.len() == line.len() && Line::decode(text).is_err() {
                // Torn, or still being written.
                break;
            }
            let place = (self.read_to, text.len());
            self.read_to += line.len() as u64;
            if text.trim_ascii().is_empty() {
                continue;
            }
            match Line::decode(text) {
                Ok(Line::Prompt { digest, .. }) => {
                    self.prompts.insert(digest);
                }
                Ok(Line::Reply { key, prompt, call, sample, reply }) => {
                    if let Some(key) = key {
                        // The first answer counts, as it did for whoever asked.
                        self.by_key.entry(key).or_insert(place);
                    }
                    let entries = self.by_sample.entry((call, sample)).or_default();
                    entries.push(Entry { place, prompt });
                    if let Some(model) = &reply.model
                        && !self.models.contains(model)
                    {
                        self.models.push(model.clone());
                    }
                }
                Err(_) => skipped += 1,
            }
        }
        if skipped > 0 && !self.skipped_noticed {
            self.skipped_noticed = true;
            let path = self.path();
            self.events.notice(format!(
                "skipped {skipped} unreadable line(s) of the response journal {}",
                path.display()
            ));
        }
    }

    fn reply_at(&self, (start, length): Place) -> io::Result<Reply> {
        let mut bytes = vec![0; length];
        match &self.source {
            Source::Text(text) => {
                let lines = &mut io::Cursor::new(text.as_bytes());
                lines.set_position(start);
                lines.read_exact(&mut bytes)?;
            }
            Source::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(start))?;
                file.read_exact(&mut bytes)?;
            }
        }
        match Line::decode(&bytes) {
            Ok(Line::Reply { reply, .. }) => Ok(reply.into_owned()),
            _ => Err(io::Error::new(ErrorKind::InvalidData, "the file changed while it was used")),
        }
    }
}
