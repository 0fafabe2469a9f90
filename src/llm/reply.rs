//! One sample's reply as the server gave it: what the journal keeps.

use serde::{Deserialize, Serialize};

use crate::artifact::Usage;
use crate::llm::{Completion, NoAnswer, final_part};

/// A raw reply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The message's text; null where the server sent none.
    #[serde(default)]
    pub content: Option<String>,
    /// Thinking that the server separated from the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// `stop`, `length` or what else the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Tokens spent; see [`Completion::usage`].
    #[serde(default)]
    pub usage: Usage,
    /// The model as the reply names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Seconds from sending the request to the end of the answer.
    #[serde(default)]
    pub seconds: f64,
    /// The seed sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
}

impl Reply {
    /// The completion that `sample` gets out of this reply.
    #[must_use]
    pub fn completion(&self, sample: u32, journaled: bool) -> Completion {
        Completion {
            sample,
            answer: final_part(self.content.as_deref(), self.reasoning.as_deref()),
            truncated: self.finish_reason.as_deref() == Some("length"),
            usage: self.usage,
            journaled,
        }
    }
}

/// The nearest raw reply of a client that has none: its answer without the thinking.
impl From<Completion> for Reply {
    fn from(completion: Completion) -> Self {
        let (content, reasoning) = match completion.answer {
            Ok(answer) => (Some(answer), None),
            Err(NoAnswer::Empty) => (None, None),
            Err(NoAnswer::NoSolution) => (None, Some("(not recorded)".to_owned())),
        };
        let finish_reason = completion.truncated.then(|| "length".to_owned());
        Self { content, reasoning, finish_reason, usage: completion.usage, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_without_raw_reply_keeps_its_meaning() {
        for answer in [Ok("x = 1".to_owned()), Err(NoAnswer::Empty), Err(NoAnswer::NoSolution)] {
            for truncated in [true, false] {
                let usage = Usage { prompt_tokens: 3, cached_tokens: 1, completion_tokens: 2 };
                let before = Completion {
                    sample: 4,
                    answer: answer.clone(),
                    truncated,
                    usage,
                    journaled: false,
                };
                assert_eq!(Reply::from(before.clone()).completion(4, false), before);
            }
        }
    }
}
