//! A shell that stays: one exec that runs scripts one after the other, each in a subshell. Starting
//! an exec takes the engine as long as many a test takes.
//!
//! A script is handed over when the one before has ended, so none can read a later one. What it
//! prints lies between two lines with a mark of its own; what an earlier script left running may
//! print in between as well, which is why verdicts carry marks too.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::Stream;
use memchr::memmem;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::sandbox::capture::Capture;
use crate::sandbox::docker::exec::{Chunk, ENDING, Took};
use crate::sandbox::docker::{Container, ExecSpec};
use crate::sandbox::script::SHELL;
use crate::sandbox::{ExecOutput, ExecStatus, SandboxError};

/// A running shell. One script at a time.
pub(super) struct Shell {
    exec: String,
    stream: Pin<Box<dyn Stream<Item = Chunk> + Send>>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// What became of a script that was handed to a shell.
pub(super) enum Ran {
    /// It ended by itself, and the shell takes the next.
    Done(ExecOutput),
    /// It ended together with its shell or, at a limit, with the whole container.
    Last(ExecOutput),
    /// The shell had ended before; the script has not run.
    Never,
}

impl Container {
    /// Starts a shell; `spec` says variables and whether the environment is activated.
    ///
    /// # Errors
    /// [`SandboxError`] as [`Container::exec`].
    pub(super) async fn shell(&self, mut spec: ExecSpec) -> Result<Shell, SandboxError> {
        if let Some(program) = spec.command.get_mut(2) {
            SHELL.clone_into(program);
        }
        let (exec, stream, input) = self.start(&spec, true).await?;
        Ok(Shell { exec, stream: Box::pin(stream), input })
    }
}

impl Shell {
    /// Runs a script to its end or its limit. A limit kills the whole container.
    ///
    /// # Errors
    /// [`SandboxError`] as [`Container::exec`].
    pub(super) async fn run(
        &mut self,
        container: &Container,
        script: &str,
        timeout: Duration,
        output_bytes: usize,
    ) -> Result<Ran, SandboxError> {
        let begin = Instant::now();
        let mark = mark();
        let line = [mark.as_bytes(), b"\0", script.as_bytes(), b"\0"].concat();
        let handed = async {
            self.input.write_all(&line).await?;
            self.input.flush().await
        };
        // One that does not read is told by the deadline below.
        if let Ok(Err(_)) = tokio::time::timeout(timeout, handed).await {
            return Ok(Ran::Never);
        }
        let mut frame = Frame::new(&mark, output_bytes);
        let limit =
            container.read(&self.exec, &mut self.stream, begin + timeout, |bytes, limited| {
                if !limited && frame.take(bytes) {
                    Took::Enough
                } else if frame.capture.exceeded() {
                    Took::TooMuch
                } else {
                    Took::More
                }
            });
        let limit = limit.await?;
        let duration = begin.elapsed();
        let (state, mut capture) = (frame.state, frame.capture);
        let status = match (state, limit) {
            (State::Ended(code), _) => {
                let status = ExecStatus::Exited(code);
                let output = capture.finish();
                let out_of_memory = container.ran_out_of_memory(status, &output).await;
                return Ok(Ran::Done(ExecOutput { status, output, duration, out_of_memory }));
            }
            (_, Some(limit)) => {
                container.ends_within(ENDING).await?;
                limit
            }
            (State::Waiting, None) => {
                // Whether its container still runs decides between a new shell and an error.
                container.exit_code(&self.exec).await?;
                return Ok(Ran::Never);
            }
            (State::Running, None) => ExecStatus::Exited(container.exit_code(&self.exec).await?),
        };
        capture.push(&frame.pending);
        let output = capture.finish();
        let out_of_memory = container.ran_out_of_memory(status, &output).await;
        Ok(Ran::Last(ExecOutput { status, output, duration, out_of_memory }))
    }
}

/// 128 random bits.
fn mark() -> String {
    (0..2).fold("agent-".to_owned(), |mut text, _| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{:016x}", RandomState::new().build_hasher().finish());
        text
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The script has not begun.
    Waiting,
    Running,
    /// With this status.
    Ended(i32),
}

/// Cuts a script's output out of the shell's, whatever pieces it comes in.
struct Frame {
    begin: Vec<u8>,
    end: Vec<u8>,
    state: State,
    /// Not yet known to be output.
    pending: Vec<u8>,
    capture: Capture,
}

/// Bytes of a status and the line end after the end's mark.
const STATUS_BYTES: usize = 8;

impl Frame {
    fn new(mark: &str, output_bytes: usize) -> Self {
        Self {
            begin: format!("\n{mark} begin\n").into_bytes(),
            end: format!("\n{mark} end ").into_bytes(),
            state: State::Waiting,
            pending: Vec::new(),
            capture: Capture::new(output_bytes),
        }
    }

    /// Takes the next bytes; answers whether the script has ended.
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.pending.extend_from_slice(bytes);
        if self.state == State::Waiting {
            if let Some(at) = memmem::find(&self.pending, &self.begin) {
                self.pending.drain(..at + self.begin.len());
                self.state = State::Running;
            } else {
                // An earlier script's leftovers.
                let surplus = self.pending.len().saturating_sub(self.begin.len());
                self.pending.drain(..surplus);
                return false;
            }
        }
        if let Some(at) = memmem::find(&self.pending, &self.end) {
            let rest = &self.pending[at + self.end.len()..];
            let Some(line) = rest.iter().position(|&byte| byte == b'\n') else {
                if rest.len() <= STATUS_BYTES {
                    return false;
                }
                self.state = State::Ended(-1);
                return true;
            };
            let status = std::str::from_utf8(&rest[..line]).ok().and_then(|text| text.parse().ok());
            self.state = State::Ended(status.unwrap_or(-1));
            self.capture.push(&self.pending[..at]);
            self.pending.clear();
            return true;
        }
        let sure = self.pending.len().saturating_sub(self.end.len());
        self.capture.push(&self.pending[..sure]);
        self.pending.drain(..sure);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_cut_out_whatever_pieces_it_comes_in() {
        let text = b"noise\n\nM begin\nout\xff\nno M end 3\n\nM end 42\nlater";
        for size in 1..text.len() {
            let mut frame = Frame::new("M", 1000);
            let ended = text.chunks(size).any(|chunk| frame.take(chunk));
            assert!(ended, "{size}");
            assert_eq!(frame.state, State::Ended(42), "{size}");
            assert_eq!(frame.capture.finish(), b"out\xff\nno M end 3\n", "{size}");
        }
    }

    #[test]
    fn without_a_beginning_nothing_is_output() {
        let mut frame = Frame::new("M", 1000);
        assert!(!frame.take(b"noise without end\nM end 3\n"));
        assert_eq!(frame.state, State::Waiting);
        assert_eq!(frame.capture.finish(), b"");
    }
}
