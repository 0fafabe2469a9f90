//! The lines of a journal and the digests that name prompts and requests.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::llm::{Call, Message, ModelRequest, Reply};

/// The number that every line written carries. Lines of a later schema are skipped.
pub(super) const SCHEMA: u32 = 1;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line<'a> {
    /// A prompt, written once per file.
    Prompt {
        /// Hexadecimal SHA-256; see [`prompt_digest`].
        digest: String,
        /// What was sent.
        messages: Cow<'a, [Message]>,
    },
    /// A reply. Only `call`, `sample` and `content` must be there: recordings written by hand know
    /// no more.
    Reply {
        /// See [`request_key`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// The prompt's digest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<String>,
        /// What was asked for.
        call: Call,
        /// Index of the sample.
        sample: u32,
        /// The rest.
        #[serde(flatten)]
        reply: Cow<'a, Reply>,
    },
}

/// A line with its schema.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Numbered<'a> {
    pub(super) schema: u32,
    #[serde(flatten)]
    pub(super) line: Line<'a>,
}

/// What is read before anything else of a line.
#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

/// What an index needs of a line, at a tenth of the cost of the whole.
#[derive(Debug)]
pub(super) enum Head<'a> {
    /// A prompt under this digest.
    Prompt(Cow<'a, str>),
    /// A reply.
    Reply {
        key: Option<Cow<'a, str>>,
        prompt: Option<Cow<'a, str>>,
        call: Call,
        sample: u32,
        model: Option<Cow<'a, str>>,
    },
}

impl<'a> Head<'a> {
    /// Reads what stands beside a line's texts. The texts themselves are not looked at, so that
    /// whoever calls must know otherwise, by a checksum, that they are whole.
    pub(super) fn decode(text: &'a [u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            schema: u32,
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
            #[serde(default, borrow)]
            digest: Option<Cow<'a, str>>,
            #[serde(default, borrow)]
            key: Option<Cow<'a, str>>,
            #[serde(default, borrow)]
            prompt: Option<Cow<'a, str>>,
            call: Option<Call>,
            sample: Option<u32>,
            #[serde(default, borrow)]
            model: Option<Cow<'a, str>>,
        }
        let fields: Fields<'a> = serde_json::from_slice(text).map_err(|_| Unreadable::Corrupt)?;
        if fields.schema > SCHEMA {
            return Err(Unreadable::Later);
        }
        match (&*fields.kind, fields.digest, fields.call, fields.sample) {
            ("prompt", Some(digest), ..) => Ok(Self::Prompt(digest)),
            ("reply", _, Some(call), Some(sample)) => {
                let (key, prompt, model) = (fields.key, fields.prompt, fields.model);
                Ok(Self::Reply { key, prompt, call, sample, model })
            }
            _ => Err(Unreadable::Corrupt),
        }
    }
}

/// Why a line is skipped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Written by a later version.
    Later,
    /// Not a line of a journal.
    Corrupt,
}

impl Line<'_> {
    /// The line as text, with its newline.
    pub(super) fn encode(self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec(&Numbered { schema: SCHEMA, line: self })?;
        text.push(b'\n');
        Ok(text)
    }

    /// Reads a line without its newline.
    pub(super) fn decode(text: &[u8]) -> Result<Line<'static>, Unreadable> {
        match serde_json::from_slice::<Schema>(text) {
            Ok(Schema { schema }) if schema > SCHEMA => Err(Unreadable::Later),
            Ok(_) => serde_json::from_slice::<Numbered<'static>>(text)
                .map(|numbered| numbered.line)
                .map_err(|_| Unreadable::Corrupt),
            Err(_) => Err(Unreadable::Corrupt),
        }
    }
}

/// Hexadecimal SHA-256 over the messages as compact JSON.
pub(super) fn prompt_digest(messages: &[Message]) -> String {
    digest(&serde_json::json!(messages))
}

/// Hexadecimal SHA-256 over everything that shapes the answer to one sample, as compact JSON:
/// `["agent-journal-1", model, prompt digest, temperature, max_tokens, stop, seed, sample]`.
///
/// The temperature is written in its shortest decimal form; the seed is the run's.
pub(super) fn request_key(
    model: &str,
    prompt: &str,
    request: &ModelRequest,
    sample: u32,
) -> String {
    digest(&serde_json::json!([
        "agent-journal-1",
        model,
        prompt,
        request.temperature.to_string(),
        request.max_tokens,
        request.stop,
        request.seed,
        sample,
    ]))
}

fn digest(value: &serde_json::Value) -> String {
    Sha256::digest(value.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}
