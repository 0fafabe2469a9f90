//! One sample's reply as the server gave it: what the journal keeps.

use serde::{Deserialize, Serialize};

use crate::artifact::Usage;
use crate::llm::{Completion, final_part};

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
    fn written(&self) -> String {
        let content = self.content.as_deref().unwrap_or_default();
        match self.reasoning.as_deref().filter(|text| !text.is_empty()) {
            Some(reasoning) => format!("<think>{reasoning}</think>{content}"),
            None => content.to_owned(),
        }
    }

    /// The completion that `sample` gets out of this reply.
    #[must_use]
    pub fn completion(&self, sample: u32, journaled: bool) -> Completion {
        Completion {
            sample,
            answer: final_part(self.content.as_deref(), self.reasoning.as_deref()),
            written: self.written(),
            truncated: self.finish_reason.as_deref() == Some("length"),
            usage: self.usage,
            journaled,
        }
    }
}

/// A raw reply that gives this completion again.
impl From<Completion> for Reply {
    fn from(completion: Completion) -> Self {
        let content = (!completion.written.is_empty()).then_some(completion.written);
        let finish_reason = completion.truncated.then(|| "length".to_owned());
        Self { content, finish_reason, usage: completion.usage, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::NoAnswer;

    #[test]
    fn separated_thinking_stands_in_tags_before_the_text() {
        let content = Some("<solution>x</solution>".to_owned());
        let reply = Reply { content, reasoning: Some("draft".to_owned()), ..Reply::default() };
        let completion = reply.completion(0, false);
        assert_eq!(completion.written, "<think>draft</think><solution>x</solution>");
        assert_eq!(completion.answer, Ok("x".to_owned()));
    }

    #[test]
    fn a_completion_without_raw_reply_keeps_its_meaning() {
        for (answer, written) in [
            (Ok("x = 1".to_owned()), "x = 1"),
            (Ok("x = 1".to_owned()), "<think>draft</think>x = 1"),
            (Err(NoAnswer::Empty), ""),
            (Err(NoAnswer::NoSolution), "<think>draft</think>"),
        ] {
            for truncated in [true, false] {
                let usage = Usage { prompt_tokens: 3, cached_tokens: 1, completion_tokens: 2 };
                let before = Completion {
                    sample: 4,
                    answer: answer.clone(),
                    written: written.to_owned(),
                    truncated,
                    usage,
                    journaled: false,
                };
                assert_eq!(Reply::from(before.clone()).completion(4, false), before);
            }
        }
    }
}
