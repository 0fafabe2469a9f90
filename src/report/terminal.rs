//! Events for people, on standard error: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::artifact::{InstanceId, InstanceOutcome, Outcome, Stage, Subject};
use crate::event::{Event, EventKind};
use crate::report::Reporter;

/// How events are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Bars; only sensible on a terminal.
    pub bars: bool,
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
    out: Box<dyn Write + Send>,
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    active: BTreeMap<InstanceId, Active>,
}

struct Active {
    bar: ProgressBar,
    stage: Option<Stage>,
    replies: u32,
    runs: u32,
}

impl Terminal {
    /// Draws to `out` (bars go to standard error, whatever `out` is).
    #[must_use]
    pub fn new(style: Style, out: Box<dyn Write + Send>) -> Self {
        let bars = (style.bars && !style.quiet).then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            let total = all.add(ProgressBar::new(0));
            total.set_style(bar_style("{bar:24} {pos}/{len} instances  {elapsed_precise}  {msg}"));
            Bars { all, total, active: BTreeMap::new() }
        });
        Self { style, out, bars }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| writeln!(self.out, "{text}")),
            None => writeln!(self.out, "{text}"),
        }
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

    fn follow(&mut self, event: &Event) {
        let Some(bars) = &mut self.bars else { return };
        match (&event.instance, &event.kind) {
            (None, EventKind::RunStarted { instances, finished }) => {
                bars.total.set_length(*instances as u64);
                bars.total.set_position(*finished as u64);
            }
            (Some(id), EventKind::InstanceStarted) => {
                let bar = bars.all.insert_before(&bars.total, ProgressBar::new_spinner());
                bar.set_style(bar_style("{spinner} {msg}"));
                bar.enable_steady_tick(Duration::from_millis(120));
                let active = Active { bar, stage: None, replies: 0, runs: 0 };
                bars.active.insert(id.clone(), active);
            }
            (Some(id), EventKind::InstanceFinished { .. }) => {
                if let Some(active) = bars.active.remove(id) {
                    active.bar.finish_and_clear();
                }
                bars.total.inc(1);
            }
            (Some(id), kind) => {
                if let Some(active) = bars.active.get_mut(id) {
                    active.follow(id, kind);
                }
            }
            _ => {}
        }
    }
}

impl Active {
    fn follow(&mut self, id: &InstanceId, kind: &EventKind) {
        match kind {
            EventKind::StageStarted { stage } => {
                (self.stage, self.replies, self.runs) = (Some(*stage), 0, 0);
            }
            EventKind::ModelReplied { .. } => self.replies += 1,
            EventKind::Executed { .. } => self.runs += 1,
            _ => return,
        }
        let stage = self.stage.map_or("", Stage::name);
        let mut text = format!("{id}  {stage}");
        if self.replies > 0 {
            let _ = write!(text, "  {} replies", self.replies);
        }
        if self.runs > 0 {
            let _ = write!(text, "  {} runs", self.runs);
        }
        self.bar.set_message(text);
    }
}

fn bar_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Reporter for Terminal {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn report(&mut self, event: &Event) -> io::Result<()> {
        self.follow(event);
        let instance = event.instance.as_ref().map_or("", InstanceId::as_str).to_owned();
        match &event.kind {
            EventKind::InstanceStarted if self.style.stages && !self.style.quiet => {
                let name = self.paint("1", &instance);
                self.line(&name)
            }
            EventKind::StageFinished { stage, seconds, summary, reused } => {
                self.stage_line(&instance, *stage, *seconds, summary, *reused)
            }
            EventKind::InstanceFinished { outcome, seconds } => {
                self.outcome_line(&instance, outcome, *seconds)
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
            EventKind::RunFinished { solved, no_candidate, failed, cancelled }
                if !self.style.quiet && !self.style.stages =>
            {
                self.line(&format!(
                    "{solved} solved, {no_candidate} without a candidate, {failed} failed, {cancelled} cancelled"
                ))
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(bars) = &mut self.bars {
            for active in bars.active.values() {
                active.bar.finish_and_clear();
            }
            bars.total.finish_and_clear();
        }
        self.out.flush()
    }
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
        events.emit(EventKind::RunStarted { instances: 1, finished: 0 });
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
