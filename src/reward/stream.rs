//! Cases as JSON lines: many at a time, results in the order of the lines, memory bounded.

use std::io::{self, BufRead, Read as _, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use crate::reward::{Case, Options, Refusal, Score, score};

/// Lines in work or waiting to be written, for each worker.
const LINES_AHEAD: usize = 32;

/// What a stream held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines that are not blank.
    pub cases: usize,
    /// Those among them without a reward.
    pub errors: usize,
}

/// Scores one JSON line.
#[must_use]
pub fn score_line(line: &[u8], options: &Options) -> Score {
    match Case::from_json(line) {
        Ok(case) => score(&case, options),
        Err(error) => error.into(),
    }
}

/// Scores each line of `reader` and writes one JSON line for it to `writer`, in the same order and
/// as soon as it and those before it are done. Blank lines are passed over. A line that is no case
/// gets a result without reward, and so does one longer than [`Options::max_text`], which is never
/// held in memory. Lines read ahead take no more than that limit together, or one line.
///
/// # Errors
/// Reading or writing failed. Results of lines before a failed read are written.
pub fn score_lines(
    reader: impl BufRead + Send,
    mut writer: impl Write,
    options: &Options,
    workers: usize,
) -> io::Result<Summary> {
    let workers = workers.max(1);
    let room = &Room::new(options.max_text);
    let (order, results) = sync_channel(workers.saturating_mul(LINES_AHEAD));
    let (jobs, work) = sync_channel::<Job>(workers);
    let work = &Mutex::new(work);
    thread::scope(|scope| {
        let reading = scope.spawn(move || read(reader, options.max_text, &order, &jobs, room));
        for _ in 0..workers {
            scope.spawn(move || {
                while let Ok(job) = { work.lock().unwrap_or_else(PoisonError::into_inner).recv() } {
                    let result = line_result(&job.line, options);
                    room.give(job.line.len());
                    // The writer may have given up.
                    let _ = job.done.send(result);
                }
            });
        }
        let written = write(&results, &mut writer);
        drop(results);
        let read = reading.join().unwrap_or_else(|_| Err(io::Error::other("the reader stopped")));
        let summary = written?;
        read?;
        Ok(summary)
    })
}

/// A line on its way to a worker.
struct Job {
    line: Line,
    done: SyncSender<Outcome>,
}

/// A line as it was read.
enum Line {
    Whole(Vec<u8>),
    /// Too long; its length in bytes.
    Cut(usize),
}

impl Line {
    /// Bytes held.
    fn len(&self) -> usize {
        match self {
            Self::Whole(line) => line.len(),
            Self::Cut(_) => 0,
        }
    }
}

/// A result as it is written.
struct Outcome {
    json: Vec<u8>,
    has_reward: bool,
}

fn line_result(line: &Line, options: &Options) -> Outcome {
    let score = match line {
        Line::Whole(line) => score_line(line, options),
        Line::Cut(bytes) => {
            let what = "the line".to_owned();
            Refusal::TooLarge { what, bytes: *bytes, limit: options.max_text }.into()
        }
    };
    let mut json = serde_json::to_vec(&score).unwrap_or_else(|error| {
        // Scores hold nothing that JSON cannot.
        format!("{{\"id\":null,\"error\":{:?}}}", error.to_string()).into_bytes()
    });
    json.push(b'\n');
    Outcome { json, has_reward: score.reward.is_some() }
}

/// Hands lines to the workers, and their results' places to the writer.
fn read(
    mut reader: impl BufRead,
    limit: usize,
    order: &SyncSender<Receiver<Outcome>>,
    jobs: &SyncSender<Job>,
    room: &Room,
) -> io::Result<()> {
    while let Some(line) = next_line(&mut reader, limit)? {
        if matches!(&line, Line::Whole(line) if line.trim_ascii().is_empty()) {
            continue;
        }
        room.take(line.len());
        let (done, result) = sync_channel(1);
        if order.send(result).is_err() || jobs.send(Job { line, done }).is_err() {
            break;
        }
    }
    Ok(())
}

/// The next line without its end; a line above the limit is read past.
fn next_line(reader: &mut impl BufRead, limit: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.by_ref().take(most).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > limit {
        let mut length = line.len();
        drop(line);
        loop {
            let part = reader.fill_buf()?;
            let end = memchr::memchr(b'\n', part);
            let used = end.map_or(part.len(), |end| end + 1);
            length += end.unwrap_or(used);
            reader.consume(used);
            if end.is_some() || used == 0 {
                return Ok(Some(Line::Cut(length)));
            }
        }
    }
    Ok(Some(Line::Whole(line)))
}

/// Writes results in order, and flushes whenever the next one is not ready.
fn write(results: &Receiver<Receiver<Outcome>>, writer: &mut impl Write) -> io::Result<Summary> {
    let mut summary = Summary::default();
    loop {
        let next = match results.try_recv() {
            Ok(next) => next,
            Err(_) => {
                writer.flush()?;
                let Ok(next) = results.recv() else { return Ok(summary) };
                next
            }
        };
        let outcome = match next.try_recv() {
            Ok(outcome) => outcome,
            Err(_) => {
                writer.flush()?;
                next.recv().map_err(|_| io::Error::other("a worker stopped"))?
            }
        };
        writer.write_all(&outcome.json)?;
        summary.cases += 1;
        summary.errors += usize::from(!outcome.has_reward);
    }
}

/// Bytes of lines that are held and not scored yet.
struct Room {
    most: usize,
    held: Mutex<usize>,
    freed: Condvar,
}

impl Room {
    fn new(most: usize) -> Self {
        Self { most, held: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits until the bytes fit, or nothing else is held.
    fn take(&self, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while *held > 0 && held.saturating_add(bytes) > self.most {
            held = self.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        *held += bytes;
    }

    fn give(&self, bytes: usize) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) -= bytes;
        self.freed.notify_one();
    }
}
