//! Events for people, on standard error: a table at the bottom of a terminal, plain lines elsewhere.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::artifact::{InstanceId, InstanceOutcome, Outcome, Stage, Subject};
use crate::event::{Event, EventKind};
use crate::report::screen::Screen;
use crate::report::table::{Size, clock, line, money, short, table};
use crate::report::{Prices, Progress, Reporter, Snapshot};

/// Shortest time between two drawings of the table.
const REDRAW: Duration = Duration::from_millis(250);

/// How events are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// A table that changes in place; only sensible on a terminal.
    pub live: bool,
    /// ANSI colours.
    pub color: bool,
    /// A line for each stage, not only for each instance.
    pub stages: bool,
    /// A line for each model reply and each test as well.
    pub verbose: bool,
    /// Nothing but failures.
    pub quiet: bool,
}

/// Draws on a stream that people look at.
pub struct Terminal {
    style: Style,
    out: Out,
    progress: Progress,
    prices: Option<Prices>,
    drawn: Option<Instant>,
    /// Ended instances that the last line about the whole run told.
    told: usize,
}

enum Out {
    Plain(Box<dyn Write + Send>),
    Live(Screen),
}

impl Terminal {
    /// Draws to `out`; a table is measured by standard error's terminal.
    #[must_use]
    pub fn new(style: Style, out: Box<dyn Write + Send>) -> Self {
        let out = match style.live && !style.quiet {
            true => Out::Live(Screen::new(out, Box::new(stderr_size))),
            false => Out::Plain(out),
        };
        let (progress, prices) = (Progress::default(), None);
        Self { style, out, progress, prices, drawn: None, told: 0 }
    }

    /// Shows what tokens cost.
    #[must_use]
    pub fn with_prices(mut self, prices: Option<Prices>) -> Self {
        self.prices = prices;
        self
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        if let Out::Plain(out) = &mut self.out {
            return writeln!(out, "{text}");
        }
        self.draw(text)
    }

    /// Draws the table anew, below a line that stays.
    fn draw(&mut self, above: &str) -> io::Result<()> {
        let now = self.snapshot();
        let Out::Live(screen) = &mut self.out else { return Ok(()) };
        let room = screen.room();
        let lines = match self.style.stages {
            true => vec![one_line(&now, room.columns)],
            false => table(&now, room, self.style.color),
        };
        self.drawn = Some(Instant::now());
        // Before the first event there is nothing to tell.
        let lines = if now.started.is_some() { lines } else { Vec::new() };
        screen.draw(above, &lines)
    }

    fn snapshot(&self) -> Snapshot {
        let counts = self.progress.counts();
        self.progress.snapshot(OffsetDateTime::now_utc(), counts, self.prices.as_ref())
    }

