//! A run's limits, as settings and the run directory say.

use std::num::NonZeroUsize;
use std::sync::Arc;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::batch::Summary;
use crate::budget::Budget;
use crate::cli::error::{CliError, Kind};
use crate::cli::session;
use crate::config::Config;
use crate::report::{EventLog, Progress};
use crate::sandbox::Sandbox;
use crate::store::RunDir;

/// Requests that an instance at its least busy asks for at once: its samples of localization.
const REQUESTS: usize = 4;

/// Instances at work at the same time.
pub(crate) fn instances(config: &Config, sandbox: &dyn Sandbox) -> NonZeroUsize {
    NonZeroUsize::new(config.run.jobs).unwrap_or_else(|| {
        let sessions = session::or_room(config.run.sessions, sandbox);
        sessions.saturating_add(config.model.concurrency.div_ceil(REQUESTS))
    })
}

/// The budget of a command that begins now; its deadline is watched from then on.
pub(crate) fn budget(config: &Config, run: &RunDir) -> Result<Arc<Budget>, CliError> {
    let now = OffsetDateTime::now_utc();
    let deadline = match config.run.deadline.as_str() {
        "" => None,
        text => Some(deadline(text, now).map_err(CliError::usage)?),
    };
    let limit = config.model.max_tokens_total;
    let budget =
        if limit == 0 { Budget::unlimited() } else { Budget::new(Some(limit), spent(run)?) };
    let budget = Arc::new(budget);
    if let Some(deadline) = deadline {
        tokio::spawn(Arc::clone(&budget).watch(deadline));
    }
    Ok(budget)
}

/// Tokens that the directory has cost, by its event log: answers that were lost on their way into
/// the journal were paid too.
fn spent(run: &RunDir) -> Result<u64, CliError> {
    let mut progress = Progress::default();
    EventLog::at(&run.events_path())
        .read_on(&mut progress)
        .map_err(|error| CliError::from_error(Kind::Environment, error))?;
    let usage = progress.asked();
    Ok(usage.prompt_tokens.saturating_add(usage.completion_tokens))
}

/// What to say of a run that its budget ended: why, what is left, and how to go on.
pub(crate) fn ending(budget: &Budget, limit: u64, summary: &Summary) -> Option<String> {
    let (why, left) = (budget.ended()?, summary.over_budget());
    let spent = match limit {
        0 => String::new(),
        _ => format!("; {} tokens are spent", budget.spent()),
    };
    (left > 0).then(|| {
        let of = summary.outcomes.len();
        format!("stopped: {why}; {left} of {of} instances are left{spent}\nhint: {}", why.hint())
    })
}

/// Reads a moment (RFC 3339) or a time from `now` on, such as `8h`, `90m`, `1d12h`.
fn deadline(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let wrong = || {
        format!(
            "the deadline {text:?} is neither a time such as 8h, 90m or 1d12h nor a moment such as \
             2026-01-31T18:00:00Z"
        )
    };
    let text = text.trim();
    if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
        return if moment > now {
            Ok(moment)
        } else {
            Err(format!("the deadline {text} is over; give a later one with --deadline"))
        };
    }
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = match rest[digits..].chars().next() {
            Some('d') => 86_400,
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(wrong()),
        };
        let part = number.checked_mul(unit).map(Duration::seconds).ok_or_else(wrong)?;
        sum = sum.checked_add(part).ok_or_else(wrong)?;
        rest = rest[digits + 1..].trim_start();
    }
    if sum.is_zero() {
        return Err(wrong());
    }
    now.checked_add(sum).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn deadlines_are_times_from_now_or_moments() {
        let now = datetime!(2026-01-31 18:00:00 UTC);
        let of = |text: &str| deadline(text, now);
        assert_eq!(of("8h"), Ok(datetime!(2026-02-01 02:00:00 UTC)));
        assert_eq!(of(" 90m "), Ok(datetime!(2026-01-31 19:30:00 UTC)));
        assert_eq!(of("1d 12h30m5s"), Ok(datetime!(2026-02-02 06:30:05 UTC)));
        assert_eq!(of("2026-01-31T20:00:00+01:00"), Ok(datetime!(2026-01-31 19:00:00 UTC)));
        assert!(of("2026-01-31T18:00:00Z").unwrap_err().contains("is over"));
        for odd in [
            "0h",
            "8",
            "h",
            "8 h",
            "-1h",
            "8h5",
            "tomorrow",
            "99999999999999999999h",
            "9223372036854775807d",
        ] {
            assert!(of(odd).unwrap_err().contains("neither"), "{odd}");
        }
    }
}
