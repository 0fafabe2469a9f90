//! What a server means when it refuses: its words, whatever their wrapping, and whether they say
//! that the prompt is too long for the model.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// Longest quotation of a server's words, in characters.
const QUOTED: usize = 400;

/// What could be read out of a refusal's body.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Words {
    /// The message, or the body's beginning.
    pub(super) message: String,
    /// `code` and `type` of the error, where it has them.
    pub(super) codes: Vec<String>,
    /// The context length, where a field of its own names it.
    limit: Option<u64>,
}

impl Words {
    /// Reads a body: OpenAI's `{"error": {...}}`, plain `{"message"|"detail": ...}`, or any text.
    pub(super) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let Ok(json) = serde_json::from_str::<Value>(&text) else {
            return Self { message: shorten(&strip_html(&text)), ..Self::default() };
        };
        Self::from_json(&json)
    }

    pub(super) fn from_json(json: &Value) -> Self {
        let json =
            if let Value::Array(items) = json { items.first().unwrap_or(json) } else { json };
        let error = json.get("error").filter(|error| !error.is_null()).unwrap_or(json);
        let text = |name| match error.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let message = text("message")
            .or_else(|| text("detail"))
            .or_else(|| error.as_str().map(str::to_owned))
            .unwrap_or_else(|| error.to_string());
        let codes = ["code", "type"].into_iter().filter_map(text).collect();
        let limit = error.get("n_ctx").and_then(Value::as_u64);
        Self { message: shorten(&message), codes, limit }
    }

    /// Whether the codes have `code`.
    pub(super) fn has_code(&self, code: &str) -> bool {
        self.codes.iter().any(|own| own == code)
    }

    /// The status that an error reported with another one stands for, by its code or its type.
    pub(super) fn status(&self) -> Option<u16> {
        let of = |code: &String| match code.to_ascii_lowercase().as_str() {
            "rate_limit_error" | "rate_limit_exceeded" => Some(429),
            "overloaded_error" | "service_unavailable" => Some(503),
            "server_error"
            | "internal_error"
            | "internal_server_error"
            | "internalservererror"
            | "api_error" => Some(500),
            number => number.parse().ok().filter(|status| (400..600).contains(status)),
        };
        self.codes.iter().find_map(of)
    }

    /// `Some` if the words say that prompt and answer do not fit the model's context; inside, the
    /// context length if they name it.
    pub(super) fn overflow(&self) -> Option<Option<u64>> {
        let found = OVERFLOW.iter().find_map(|regex| regex.captures(&self.message));
        let limit = found.as_ref().and_then(|words| words.name("limit"));
        let limit = limit.and_then(|digits| digits.as_str().replace([',', '_'], "").parse().ok());
        let coded = OVERFLOW_CODES.into_iter().any(|code| self.has_code(code));
        (coded || found.is_some()).then_some(limit.or(self.limit))
    }
}

/// Codes and types by which servers name the overflow.
const OVERFLOW_CODES: [&str; 4] = [
    "context_length_exceeded",
    "exceed_context_size_error",
    "string_above_max_length",
    "context_window_exceeded",
];

/// The wordings, the ones that name the limit first. Servers seen with them stand in the tests.
static OVERFLOW: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    const NUMBER: &str = r"(?P<limit>\d[\d,_]*)";
    [
        r"max(?:imum)? (?:context|model|prompt|sequence) length(?: is| of|:) ?(?:only )?NUMBER",
        r"NUMBER (?:tokens? )?max(?:imum)? context length",
        r"context (?:length|window|size) (?:is |of )?(?:only )?\(?NUMBER",
        r"context size \(NUMBER",
        r"longer than the model's context length \(NUMBER",
        r"exceeds? (?:the )?maximum (?:allowed |input )?(?:length|number of tokens)[^\d]{0,20}NUMBER",
        r"`inputs`.{0,80}(?:must be <=|must have less than) NUMBER",
        r"prompt is too long: [\d,]+ tokens > NUMBER",
        r"exceed context limit: [\d,]+ \+ [\d,]+ > NUMBER",
        r"exceed(?:s|ed)? (?:the )?(?:model|configured) (?:token )?limit(?: of)?:? NUMBER",
        r"tokens in the prompt cannot exceed NUMBER",
        r"(?:exceeds?|longer than) (?:the |this )?(?:model's |available |maximum )*context",
        r"context (?:length|window|size) (?:was |is |has been )?exceeded",
        r"reduce the length of the (?:input|messages|prompt)",
        r"(?:prompt|input) is too long",
    ]
    .map(|pattern| {
        let pattern = format!("(?is){}", pattern.replace("NUMBER", NUMBER));
        Regex::new(&pattern).expect("the patterns are constants, compiled in a test")
    })
    .into()
});

