//! Events as JSON lines: `RUN/events.jsonl`, or standard output with `--json`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::event::Event;
use crate::report::Reporter;

/// Writes one JSON object a line, each with the field `schema`.
pub struct JsonLines {
    out: Box<dyn Write + Send>,
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
        Ok(Self { out: Box::new(file) })
    }

    /// Writes to any stream.
    #[must_use]
    pub fn to(out: Box<dyn Write + Send>) -> Self {
        Self { out }
    }
}

impl Reporter for JsonLines {
    fn name(&self) -> &'static str {
        "event log"
    }

    fn report(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line { schema: SCHEMA, event })?;
        line.push(b'\n');
        // One write a line: several processes may append to one log.
        self.out.write_all(&line)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
