//! How much may a run spend, and until when?

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// Why nothing more may be begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// As many requests as allowed are sent.
    #[error("the limit of {limit} model requests is reached")]
    Requests {
        /// The limit.
        limit: u64,
    },
    /// As many tokens as allowed are spent, those of requests under way included.
    #[error("the limit of {limit} tokens is reached")]
    Tokens {
        /// The limit.
        limit: u64,
    },
    /// The time is over.
    #[error("the deadline {at} is reached")]
    Deadline {
        /// When it was, as RFC 3339 says it.
        at: String,
    },
}

impl Exhausted {
    /// How to go on.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Requests { .. } => {
                "run the same command with a higher --max-requests; nothing is asked twice"
            }
            Self::Tokens { .. } => {
                "run the same command with a higher --max-tokens-total; nothing is asked twice"
            }
            Self::Deadline { .. } => {
                "run the same command with a later --deadline; nothing is asked or run twice"
            }
        }
    }
}

/// A run's limits and what is spent of them. What ended once stays ended.
///
/// When tokens or requests are used up, no request and no instance is begun; instances at work still
/// execute what they have. After the deadline no session and no test is begun either.
#[derive(Debug)]
pub struct Budget {
    tokens: Option<u64>,
    spent: Mutex<Spent>,
    why: OnceLock<Exhausted>,
    ended: CancellationToken,
    late: CancellationToken,
}

#[derive(Debug, Default)]
struct Spent {
    tokens: u64,
    /// Expected of requests under way.
    reserved: u64,
    /// Answers and their tokens, for what to expect of the next ones.
    answers: u64,
    completion: u64,
}

/// Tokens that a request under way is expected to spend; given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    tokens: u64,
}

impl Budget {
    /// At most `tokens`, prompts and completions together, of which `spent` are spent already.
    #[must_use]
    pub fn new(tokens: Option<u64>, spent: u64) -> Self {
        Self {
            tokens,
            spent: Mutex::new(Spent { tokens: spent, ..Spent::default() }),
            why: OnceLock::new(),
            ended: CancellationToken::new(),
            late: CancellationToken::new(),
        }
    }

    /// No limit.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(None, 0)
    }

    /// Ends the budget; a second reason does not replace the first, but a deadline is kept anyway.
    pub fn end(&self, why: Exhausted) {
        let late = matches!(why, Exhausted::Deadline { .. });
        let _ = self.why.set(why);
        self.ended.cancel();
        if late {
            self.late.cancel();
        }
    }

    /// Why nothing may be begun; nothing while it may.
    #[must_use]
    pub fn ended(&self) -> Option<Exhausted> {
        self.why.get().cloned()
    }

    /// Resolves when no request may be begun.
    pub async fn until_ended(&self) -> Exhausted {
        self.ended.cancelled().await;
        self.reason()
    }

    /// Resolves at the deadline.
    pub async fn until_late(&self) -> Exhausted {
        self.late.cancelled().await;
        self.reason()
    }

    /// Whether tests may be begun.
    ///
    /// # Errors
    /// [`Exhausted`] after the deadline.
    pub fn in_time(&self) -> Result<(), Exhausted> {
        if self.late.is_cancelled() { Err(self.reason()) } else { Ok(()) }
    }

    fn reason(&self) -> Exhausted {
        let unknown = || Exhausted::Deadline { at: String::new() };
        self.why.get().cloned().unwrap_or_else(unknown)
    }

    /// Ends the budget at `deadline` by the system's clock, which a sleeping machine's timers do not
    /// follow.
    pub async fn watch(self: Arc<Self>, deadline: OffsetDateTime) {
        loop {
            let left = deadline - OffsetDateTime::now_utc();
            let Ok(left) = std::time::Duration::try_from(left) else { break };
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(left.min(std::time::Duration::from_secs(10))).await;
        }
        let format = &time::format_description::well_known::Rfc3339;
        let at = deadline.replace_nanosecond(0).unwrap_or(deadline);
        self.end(Exhausted::Deadline { at: at.format(format).unwrap_or_default() });
    }

    /// Sets aside what a request with a prompt of about `prompt` tokens is expected to spend on
    /// `samples` answers: each as long as those before were on the average.
    ///
    /// # Errors
    /// [`Exhausted`] when what is spent and set aside reaches the limit; from then on always.
    pub fn reserve(self: &Arc<Self>, prompt: u64, samples: u64) -> Result<Reservation, Exhausted> {
        if let Some(why) = self.ended() {
            return Err(why);
        }
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = self.tokens
            && spent.tokens.saturating_add(spent.reserved) >= limit
        {
            drop(spent);
            let why = Exhausted::Tokens { limit };
            self.end(why.clone());
            return Err(why);
        }
        let answer = spent.completion / spent.answers.max(1);
        let tokens = prompt.saturating_add(answer.saturating_mul(samples));
        spent.reserved = spent.reserved.saturating_add(tokens);
        drop(spent);
        Ok(Reservation { budget: Arc::clone(self), tokens })
    }

    /// Tokens spent so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).tokens
    }
}

impl Reservation {
    /// Replaces the expectation by what was spent on `answers`; 0 tokens, from a server that counts
    /// none, are taken to be what was expected.
    pub fn settle(self, prompt: u64, completion: u64, answers: u64) {
        let mut spent = self.budget.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = prompt.saturating_add(completion);
        spent.tokens = spent.tokens.saturating_add(if tokens == 0 { self.tokens } else { tokens });
        spent.completion = spent.completion.saturating_add(completion);
        spent.answers = spent.answers.saturating_add(answers);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut spent = self.budget.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.reserved = spent.reserved.saturating_sub(self.tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_counts_and_the_end_is_final() {
        let budget = Arc::new(Budget::new(Some(1000), 400));
        let one = budget.reserve(300, 1).unwrap();
        one.settle(300, 100, 1);
        assert_eq!(budget.spent(), 800);
        // 100 for the prompt and, as before, 100 for the answer: with them the limit is reached.
        let two = budget.reserve(100, 1).unwrap();
        assert_eq!(budget.reserve(1, 1).unwrap_err(), Exhausted::Tokens { limit: 1000 });
        drop(two);
        assert!(budget.reserve(1, 1).is_err());
        assert!(budget.in_time().is_ok());
    }

    #[test]
    fn a_failed_request_gives_back_and_an_uncounted_one_costs_what_was_expected() {
        let budget = Arc::new(Budget::new(Some(100), 0));
        drop(budget.reserve(99, 1).unwrap());
        budget.reserve(60, 1).unwrap().settle(0, 0, 1);
        assert_eq!(budget.spent(), 60);
        assert!(budget.reserve(40, 1).is_ok());
    }

    #[tokio::test]
    async fn a_deadline_ends_tests_too() {
        let budget = Arc::new(Budget::unlimited());
        let at = OffsetDateTime::now_utc() + time::Duration::milliseconds(20);
        Arc::clone(&budget).watch(at).await;
        assert!(OffsetDateTime::now_utc() >= at);
        assert!(matches!(budget.in_time(), Err(Exhausted::Deadline { .. })));
        assert!(matches!(budget.until_ended().await, Exhausted::Deadline { .. }));
        assert!(budget.reserve(1, 1).is_err());
    }
}
