//! How cases are scored, and the limits beyond which one is not.

use std::time::{Duration, Instant};

use crate::reward::Text;

/// How cases are scored. The default is the published definition, without a deadline.
#[derive(Debug, Clone)]
pub struct Options {
    /// Mend the known holes of the published definition, see [`crate::reward::Flag::Mended`].
    pub safe: bool,
    /// Longest time for one case. A case that takes longer gets an error and no reward.
    pub deadline: Option<Duration>,
    /// Largest text in bytes: one JSON line, or one file after the edits. Anything larger gets an
    /// error and no reward. The default is 256 MiB.
    pub max_text: usize,
    /// Most code points that two changes of one path may have together where they must be
    /// compared. Beyond it the case gets an error and no reward. The default is 4 Mi; comparing
    /// takes up to about 300 bytes of memory for each.
    pub max_change: usize,
    /// Threads for the files of one case, where these are large; 1 by default.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { safe: false, deadline: None, max_text: 256 << 20, max_change: 4 << 20, threads: 1 }
    }
}

/// Why a case gets no reward although it is well formed. This is about limits, never about the
/// worth of the model's answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The case took longer than [`Options::deadline`].
    #[error("not scored: the deadline of {0:?} passed")]
    Deadline(Duration),
    /// A line or a file is larger than [`Options::max_text`].
    #[error("not scored: {what} has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Which text.
        what: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Two changes are larger than [`Options::max_change`].
    #[error(
        "not scored: the changes of `{path}` have {points} characters together, more than the \
         limit of {limit}"
    )]
    TooLong {
        /// The file.
        path: String,
        /// Code points of both.
        points: usize,
        /// The limit.
        limit: usize,
    },
}

/// The limits of one case in work.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) max_text: usize,
    pub(crate) max_change: usize,
    pub(crate) threads: usize,
    end: Option<(Instant, Duration)>,
}

impl Limits {
    /// The case begins now.
    pub(crate) fn start(options: &Options) -> Self {
        let end =
            options.deadline.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
        let Options { max_text, max_change, threads, .. } = *options;
        Self { max_text, max_change, threads, end }
    }

    pub(crate) fn check_text(&self, path: &Text, bytes: usize) -> Result<(), Refusal> {
        if bytes <= self.max_text {
            return Ok(());
        }
        let what = format!("`{path}` after the edits");
        Err(Refusal::TooLarge { what, bytes, limit: self.max_text })
    }

    /// A clock for one piece of work.
    pub(crate) fn clock(&self) -> Clock {
        Clock { end: self.end, left: STEPS }
    }
}

/// The time that is left; asked often, it looks at the clock seldom.
#[derive(Debug)]
pub(crate) struct Clock {
    end: Option<(Instant, Duration)>,
    left: usize,
}

/// Steps of work, a few nanoseconds each, between two looks at the clock.
const STEPS: usize = 1 << 18;

impl Clock {
    /// A clock that never runs out.
    pub(crate) fn endless() -> Self {
        Self { end: None, left: STEPS }
    }

    /// Accounts for `steps` of work.
    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), Refusal> {
        if let Some(left) = self.left.checked_sub(steps) {
            self.left = left;
            return Ok(());
        }
        self.left = STEPS;
        match self.end {
            Some((end, limit)) if Instant::now() >= end => Err(Refusal::Deadline(limit)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_runs_out_and_an_endless_one_does_not() {
        let options = Options { deadline: Some(Duration::from_nanos(1)), ..Options::default() };
        let mut clock = Limits::start(&options).clock();
        let spent = (0..10).find_map(|_| clock.spend(STEPS).err());
        assert_eq!(spent, Some(Refusal::Deadline(Duration::from_nanos(1))));
        let mut clock = Clock::endless();
        assert!((0..10).all(|_| clock.spend(usize::MAX).is_ok()));
    }
}
