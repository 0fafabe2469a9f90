//! An event log read for its counts alone: front to back once, then only what was appended.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::artifact::{Cause, Outcome, Stage, Usage};
use crate::report::Progress;
use crate::report::progress::{Ended, Step};

/// Bytes read at once.
const BUFFER: usize = 1 << 20;

/// A log that another process may be appending to.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    offset: u64,
    unreadable: usize,
}

impl EventLog {
    /// Nothing is read yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), offset: 0, unreadable: 0 }
    }

    /// Lines so far that are no events: torn by a kill, or a newer version's.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Hands what was appended since the last call to `progress`. A last line without line end is
    /// left for the next call. A log that does not exist is an empty one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_on(&mut self, progress: &mut Progress) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut reader = BufReader::with_capacity(BUFFER, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Ok(());
            }
            self.offset += length as u64;
            match Line::read(&line) {
                Some((at, instance, step)) => progress.take(at, instance, step),
                None if line.trim_ascii().is_empty() => {}
                None => self.unreadable += 1,
            }
        }
    }
}

/// An event with the fields that counts need. Reading whole events would take several times as
/// long, and a run of 500 instances with 500 samples has a log of some hundred megabytes.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    instance: Option<&'a str>,
    event: &'a str,
    stage: Option<Stage>,
    instances: Option<usize>,
    // A number in `run_started`.
    finished: Option<usize>,
    solved: Option<usize>,
    samples: Option<u64>,
    usage: Option<Usage>,
    journaled: Option<bool>,
    #[serde(borrow)]
    outcome: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Outcomes<'a> {
    status: &'a str,
    cause: Option<Cause>,
}

impl<'a> Line<'a> {
    fn read(line: &'a [u8]) -> Option<(OffsetDateTime, Option<&'a str>, Step)> {
        let line: Self = serde_json::from_slice(line).ok()?;
        Some((line.at, line.instance, line.step()?))
    }

    fn step(&self) -> Option<Step> {
        Some(match self.event {
            "run_started" => Step::RunStarted {
                instances: self.instances?,
                finished: self.finished?,
                solved: self.solved.unwrap_or(0),
            },
            "instance_started" => Step::InstanceStarted,
            "stage_started" => Step::StageStarted(self.stage?),
            "model_asked" => Step::Asked(self.samples?),
            "model_failed" => Step::Unanswered(self.samples?),
            "model_replied" => Step::Replied { usage: self.usage?, journaled: self.journaled? },
            "model_retried" => Step::Retried,
            "executed" => {
                Step::Executed(serde_json::from_str::<Outcome>(self.outcome?.get()).ok()?)
            }
            "instance_finished" => {
                let outcome: Outcomes<'_> = serde_json::from_str(self.outcome?.get()).ok()?;
                Step::Ended(match outcome.status {
                    "solved" => Ended::Solved,
                    "no_candidate" => Ended::NoCandidate,
                    "failed" => Ended::Failed(outcome.cause?),
                    "cancelled" => Ended::Cancelled,
                    _ => return None,
                })
            }
            "instance_through" => Step::Through,
            "run_finished" => Step::RunFinished,
            "model_paced" | "stage_finished" | "notice" => Step::Other,
            _ => return None,
        })
    }
}