/// At most [`QUOTED`] characters in one line.
pub(super) fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The readable part of an error page.
fn strip_html(text: &str) -> String {
    static MARKUP: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?is)<(script|style)\b.*?</(script|style)>|<!--.*?-->|<[a-z/!][^>]*>")
            .expect("the pattern is a constant, compiled in a test")
    });
    MARKUP.replace_all(text, " ").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overflow(body: &str) -> Option<Option<u64>> {
        Words::read(body.as_bytes()).overflow()
    }

    /// Server, body, limit.
    const SEEN: &[(&str, &str, Option<u64>)] = &[
        (
            "openai",
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 10021 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            Some(8192),
        ),
        (
            "openai, words only",
            r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again."}}"#,
            None,
        ),
        (
            "openai, code only",
            r#"{"error":{"message":"too big","code":"context_length_exceeded"}}"#,
            None,
        ),
        (
            "openai, configured",
            r#"{"error":{"message":"Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.","code":"context_length_exceeded"}}"#,
            Some(272_000),
        ),
        (
            "vllm",
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5012 tokens (4000 in the messages, 1012 in the completion). Please reduce the length of the messages or completion.","type":"BadRequestError","param":null,"code":400}"#,
            Some(4096),
        ),
        (
            "vllm, decoder",
            r#"{"object":"error","message":"The decoder prompt (length 41325) is longer than the maximum model length of 32768. Make sure that `max_model_len` is no smaller than the number of text tokens.","type":"BadRequestError","code":400}"#,
            Some(32_768),
        ),
        (
            "vllm, passed",
            r#"{"error":{"message":"You passed 4097 input tokens and requested 0 output tokens. However, the model's context length is only 4096 tokens, resulting in a maximum input length of 4096 tokens. Please reduce the length of the input prompt.","code":400}}"#,
            Some(4096),
        ),
        (
            "vllm, max_tokens",
            r#"{"error":{"message":"'max_tokens' or 'max_completion_tokens' is too large: 40000. This model's maximum context length is 32768 tokens and your request has 1201 input tokens (40000 > 32768 - 1201). None","code":400}}"#,
            Some(32_768),
        ),
        (
            "sglang",
            r#"{"object":"error","message":"The input (50012 tokens) is longer than the model's context length (32768 tokens).","type":"BadRequest","code":400}"#,
            Some(32_768),
        ),
        (
            "sglang, total",
            r#"{"message":"Requested token count exceeds the model's maximum context length of 131072 tokens. You requested a total of 140001 tokens: 130001 tokens from the input messages and 10000 tokens for the completion."}"#,
            Some(131_072),
        ),
        (
            "sglang, allowed",
            r#"{"message":"Input length (40010 tokens) exceeds the maximum allowed length (32768 tokens)."}"#,
            Some(32_768),
        ),
        (
            "llama.cpp",
            r#"{"error":{"code":400,"message":"the request exceeds the available context size. try increasing the context size or enable context shift","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}"#,
            Some(4096),
        ),
        (
            "llama.cpp, newer",
            r#"{"error":{"code":400,"message":"request (5012 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error"}}"#,
            Some(4096),
        ),
        (
            "tgi",
            r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 100 `max_new_tokens`","error_type":"validation"}"#,
            Some(4096),
        ),
        (
            "tgi, inputs",
            r#"{"error":"Input validation error: `inputs` must have less than 1024 tokens. Given: 5000"}"#,
            Some(1024),
        ),
        (
            "anthropic",
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210001 tokens > 200000 maximum"}}"#,
            Some(200_000),
        ),
        (
            "anthropic, sum",
            r#"{"error":{"message":"input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"}}"#,
            Some(200_000),
        ),
        (
            "gemini",
            r#"[{"error":{"code":400,"message":"The input token count (1200012) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
            Some(1_048_576),
        ),
        (
            "mistral",
            r#"{"object":"error","message":"Prompt contains 40012 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"invalid_request_prompt","code":"3051"}"#,
            Some(32_768),
        ),
        (
            "xai",
            r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 131072 but the request contains 537812 tokens."}"#,
            Some(131_072),
        ),
        (
            "fireworks",
            r#"{"error":{"message":"The prompt is too long: 5000, model maximum context length: 4096"}}"#,
            Some(4096),
        ),
        (
            "moonshot",
            r#"{"error":{"message":"Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)","type":"invalid_request_error"}}"#,
            Some(131_072),
        ),
        (
            "lm studio",
            r#"{"error":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}"#,
            Some(4096),
        ),
        ("bedrock", r#"{"message":"Input is too long for requested model."}"#, None),
        (
            "cohere",
            r#"{"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."}"#,
            Some(4081),
        ),
        (
            "fastapi",
            r#"{"detail":"This model's maximum context length is 2,048 tokens."}"#,
            Some(2048),
        ),
        ("plain text", "Context window exceeded", None),
    ];

    #[test]
    fn every_server_s_overflow_is_recognised_with_its_limit() {
        for (server, body, limit) in SEEN {
            assert_eq!(overflow(body), Some(*limit), "{server}");
        }
    }

    #[test]
    fn other_refusals_are_not_taken_for_it() {
        for body in [
            r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#,
            r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#,
            r#"{"error":{"message":"n must be 1 when using greedy sampling, got 2."}}"#,
            r#"{"error":{"message":"max_tokens must be at least 1, got 0."}}"#,
            r#"{"error":{"message":"Rate limit reached: Limit 30000 tokens per min, Used 29000."}}"#,
            r#"{"detail":[{"loc":["body","temperature"],"msg":"value is not a valid float"}]}"#,
            "<html><title>400 Bad Request</title></html>",
            "",
        ] {
            assert_eq!(overflow(body), None, "{body}");
        }
    }

    #[test]
    fn words_come_out_of_any_wrapping() {
        for (body, message) in [
            (r#"{"error":{"message":"no"}}"#, "no"),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"message":"no"}"#, "no"),
            (r#"{"detail":"no"}"#, "no"),
            (r#"{"error":null,"message":"no"}"#, "no"),
            ("<html><style>b{}</style><body>\n<h1>no</h1></body></html>", "no"),
            ("  no\n", "no"),
        ] {
            assert_eq!(Words::read(body.as_bytes()).message, message, "{body}");
        }
        assert!(Words::read("ä".repeat(5000).as_bytes()).message.chars().count() <= QUOTED + 1);
    }
}
