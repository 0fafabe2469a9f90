//! Tokens spent.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Token counts as the server reports them; 0 where it reports none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Of these, tokens that the server took from its prefix cache.
    #[serde(default)]
    pub cached_tokens: u64,
    /// Tokens of the answer, thinking included.
    pub completion_tokens: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.completion_tokens += other.completion_tokens;
    }
}
