//! One journal: an index over the lines of its files (or of a text compiled in), and appending.
//!
//! The index holds places, not texts: a run over hundreds of instances keeps gigabytes of replies
//! on disk. Appending is safe among threads and processes, and a process killed in the middle of
//! an append costs what it was appending only.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexSet;
use sha2::{Digest, Sha256};

use crate::event::Events;
use crate::llm::journal::line::{Head, Line};
use crate::llm::journal::packed::{LARGEST_CONTENT, Packer, scan, unpack};
use crate::llm::journal::{PACKED, PLAIN};
use crate::llm::{Call, Reply};

/// Where lines are.
#[derive(Debug)]
enum Part {
    /// Lines compiled in.
    Text(String),
    /// A file of lines.
    Plain(PathBuf),
    /// A file of frames.
    Packed(PathBuf),
}

/// Where a line lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    part: u8,
    /// First byte of the frame, or of the line where there are no frames.
    at: u64,
    /// Bytes of the frame or line.
    length: u32,
    /// Where in the frame's content the line begins, and its bytes without newline.
    line: (u32, u32),
}

/// A reply's place and the number of the prompt that it answers, if that is known.
#[derive(Debug, Clone)]
struct Entry {
    place: Place,
    prompt: Option<usize>,
}

/// An indexed journal.
#[derive(Debug)]
pub(super) struct Journal {
    /// With the bytes of each that are indexed: up to the end of the last whole line or frame.
    parts: Vec<(Part, u64)>,
    by_key: HashMap<u128, Place>,
    by_sample: HashMap<(Call, u32), Vec<Entry>>,
    /// Digests of prompts by number, and which of the prompts are written down.
    prompts: IndexSet<String>,
    written: HashSet<usize>,
    models: Vec<String>,
    /// The content read last, since neighbours are mostly read one behind the other.
    last: Option<(u8, u64, Arc<Vec<u8>>)>,
    noticed: bool,
    events: Events,
}

/// A reply to append.
pub(super) struct Record<'a> {
    pub(super) key: &'a str,
    pub(super) prompt: &'a str,
    pub(super) messages: &'a [crate::llm::Message],
    pub(super) call: Call,
    pub(super) sample: u32,
    pub(super) reply: &'a Reply,
}

/// What was appended: it survives the death of the process, and after [`Written::sync`] that of
/// the machine.
pub(super) struct Written {
    file: File,
    /// The file's folder, if the file is new.
    folder: Option<PathBuf>,
}

