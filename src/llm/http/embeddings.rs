//! Vectors of texts: `POST {base}/embeddings` as OpenAI defined it.

use serde::Deserialize;
use serde_json::json;

use crate::llm::ModelError;
use crate::llm::http::client::HttpClient;
use crate::llm::http::wire::Unusable;

pub(super) const EMBEDDINGS: &str = "embeddings";

impl HttpClient {
    /// One vector for each text, all of one length, none with a number that is not finite. Several
    /// texts go out in one request; how many is the caller's choice.
    ///
    /// # Errors
    /// As a chat completion; [`ModelError::Garbled`] for vectors that are of no use.
    pub async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ModelError> {
        let inner = &self.inner;
        let body = json!({"model": inner.model, "input": texts}).to_string().into_bytes();
        let build = || inner.transport.post(EMBEDDINGS, body.clone());
        let read = |bytes: &[u8]| vectors(bytes, texts.len()).map_err(Unusable::Garbled);
        inner.question(EMBEDDINGS, build, read).await
    }
}

#[derive(Deserialize)]
struct Body {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    index: Option<usize>,
    embedding: Embedding,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Embedding {
    Whole(Vec<Option<f32>>),
    /// One vector for each token: what llama.cpp gives for models that do not say how to pool.
    Tokens(Vec<Vec<Option<f32>>>),
}

impl Embedding {
    /// One vector; of tokens their mean. None where a number is missing.
    fn pooled(self) -> Option<Vec<f32>> {
        let tokens = match self {
            Self::Whole(vector) => return vector.into_iter().collect(),
            Self::Tokens(tokens) => tokens,
        };
        let count = tokens.len() as f32;
        let mut mean = vec![0.0; tokens.first()?.len()];
        for token in tokens {
            if token.len() != mean.len() {
                return None;
            }
            for (sum, number) in mean.iter_mut().zip(token) {
                *sum += number? / count;
            }
        }
        Some(mean)
    }
}

/// The vectors of an answer to `count` texts, in their order, or why they are of no use.
pub(super) fn vectors(bytes: &[u8], count: usize) -> Result<Vec<Vec<f32>>, String> {
    // Python's json module writes NaN where JSON has no word for it.
    let body = serde_json::from_slice::<Body>(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
        format!("it holds no embeddings ({error}): {text}")
    })?;
    if body.data.len() != count {
        return Err(format!("{} embeddings for {count} texts", body.data.len()));
    }
    let mut vectors = vec![Vec::new(); count];
    for (place, entry) in body.data.into_iter().enumerate() {
        let at = entry.index.unwrap_or(place);
        let Some(vector) = vectors.get_mut(at).filter(|vector| vector.is_empty()) else {
            return Err(format!("the embedding {at} comes twice, or is of no text"));
        };
        let finite =
            entry.embedding.pooled().filter(|v| !v.is_empty() && v.iter().all(|x| x.is_finite()));
        *vector = finite.ok_or("an embedding is empty, or holds what is no finite number")?;
    }
    let dimensions = vectors.first().map_or(0, Vec::len);
    if let Some(other) = vectors.iter().map(Vec::len).find(|other| *other != dimensions) {
        return Err(format!("embeddings of {dimensions} and of {other} dimensions in one answer"));
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, count: usize) -> Result<Vec<Vec<f32>>, String> {
        vectors(text.as_bytes(), count)
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let text =
            r#"{"data": [{"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1, 2]}]}"#;
        assert_eq!(of(text, 2).unwrap(), [vec![1.0, 2.0], vec![3.0, 4.5]]);
        let without = r#"{"data": [{"embedding": [1]}, {"embedding": [2]}]}"#;
        assert_eq!(of(without, 2).unwrap(), [vec![1.0], vec![2.0]]);
        let tokens = r#"{"data": [{"embedding": [[1, 4], [3, 8]]}]}"#;
        assert_eq!(of(tokens, 1).unwrap(), [vec![2.0, 6.0]]);
    }

    #[test]
    fn useless_vectors_are_told_apart() {
        for (text, count, words) in [
            (r#"{"data": [{"embedding": [1]}]}"#, 2, "1 embeddings for 2 texts"),
            (
                r#"{"data": [{"embedding": [1]}, {"embedding": [1, 2]}]}"#,
                2,
                "1 and of 2 dimensions",
            ),
            (r#"{"data": [{"embedding": [NaN]}]}"#, 1, "no embeddings"),
            (r#"{"data": [{"embedding": [null]}]}"#, 1, "no finite number"),
            (r#"{"data": [{"embedding": [1e39]}]}"#, 1, "finite"),
            (r#"{"data": [{"embedding": []}]}"#, 1, "empty"),
            (r#"{"data": [{"embedding": [[1], [1, 2]]}]}"#, 1, "no finite number"),
            (
                r#"{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}"#,
                2,
                "twice",
            ),
            (r#"{"data": [{"index": 7, "embedding": [1]}]}"#, 1, "no text"),
            ("<html>", 1, "no embeddings"),
            (r#"{"choices": []}"#, 1, "no embeddings"),
        ] {
            let error = of(text, count).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