    /// In logs and pipes, a line about the whole run after every twentieth part of it.
    fn tell_progress(&mut self) -> io::Result<()> {
        let counts = self.progress.counts();
        let every = (counts.instances / 20).max(10);
        let ended = counts.ended();
        let shown = matches!(self.out, Out::Plain(_)) && !self.style.quiet && !self.style.stages;
        if !shown || ended < self.told + every || ended >= counts.instances {
            return Ok(());
        }
        self.told = ended;
        let text = line(&self.snapshot());
        self.line(&format!("progress: {text}"))
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn stage_line(
        &mut self,
        instance: &str,
        stage: Stage,
        seconds: f64,
        summary: &str,
        reused: bool,
    ) -> io::Result<()> {
        if self.style.quiet || !(self.style.stages || self.style.verbose) {
            return Ok(());
        }
        let time = if reused { "  saved".to_owned() } else { format!("{seconds:6.1}s") };
        let name = self.paint("36", &format!("{:9}", stage.name()));
        let prefix = if self.style.stages { String::new() } else { format!("{instance}  ") };
        self.line(&format!("{prefix}  {name} {time}  {summary}"))
    }

    fn outcome_line(
        &mut self,
        instance: &str,
        outcome: &InstanceOutcome,
        seconds: f64,
    ) -> io::Result<()> {
        let (word, code, detail) = match outcome {
            InstanceOutcome::Solved => ("solved", "32", String::new()),
            InstanceOutcome::NoCandidate => {
                ("no candidate", "33", "  no sample gave a usable patch".to_owned())
            }
            InstanceOutcome::Failed { stage, cause, message, hint: _ } => {
                ("failed", "31", format!("  {stage} ({cause}): {message}"))
            }
            InstanceOutcome::Cancelled => ("cancelled", "33", String::new()),
        };
        if self.style.quiet && !matches!(outcome, InstanceOutcome::Failed { .. }) {
            return Ok(());
        }
        let word = self.paint(code, word);
        self.line(&format!("{word}  {instance}  {seconds:.1}s{detail}"))
    }
}

impl Reporter for Terminal {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn report(&mut self, event: &Event) -> io::Result<()> {
        self.progress.follow(event);
        let instance = event.instance.as_ref().map_or("", InstanceId::as_str).to_owned();
        match &event.kind {
            EventKind::InstanceStarted if self.style.stages && !self.style.quiet => {
                let name = self.paint("1", &instance);
                self.line(&name)
            }
            EventKind::StageFinished { stage, seconds, summary, reused } => {
                self.stage_line(&instance, *stage, *seconds, summary, *reused)
            }
            EventKind::RunStarted { finished, .. } => {
                self.told = *finished;
                Ok(())
            }
            EventKind::InstanceFinished { outcome, seconds } => {
                self.outcome_line(&instance, outcome, *seconds)?;
                self.tell_progress()
            }
            EventKind::Notice { message } if !self.style.quiet => {
                let word = self.paint("33", "note:");
                let prefix = if instance.is_empty() || self.style.stages {
                    String::new()
                } else {
                    format!("{instance}: ")
                };
                self.line(&format!("{word} {prefix}{message}"))
            }
            EventKind::ModelRetried { call, attempt, wait, reason } if self.style.verbose => self
                .line(&format!(
                    "{instance}  {call}: attempt {attempt} failed ({reason}), again in {wait:.1}s"
                )),
            EventKind::ModelPaced { limit, under_way, waiting, reason } if self.style.verbose => self
                .line(&format!(
                    "model: at most {limit} requests at a time from now on, because {reason}; {under_way} under way, {waiting} waiting"
                )),
            EventKind::ModelReplied { call, sample, usage, journaled, seconds }
                if self.style.verbose =>
            {
                let from = if *journaled { "journal" } else { "model" };
                self.line(&format!(
                    "{instance}  {call} sample {sample} from the {from}: {} tokens, {seconds:.1}s",
                    usage.completion_tokens
                ))
            }
            EventKind::Executed { candidate, test, outcome, seconds, .. } if self.style.verbose => {
                let outcome = outcome_word(*candidate, *outcome);
                self.line(&format!("{instance}  {candidate} {test}: {outcome}, {seconds:.2}s"))
            }
            EventKind::ModelFailed { call, samples, reason } if self.style.verbose => self.line(
                &format!("{instance}  {call}: {samples} samples without an answer ({reason})"),
            ),
            EventKind::RunFinished { solved, no_candidate, failed, cancelled }
                if !self.style.quiet && !self.style.stages =>
            {
                self.line(&format!(
                    "{solved} solved, {no_candidate} without a candidate, {failed} failed, {cancelled} cancelled"
                ))?;
                match self.out {
                    Out::Plain(_) => {
                        let spent = spent(&self.snapshot());
                        self.line(&spent)
                    }
                    Out::Live(_) => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn tick(&mut self) -> io::Result<()> {
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if due && matches!(self.out, Out::Live(_)) { self.draw("") } else { Ok(()) }
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::Plain(out) => out.flush(),
            // What one instance is doing is no news when it is done; a run's table stays.
            Out::Live(screen) if self.style.stages => screen.draw("", &[]),
            Out::Live(_) => {
                self.draw("")?;
                let Out::Live(screen) = &mut self.out else { return Ok(()) };
                screen.leave()
            }
        }
    }
}

/// What one instance is doing.
fn one_line(now: &Snapshot, columns: usize) -> String {
    let stage = now.counts.at_work.keys().next().map_or("", |stage| stage.name());
    let mut text = format!("  {stage}  {}", clock(now.elapsed));
    let counts = [
        (now.under_way, "samples under way"),
        (now.answered + now.from_journal, "answers"),
        (now.executions.all(), "executions"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, "  {} {what}", short(count));
    }
    text.chars().take(columns).collect()
}

/// What a run took, in one line.
fn spent(now: &Snapshot) -> String {
    let (asked, ran) = (&now.asked, &now.executions);
    let cost = now.cost.map_or_else(String::new, |cost| format!("; cost {}", money(cost)));
    format!(
        "{} elapsed; {} prompt and {} completion tokens from {} answers, {} answers from journals; \
         {} executions{cost}",
        clock(now.elapsed),
        short(asked.prompt_tokens),
        short(asked.completion_tokens),
        short(now.answered),
        short(now.from_journal),
        short(ran.all()),
    )
}

/// Standard error's terminal; something narrow where it does not tell.
fn stderr_size() -> Size {
    let (rows, columns) = console::Term::stderr().size_checked().unwrap_or((24, 80));
    Size { columns: columns.into(), rows: rows.into() }
}

fn outcome_word(subject: Subject, outcome: Outcome) -> &'static str {
    match (subject, outcome) {
        (_, Outcome::Pass) => "pass",
        (_, Outcome::Fail) => "fail",
        (_, Outcome::Error) => "error",
        (_, Outcome::Timeout) => "timeout",
        (_, Outcome::NotRun) => "not run",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Cause;
    use crate::event::Events;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn draw(style: Style) -> String {
        let out = Shared::default();
        let mut terminal = Terminal::new(style, Box::new(out.clone()));
        let (events, mut receiver) = Events::channel();
        let one = events.of(&InstanceId::new("a__b-1").unwrap());
        events.emit(EventKind::RunStarted { instances: 1, finished: 0, solved: 0 });
        one.emit(EventKind::InstanceStarted);
        one.emit(EventKind::StageFinished {
            stage: Stage::Localize,
            seconds: 1.25,
            summary: "a.py".into(),
            reused: false,
        });
        one.notice("something was cut");
        one.emit(EventKind::InstanceFinished {
            outcome: InstanceOutcome::Failed {
                stage: Stage::Repair,
                cause: Cause::Infra,
                message: "no endpoint".into(),
                hint: String::new(),
            },
            seconds: 2.0,
        });
        drop((events, one));
        while let Ok(event) = receiver.try_recv() {
            terminal.report(&event).unwrap();
        }
        terminal.finish().unwrap();
        String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn plain_output_is_one_line_an_instance() {
        insta::assert_snapshot!(draw(Style::default()), @r"
        note: a__b-1: something was cut
        failed  a__b-1  2.0s  repair (infra): no endpoint
        ");
    }

    #[test]
    fn a_log_tells_of_the_whole_run_now_and_then_and_at_its_end() {
        let out = Shared::default();
        let mut terminal = Terminal::new(Style::default(), Box::new(out.clone()));
        let at = OffsetDateTime::now_utc();
        let mut take = |instance: Option<usize>, kind| {
            let instance = instance.map(|n| InstanceId::new(format!("a__b-{n}")).unwrap());
            terminal.report(&Event { at, instance, kind }).unwrap();
        };
        take(None, EventKind::RunStarted { instances: 35, finished: 5, solved: 5 });
        for number in 0..30 {
            let outcome = InstanceOutcome::Solved;
            take(Some(number), EventKind::InstanceFinished { outcome, seconds: 1.0 });
        }
        let (solved, no_candidate, failed, cancelled) = (35, 0, 0, 0);
        take(None, EventKind::RunFinished { solved, no_candidate, failed, cancelled });
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let told: Vec<&str> = text.lines().filter(|line| line.starts_with("progress: ")).collect();
        assert_eq!(told.len(), 2, "{text}");
        assert!(told[1].starts_with("progress: 25 of 35 instances: 25 solved"), "{text}");
        assert!(text.ends_with("0 answers from journals; 0 executions\n"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn solving_one_instance_shows_its_stages() {
        insta::assert_snapshot!(draw(Style { stages: true, ..Style::default() }), @r"
        a__b-1
          localize     1.2s  a.py
        note: something was cut
        failed  a__b-1  2.0s  repair (infra): no endpoint
        ");
    }

    #[test]
    fn quiet_shows_failures_only() {
        insta::assert_snapshot!(draw(Style { quiet: true, ..Style::default() }), @"failed  a__b-1  2.0s  repair (infra): no endpoint");
    }
}
