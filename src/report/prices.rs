//! What tokens cost, where the user says so.

use serde::Serialize;

use crate::artifact::Usage;

/// Prices in units of some currency for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prices {
    /// Tokens of prompts that the server did not take from its prefix cache.
    pub prompt: f64,
    /// Tokens that it took from there.
    pub cached: f64,
    /// Tokens of answers.
    pub completion: f64,
}

impl Prices {
    /// What is charged for `usage`, in the currency's units.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> f64 {
        // A server that reports more cached tokens than prompt tokens is charged as reported.
        let fresh = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
        let parts = [
            (fresh, self.prompt),
            (usage.cached_tokens, self.cached),
            (usage.completion_tokens, self.completion),
        ];
        parts.iter().map(|(tokens, price)| count(*tokens) * price / 1e6).sum()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of tokens are below 2^52")]
fn count(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_are_part_of_the_prompt_and_charged_once() {
        let prices = Prices { prompt: 2.0, cached: 0.5, completion: 10.0 };
        let usage = Usage {
            prompt_tokens: 3_000_000,
            cached_tokens: 1_000_000,
            completion_tokens: 500_000,
        };
        assert!((prices.cost(&usage) - 9.5).abs() < 1e-9);
        let odd = Usage { prompt_tokens: 1, cached_tokens: 1_000_000, completion_tokens: 0 };
        assert!((prices.cost(&odd) - 0.5).abs() < 1e-9);
    }
}
