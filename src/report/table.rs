//! A run at one moment as lines for a terminal: plain text, cut to its width and height.

use std::fmt::Write as _;

use crate::artifact::Stage;
use crate::report::Snapshot;

/// A terminal's measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters of a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// Widest that the bar becomes.
const BAR: usize = 40;

/// Width of the labels on the left.
const LABEL: usize = 12;

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

/// One fact. Where a line is too long, the facts of the highest rank go first.
struct Fact {
    rank: u8,
    color: &'static str,
    text: String,
}

/// A line of the table. Where there are too many, those of the highest rank go first.
struct Row {
    rank: u8,
    label: &'static str,
    facts: Vec<Fact>,
}

impl Row {
    fn new(rank: u8, label: &'static str) -> Self {
        Self { rank, label, facts: Vec::new() }
    }

    fn fact(self, rank: u8, text: impl Into<String>) -> Self {
        self.colored(rank, "", text)
    }

    fn colored(mut self, rank: u8, color: &'static str, text: impl Into<String>) -> Self {
        self.facts.push(Fact { rank, color, text: text.into() });
        self
    }

    fn width(&self) -> usize {
        let texts = self.facts.iter().map(|fact| fact.text.chars().count() + 2);
        LABEL + texts.sum::<usize>().saturating_sub(2)
    }

