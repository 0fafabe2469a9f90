//! Events as JSON lines: `RUN/events.jsonl`, or standard output with `--json`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::event::Event;
use crate::report::Reporter;

/// Writes one JSON object a line, each with the field `schema`.
pub struct JsonLines {
    out: Out,
}

enum Out {
    /// A file to which other processes may append.
    Log(File),
    Stream(Box<dyn Write + Send>),
}

/// Version of the event format.
const SCHEMA: u32 = 1;

#[derive(serde::Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    event: &'a Event,
}

impl JsonLines {
    /// Appends to a file: a resumed run goes on in the same log.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn append(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { out: Out::Log(file) })
    }

    /// Writes to any stream.
    #[must_use]
    pub fn to(out: Box<dyn Write + Send>) -> Self {
        Self { out: Out::Stream(out) }
    }
}

impl Reporter for JsonLines {
    fn name(&self) -> &'static str {
        "event log"
    }

    fn report(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line { schema: SCHEMA, event })?;
        line.push(b'\n');
        match &mut self.out {
            // One write a line suffices among processes of one machine; over a network file system
            // the end of the file is known to the holder of the lock alone. One that knows no locks
            // has no second process either.
            Out::Log(file) => {
                let is_locked = file.lock().is_ok();
                let written = file.write_all(&line);
                if is_locked {
                    file.unlock()?;
                }
                written
            }
            Out::Stream(out) => out.write_all(&line),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::Log(file) => file.flush(),
            Out::Stream(out) => out.flush(),
        }
    }
}
