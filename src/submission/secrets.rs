//! Nothing that opens an account may leave the house with a package.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use regex::bytes::Regex;

use crate::llm::Secret;

/// Tokens whose form is known: API keys, GitHub's, Hugging Face's, Amazon's.
static TOKEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?-u)(?:^|[^A-Za-z0-9_-])",
        r"(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,}",
        r"|hf_[A-Za-z0-9]{30,}|AKIA[A-Z0-9]{16})",
    ))
    .ok()
});

/// Shorter values are words that may stand anywhere.
const SHORTEST: usize = 8;

/// The first file below `dir` that holds a secret, with a word on which.
pub(super) fn find(dir: &Path, secrets: &[Secret]) -> io::Result<Option<(PathBuf, String)>> {
    for path in files(dir)? {
        let mut bytes = Vec::new();
        let file = File::open(&path)?;
        if path.extension().is_some_and(|extension| extension == "gz") {
            // A file that is cut is searched as far as it goes; the check of logs names it.
            let _ = GzDecoder::new(file).read_to_end(&mut bytes);
        } else {
            io::BufReader::new(file).read_to_end(&mut bytes)?;
        }
        if let Some(what) = found(&bytes, secrets) {
            return Ok(Some((path, what)));
        }
    }
    Ok(None)
}

/// All files below `dir`, sorted.
pub(super) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn found(bytes: &[u8], secrets: &[Secret]) -> Option<String> {
    for secret in secrets.iter().filter(|secret| secret.expose().len() >= SHORTEST) {
        let text = secret.expose();
        let line = memchr::memmem::find(bytes, text.as_bytes()).map(|at| line(bytes, at));
        // JSON writes some characters in another way.
        let escaped = serde_json::Value::from(text).to_string();
        let inner = escaped.trim_matches('"').as_bytes();
        let line =
            line.or_else(|| memchr::memmem::find(bytes, inner).map(|at| self::line(bytes, at)));
        if let Some(line) = line {
            return Some(format!("line {line} holds the API key of the environment"));
        }
    }
    let tokens = TOKEN.as_ref()?;
    let token = tokens.find_iter(bytes).find(|found| looks_random(found.as_bytes()))?;
    Some(format!("line {} holds what looks like an access token", line(bytes, token.start())))
}

/// Names such as `sk-container-with-a-long-name` are no keys: a key has a long run of letters and
/// digits.
fn looks_random(token: &[u8]) -> bool {
    token.split(|byte| !byte.is_ascii_alphanumeric()).any(|run| {
        run.len() >= 16
            && run.iter().any(u8::is_ascii_digit)
            && run.iter().any(u8::is_ascii_alphabetic)
    })
}

fn line(bytes: &[u8], at: usize) -> usize {
    memchr::memchr_iter(b'\n', &bytes[..at]).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn keys_and_tokens_are_found_and_names_are_not() {
        let key = Secret::new("pass\"word-of-mine");
        let says = |text: &str| found(text.as_bytes(), std::slice::from_ref(&key));
        assert!(says("a\nx pass\"word-of-mine y").unwrap().starts_with("line 2"));
        assert!(says(r#"{"a": "pass\"word-of-mine"}"#).is_some());
        let token = format!("sk-proj-{}", "a1B2c3D4".repeat(4));
        assert!(says(&format!("Bearer {token}\n")).is_some());
        assert!(says(&format!("ghp_{}", "a1B2c3".repeat(6))).is_some());
        for harmless in [
            "sk-toggleable__content-of-an-estimator-1",
            "task-aaaaaaaaaaaaaaaaaaaaaaaaaaaaa1",
            "password-of-mine",
        ] {
            assert_eq!(says(harmless), None, "{harmless}");
        }
        // An empty or short key must not make every file suspicious.
        assert_eq!(found(b"EMPTY", &[Secret::new(""), Secret::new("EMPTY")]), None);
    }

    #[test]
    fn compressed_logs_are_searched_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/log.txt.gz");
        std::fs::create_dir(dir.path().join("a")).unwrap();
        let mut out = flate2::write::GzEncoder::new(
            File::create(&path).unwrap(),
            flate2::Compression::fast(),
        );
        out.write_all(b"key: secret-of-mine").unwrap();
        out.finish().unwrap();
        let found = find(dir.path(), &[Secret::new("secret-of-mine")]).unwrap().unwrap();
        assert_eq!(found.0, path);

        std::fs::write(&path, "no gzip").unwrap();
        assert_eq!(find(dir.path(), &[Secret::new("secret-of-mine")]).unwrap(), None);
    }
}