    /// The line, at most `columns` wide.
    fn draw(mut self, columns: usize, color: bool) -> String {
        while self.width() > columns && self.facts.len() > 1 {
            let Some(rank) = self.facts.iter().map(|fact| fact.rank).max() else { break };
            if let Some(place) = self.facts.iter().rposition(|fact| fact.rank == rank) {
                self.facts.remove(place);
            }
        }
        let (mut line, mut left) = (String::new(), columns);
        let mut put = |text: &str, code: &str| {
            let text: String = text.chars().take(left).collect();
            left -= text.chars().count();
            match color && !code.is_empty() && !text.is_empty() {
                true => {
                    let _ = write!(line, "\x1b[{code}m{text}\x1b[0m");
                }
                false => line.push_str(&text),
            }
        };
        put(&format!("{:LABEL$}", self.label), CYAN);
        for (place, fact) in self.facts.iter().enumerate() {
            put(if place > 0 { "  " } else { "" }, "");
            put(&fact.text, fact.color);
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// The table in lines without line ends, none longer than the terminal is wide and not more than
/// it is high.
#[must_use]
pub fn table(snapshot: &Snapshot, size: Size, color: bool) -> Vec<String> {
    let mut rows = rows(snapshot, size.columns);
    while rows.len() > size.rows.max(1) {
        let Some(rank) = rows.iter().map(|row| row.rank).max() else { break };
        rows.retain(|row| row.rank != rank);
    }
    rows.into_iter().map(|row| row.draw(size.columns, color)).collect()
}

fn rows(shown: &Snapshot, columns: usize) -> Vec<Row> {
    let counts = &shown.counts;
    let done = format!("{} of {}", counts.ended(), counts.instances);
    let percent =
        format!("{} %", (counts.ended() * 100).checked_div(counts.instances).unwrap_or(0));
    let room = columns.saturating_sub(LABEL + done.len() + percent.len() + 6);
    let bar = bar(counts.ended(), counts.instances, room.min(BAR));
    let mut rows = vec![Row::new(0, "instances").fact(0, done).fact(2, bar).fact(1, percent)];

    let mut at_work = Row::new(3, "at work");
    for stage in Stage::ALL {
        let count = counts.at_work.get(&stage).copied().unwrap_or(0);
        at_work = at_work.fact(if count > 0 { 1 } else { 3 }, format!("{count} {stage}"));
    }
    at_work = at_work.fact(0, format!("{} waiting", counts.waiting));
    if counts.stopped > 0 {
        at_work = at_work.colored(0, YELLOW, format!("{} stopped", counts.stopped));
    }
    rows.push(at_work);

    let mut ended = Row::new(2, "ended");
    if counts.through > 0 {
        ended = ended.colored(0, GREEN, format!("{} through", counts.through));
    } else {
        ended = ended.colored(0, GREEN, format!("{} solved", counts.solved));
        ended = ended.colored(2, YELLOW, format!("{} no candidate", counts.no_candidate));
    }
    ended = ended.colored(1, if counts.all_failed() > 0 { RED } else { "" }, failed(shown));
    rows.push(ended);

    let prompt = &shown.asked;
    let mut tokens = Row::new(4, "tokens")
        .fact(0, format!("{} prompt", short(prompt.prompt_tokens)))
        .fact(3, format!("{} cached", short(prompt.cached_tokens)))
        .fact(0, format!("{} completion", short(prompt.completion_tokens)))
        .fact(1, rate(shown.tokens_per_second));
    let journal = shown.journaled.prompt_tokens + shown.journaled.completion_tokens;
    if shown.from_journal > 0 {
        tokens = tokens.fact(4, format!("{} from journals", short(journal)));
    }
    rows.push(tokens);

    let mut requests = Row::new(6, "requests")
        .fact(0, format!("{} under way", shown.under_way))
        .fact(1, format!("{} answered", short(shown.answered)))
        .fact(2, format!("{} repeated", short(shown.retried)));
    if shown.unanswered > 0 {
        requests = requests.colored(1, RED, format!("{} failed", short(shown.unanswered)));
    }
    if shown.from_journal > 0 {
        requests = requests.fact(3, format!("{} from journals", short(shown.from_journal)));
    }
    rows.push(requests);

    let ran = &shown.executions;
    rows.push(
        Row::new(5, "executions")
            .fact(0, format!("{} passed", short(ran.passed)))
            .fact(0, format!("{} failed", short(ran.failed)))
            .fact(1, format!("{} errors", short(ran.errors + ran.timeouts + ran.not_run)))
            .fact(2, rate(shown.executions_per_second)),
    );
    if let Some(cost) = shown.cost {
        rows.push(Row::new(2, "cost").fact(0, money(cost)));
    }
    rows.push(
        Row::new(1, "time")
            .fact(0, format!("{} elapsed", clock(shown.elapsed)))
            .fact(0, format!("ETA {}", clock(shown.eta))),
    );
    rows
}

fn failed(shown: &Snapshot) -> String {
    let failed = &shown.counts.failed;
    let causes: Vec<String> =
        failed.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
    match causes.is_empty() {
        true => "0 failed".to_owned(),
        false => format!("{} failed ({})", shown.counts.all_failed(), causes.join(", ")),
    }
}

/// The run in one line, for logs and pipes.
#[must_use]
pub fn line(shown: &Snapshot) -> String {
    let counts = &shown.counts;
    let mut line = format!("{} of {} instances", counts.ended(), counts.instances);
    if counts.through == 0 {
        let _ = write!(line, ": {} solved, {} no candidate", counts.solved, counts.no_candidate);
    }
    let tokens = shown.asked.prompt_tokens + shown.asked.completion_tokens;
    let _ = write!(
        line,
        ", {}; {} at work; {} tokens; {} executions",
        failed(shown),
        counts.all_at_work(),
        short(tokens),
        short(shown.executions.all())
    );
    if let Some(cost) = shown.cost {
        let _ = write!(line, "; cost {}", money(cost));
    }
    let _ = write!(line, "; {} elapsed; ETA {}", clock(shown.elapsed), clock(shown.eta));
    line
}

fn bar(done: usize, all: usize, room: usize) -> String {
    if room < 5 {
        return String::new();
    }
    let full = (done * room).checked_div(all).unwrap_or(0).min(room);
    format!("[{}{}]", "#".repeat(full), "-".repeat(room - full))
}

/// A count in at most five characters: `9999`, `12.3k`, `1.2M`.
#[must_use]
pub(super) fn short(count: u64) -> String {
    if count < 10_000 {
        return count.to_string();
    }
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut scaled = count as f64;
    let mut unit = "";
    for next in ["k", "M", "G", "T"] {
        // What would be shown as 1000.0 belongs to the next unit.
        if scaled < 999.95 {
            break;
        }
        (scaled, unit) = (scaled / 1000.0, next);
    }
    format!("{scaled:.1}{unit}")
}

fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "-/s".to_owned(),
        Some(rate) if rate < 100.0 => format!("{rate:.1}/s"),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates")]
        Some(rate) => format!("{}/s", short(rate as u64)),
    }
}

/// An amount of money with two digits, more where it is small.
#[must_use]
pub(super) fn money(cost: f64) -> String {
    if cost == 0.0 || cost >= 0.1 { format!("{cost:.2}") } else { format!("{cost:.4}") }
}

/// Seconds as `1:02:03`, and `-` for none.
#[must_use]
pub fn clock(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "-".to_owned() };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let seconds = seconds.round() as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests;
