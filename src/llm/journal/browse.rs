//! A journal as a whole, for those who show what was asked and answered.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use crate::llm::journal::join::{has_journal, lines};
use crate::llm::journal::line::Line;
use crate::llm::{Call, Message, Reply};

/// One answered sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// What was asked for.
    pub call: Call,
    /// Index of the sample.
    pub sample: u32,
    /// Digest of the prompt, where it is known.
    pub prompt: Option<String>,
    /// What the model said.
    pub reply: Reply,
}

/// All that a journal holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    /// Prompts by their digests.
    pub prompts: HashMap<String, Vec<Message>>,
    /// Answers in the order of their arrival.
    pub exchanges: Vec<Exchange>,
    /// Lines that could not be read.
    pub skipped: usize,
}

impl Recorded {
    /// Reads the journal in an instance's folder; none is there when the model was not asked, or
    /// replies came from elsewhere.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        if !has_journal(folder) {
            return Ok(None);
        }
        let mut recorded = Self::default();
        for line in lines(folder)? {
            match Line::decode(&line) {
                Ok(Line::Prompt { digest, messages }) => {
                    recorded.prompts.insert(digest, messages.into_owned());
                }
                Ok(Line::Reply { prompt, call, sample, reply, .. }) => {
                    let reply = reply.into_owned();
                    recorded.exchanges.push(Exchange { call, sample, prompt, reply });
                }
                Err(_) => recorded.skipped += 1,
            }
        }
        Ok(Some(recorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_and_answers_are_read_and_a_torn_line_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Recorded::read(dir.path()).unwrap(), None);
        let text = concat!(
            r#"{"schema":1,"type":"prompt","digest":"d","messages":[{"role":"user","content":"q"}]}"#,
            "\n",
            r#"{"schema":1,"type":"reply","prompt":"d","call":"repair","sample":3,"content":"a"}"#,
            "\n{\"schema\":1,\"type\":\"rep\n",
        );
        std::fs::write(dir.path().join("journal.jsonl"), text).unwrap();
        let recorded = Recorded::read(dir.path()).unwrap().unwrap();
        assert_eq!(recorded.prompts["d"][0].content, "q");
        let exchange = &recorded.exchanges[0];
        assert_eq!((exchange.call, exchange.sample), (Call::Repair, 3));
        assert_eq!(exchange.reply.content.as_deref(), Some("a"));
        assert_eq!(recorded.skipped, 1);
    }
}