impl Written {
    /// Waits for the disk; needs no lock.
    pub(super) fn sync(self) -> io::Result<()> {
        self.file.sync_data()?;
        // A file that its folder has forgotten is as lost as its content.
        for folder in self.folder.iter().flat_map(|folder| folder.ancestors().take(2)) {
            if !folder.as_os_str().is_empty() {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(())
    }
}

/// A frame to be, with what the index is told of its lines.
#[derive(Default)]
struct Block {
    content: Vec<u8>,
    replies: Vec<Indexed>,
}

/// A reply in a frame to be.
struct Indexed {
    /// As [`Place::line`].
    line: (u32, u32),
    key: u128,
    prompt: usize,
    sample: (Call, u32),
}

impl Journal {
    /// The journal of an instance in its folder, which need not exist yet. `events` is the
    /// instance's handle.
    pub(super) fn at(folder: &Path, events: Events) -> Self {
        let parts = vec![Part::Plain(folder.join(PLAIN)), Part::Packed(folder.join(PACKED))];
        Self::new(parts, events)
    }

    /// The journal in a single file, plain or packed by its name's end.
    pub(super) fn file(path: PathBuf, events: Events) -> Self {
        let packed = path.extension().is_some_and(|end| end == "zst");
        Self::new(vec![if packed { Part::Packed(path) } else { Part::Plain(path) }], events)
    }

    /// The journal in `text`.
    pub(super) fn text(text: &str, events: Events) -> Self {
        Self::new(vec![Part::Text(text.to_owned())], events)
    }

    fn new(parts: Vec<Part>, events: Events) -> Self {
        Self {
            parts: parts.into_iter().map(|part| (part, 0)).collect(),
            by_key: HashMap::new(),
            by_sample: HashMap::new(),
            prompts: IndexSet::new(),
            written: HashSet::new(),
            models: Vec::new(),
            last: None,
            noticed: false,
            events,
        }
    }

    /// Where it lies, for errors: the part that is written.
    pub(super) fn path(&self) -> PathBuf {
        match self.parts.last() {
            Some((Part::Plain(path) | Part::Packed(path), _)) => path.clone(),
            _ => PathBuf::from("(recordings compiled in)"),
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
        let mut part = 0;
        while part < self.parts.len() {
            match self.added(part)? {
                Some(added) => {
                    self.index(part, &added);
                    part += 1;
                }
                None => {
                    // A file that became shorter is another one.
                    self.forget();
                    part = 0;
                }
            }
        }
        Ok(())
    }

    /// What stands behind the indexed bytes of a part; none if it has fewer.
    fn added(&self, part: usize) -> io::Result<Option<Vec<u8>>> {
        let (part, read_to) = &self.parts[part];
        let mut added = Vec::new();
        let path = match part {
            Part::Text(text) => {
                let from = usize::try_from(*read_to).unwrap_or(usize::MAX).min(text.len());
                added.extend_from_slice(&text.as_bytes()[from..]);
                return Ok(Some(added));
            }
            Part::Plain(path) | Part::Packed(path) => path,
        };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok((*read_to == 0).then_some(added));
            }
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        if length < *read_to {
            return Ok(None);
        }
        if length > *read_to {
            file.seek(SeekFrom::Start(*read_to))?;
            file.read_to_end(&mut added)?;
        }
        Ok(Some(added))
    }

    /// The reply under `key`.
    pub(super) fn by_key(&mut self, key: &str) -> io::Result<Option<Reply>> {
        self.by_key.get(&fingerprint(key)).copied().map(|place| self.reply_at(place)).transpose()
    }

    /// A reply to sample `sample` of `call`: the last one to the prompt `prompt`, else the last one.
    /// With it, the digest of the prompt that it answers.
    pub(super) fn by_sample(
        &mut self,
        call: Call,
        sample: u32,
        prompt: &str,
    ) -> io::Result<Option<(Reply, Option<String>)>> {
        let Some(entries) = self.by_sample.get(&(call, sample)) else { return Ok(None) };
        let prompt = self.prompts.get_index_of(prompt);
        let same = prompt.and_then(|_| entries.iter().rfind(|entry| entry.prompt == prompt));
        let Some(Entry { place, prompt }) = same.or(entries.last()).cloned() else {
            return Ok(None);
        };
        let prompt = prompt.and_then(|number| self.prompts.get_index(number)).cloned();
        Ok(Some((self.reply_at(place)?, prompt)))
    }

    /// Appends `records`, and their prompts where the file lacks them, in one write. A key that is
    /// there already stays as it is.
    pub(super) fn append(
        &mut self,
        records: &[Record<'_>],
        packer: &Packer,
    ) -> io::Result<Written> {
        let number = self.parts.len().saturating_sub(1);
        let Some((Part::Packed(path), _)) = self.parts.last() else {
            return Err(io::Error::from(ErrorKind::ReadOnlyFilesystem));
        };
        let path = path.clone();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        // Released at the latest when the file is closed, also by the death of the process.
        file.lock()?;
        self.refresh()?;
        let start = self.parts[number].1;
        if file.metadata()?.len() > start {
            // Torn: the lock being held, nobody still writes it.
            file.set_len(start)?;
        }
        let frames = match self.frames(records, packer) {
            Ok(frames) => frames,
            Err(error) => {
                self.forget();
                return Err(error);
            }
        };
        let bytes = frames.iter().map(|(_, frame)| frame.as_slice()).collect::<Vec<_>>().concat();
        if let Err(error) = file.write_all(&bytes) {
            // A full disk leaves half a frame; cut now if that works, else the next append cuts.
            let _ = file.set_len(start);
            self.forget();
            return Err(error);
        }
        let mut at = start;
        for (block, frame) in frames {
            let length = frame.len();
            for Indexed { line, key, prompt, sample } in block.replies {
                let place = Place { part: part_number(number), at, length: narrow(length), line };
                self.by_key.entry(key).or_insert(place);
                let entry = Entry { place, prompt: Some(prompt) };
                self.by_sample.entry(sample).or_default().push(entry);
            }
            at += length as u64;
        }
        self.parts[number].1 = at;
        file.unlock()?;
        let folder = (start == 0).then(|| path.parent().map(Path::to_owned)).flatten();
        Ok(Written { file, folder })
    }

    /// The frames of `records`.
    fn frames(
        &mut self,
        records: &[Record<'_>],
        packer: &Packer,
    ) -> io::Result<Vec<(Block, Vec<u8>)>> {
        let blocks = self.blocks(records)?.into_iter();
        blocks.map(|block| packer.pack(&block.content).map(|frame| (block, frame))).collect()
    }

    /// The lines of `records` in frames' contents.
    fn blocks(&mut self, records: &[Record<'_>]) -> io::Result<Vec<Block>> {
        let mut blocks: Vec<Block> = Vec::new();
        for record in records {
            let key = fingerprint(record.key);
            if self.by_key.contains_key(&key) {
                continue;
            }
            if blocks.last().is_none_or(|block| block.content.len() >= LARGEST_CONTENT) {
                blocks.push(Block::default());
            }
            let Some(block) = blocks.last_mut() else { continue };
            let prompt = self.prompts.insert_full(record.prompt.to_owned()).0;
            if self.written.insert(prompt) {
                let (digest, messages) = (record.prompt.to_owned(), record.messages.into());
                block.content.extend(Line::Prompt { digest, messages }.encode()?);
            }
            let reply = Line::Reply {
                key: Some(record.key.to_owned()),
                prompt: Some(record.prompt.to_owned()),
                call: record.call,
                sample: record.sample,
                reply: std::borrow::Cow::Borrowed(record.reply),
            };
            let text = reply.encode()?;
            let line = (narrow(block.content.len()), narrow(text.len() - 1));
            block.content.extend(text);
            let sample = (record.call, record.sample);
            block.replies.push(Indexed { line, key, prompt, sample });
            self.name(record.reply.model.as_deref());
        }
        Ok(blocks)
    }

    fn name(&mut self, model: Option<&str>) {
        if let Some(model) = model
            && !self.models.iter().any(|known| known == model)
        {
            self.models.push(model.to_owned());
        }
    }

    fn forget(&mut self) {
        for (_, read_to) in &mut self.parts {
            *read_to = 0;
        }
        self.by_key.clear();
        self.by_sample.clear();
        self.prompts.clear();
        self.written.clear();
        self.last = None;
    }

    /// Indexes what is whole of `added`, which begins at the part's `read_to`.
    fn index(&mut self, part: usize, added: &[u8]) {
        if added.is_empty() {
            return;
        }
        let (mut skipped, mut damaged) = (0, 0);
        let base = self.parts[part].1;
        if let Part::Packed(_) = self.parts[part].0 {
            let found = scan(added);
            damaged = found.damaged.iter().map(std::ops::Range::len).sum();
            for (range, content) in found.frames {
                let (at, length) = (base + range.start as u64, narrow(range.len()));
                let mut start = 0;
                for line in content.split_inclusive(|&byte| byte == b'\n') {
                    let text = line.strip_suffix(b"\n").unwrap_or(line);
                    let line_at = (narrow(start), narrow(text.len()));
                    let place = Place { part: part_number(part), at, length, line: line_at };
                    start += line.len();
                    skipped += usize::from(!self.enter(Head::decode(text).ok(), text, place));
                }
            }
            self.parts[part].1 = base + found.end as u64;
        } else {
            for line in added.split_inclusive(|&byte| byte == b'\n') {
                let text = line.strip_suffix(b"\n").unwrap_or(line);
                // No checksum stands for such a line, so all of it must be readable.
                let whole = Line::decode(text).is_ok();
                if text.len() == line.len() && !whole {
                    // Torn, or still being written. A last line without newline is whole if it can
                    // be read: lines are objects, and no part of one is one.
                    break;
                }
                let at = self.parts[part].1;
                self.parts[part].1 += line.len() as u64;
                let length = narrow(text.len());
                let place = Place { part: part_number(part), at, length, line: (0, length) };
                let head = whole.then(|| Head::decode(text).ok()).flatten();
                skipped += usize::from(!self.enter(head, text, place));
            }
        }
        self.tell(skipped, damaged);
    }

    /// Takes a line into the index; false if it cannot be read.
    fn enter(&mut self, head: Option<Head<'_>>, text: &[u8], place: Place) -> bool {
        match head {
            Some(Head::Prompt(digest)) => {
                let number = self.prompts.insert_full(digest.into_owned()).0;
                self.written.insert(number);
            }
            Some(Head::Reply { key, prompt, call, sample, model }) => {
                if let Some(key) = key {
                    // The first answer counts, as it did for whoever asked.
                    self.by_key.entry(fingerprint(&key)).or_insert(place);
                }
                let prompt = prompt.map(|digest| self.prompts.insert_full(digest.into_owned()).0);
                self.by_sample.entry((call, sample)).or_default().push(Entry { place, prompt });
                self.name(model.as_deref());
            }
            None => return text.trim_ascii().is_empty(),
        }
        true
    }

    fn tell(&mut self, skipped: usize, damaged: usize) {
        if (skipped == 0 && damaged == 0) || self.noticed {
            return;
        }
        self.noticed = true;
        let path = self.path();
        let what = match damaged {
            0 => format!("{skipped} unreadable line(s)"),
            _ => format!("{damaged} damaged byte(s)"),
        };
        self.events.notice(format!("skipped {what} of the response journal {}", path.display()));
    }

    fn reply_at(&mut self, place: Place) -> io::Result<Reply> {
        let changed =
            || io::Error::new(ErrorKind::InvalidData, "the file changed while it was used");
        let content = self.content(place)?;
        let (start, size) = (place.line.0 as usize, place.line.1 as usize);
        let text = content.get(start..start + size).ok_or_else(changed)?;
        match Line::decode(text) {
            Ok(Line::Reply { reply, .. }) => Ok(reply.into_owned()),
            _ => Err(changed()),
        }
    }

    /// The frame's content, or the line where there are no frames.
    fn content(&mut self, place: Place) -> io::Result<Arc<Vec<u8>>> {
        if let Some((part, at, content)) = &self.last
            && (*part, *at) == (place.part, place.at)
        {
            return Ok(content.clone());
        }
        let mut bytes = vec![0; place.length as usize];
        let part = &self.parts[usize::from(place.part)].0;
        match part {
            Part::Text(text) => {
                let mut from = io::Cursor::new(text.as_bytes());
                from.set_position(place.at);
                from.read_exact(&mut bytes)?;
            }
            Part::Plain(path) | Part::Packed(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(place.at))?;
                file.read_exact(&mut bytes)?;
            }
        }
        let content = match part {
            Part::Packed(_) => unpack(&bytes)?,
            Part::Text(_) | Part::Plain(_) => bytes,
        };
        let content = Arc::new(content);
        self.last = Some((place.part, place.at, content.clone()));
        Ok(content)
    }
}

/// A key of 64 hexadecimal digits by its first half; any other by that of its SHA-256.
fn fingerprint(key: &str) -> u128 {
    let half = key.get(..32).filter(|_| key.len() == 64);
    half.and_then(|half| u128::from_str_radix(half, 16).ok()).unwrap_or_else(|| {
        let digest = Sha256::digest(key);
        digest.iter().take(16).fold(0, |number, &byte| (number << 8) | u128::from(byte))
    })
}

/// Lines and frames are bounded by the client's largest body, far below 4 GiB.
fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn part_number(part: usize) -> u8 {
    u8::try_from(part).unwrap_or(u8::MAX)
}
