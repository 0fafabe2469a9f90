//! What `agent doctor` finds out about servers of different kinds.

use serde_json::{Value, json};

use crate::llm::Ability;
use crate::llm::test_server::{Answer, Ending, Seen, TestServer};

async fn abilities(server: &TestServer, context: Option<u64>) -> Vec<Ability> {
    let (client, _events) = server.client(|_| ()).await;
    client.abilities(context).await
}

fn of<'a>(found: &'a [Ability], name: &str) -> &'a Ability {
    found
        .iter()
        .find(|ability| ability.name == name)
        .unwrap_or_else(|| panic!("{name}: {found:#?}"))
}

/// Sixteen letters by the seed, ended by `stop`.
fn text(body: &Value) -> String {
    let seed = body["seed"].as_u64().unwrap_or(77);
    let letter = |place: u64| char::from(b'a' + u8::try_from((seed * 7 + place * 3) % 26).unwrap());
    let text = (0..16).map(letter).collect::<String>();
    match body["stop"][0].as_str().and_then(|stop| text.find(stop)) {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// A server that can do everything.
fn rich(seen: &Seen) -> Answer {
    let body = &seen.body;
    match seen.path.as_str() {
        "/v1/models" => Answer::Json(200, json!({"data": [{"id": "m", "max_model_len": 2000}]})),
        "/v1/embeddings" => {
            Answer::Json(200, json!({"data": [{"embedding": [1, 2]}, {"embedding": [3, 4]}]}))
        }
        _ if body["messages"][0]["content"].as_str().unwrap().len() > 2000 => {
            let words = "This model's maximum context length is 2000 tokens.";
            Answer::Json(400, json!({"message": words}))
        }
        _ => {
            let usage = json!({"prompt_tokens": 5, "completion_tokens": 16});
            let n = body["n"].as_u64().unwrap_or(1);
            let message = |kind: &str| json!({kind: {"content": text(body), "reasoning": "hm"}, "finish_reason": "length"});
            if body["stream"] == true {
                let chunk = json!({"choices": [message("delta")], "usage": usage});
                let text = format!("data: {chunk}\n\ndata: [DONE]\n\n");
                return Answer::Packets(vec![text.into_bytes()], Ending::Closed);
            }
            let choices = (0..n).map(|_| message("message")).collect::<Vec<_>>();
            Answer::Json(200, json!({"choices": choices, "usage": usage}))
        }
    }
}

#[tokio::test]
async fn a_server_that_can_do_everything_needs_nothing() {
    let server = TestServer::start(|_, seen| rich(seen)).await;
    let found = abilities(&server, None).await;
    for ability in &found {
        assert_eq!(ability.has, Some(true), "{ability:?}");
        assert_eq!(ability.instead, "", "{ability:?}");
    }
    assert_eq!(found.len(), 12, "{found:#?}");
    assert!(of(&found, "context overflow").found.contains("limit 2000"));
    assert!(server.seen().len() <= 16, "short: {} requests", server.seen().len());
}

/// A server that can do as little as possible.
fn poor(seen: &Seen) -> Answer {
    let body = &seen.body;
    let refuse =
        |what: &str| Answer::Json(422, json!({"detail": format!("Unexpected fields: {what}")}));
    if seen.path != "/v1/chat/completions" {
        return Answer::Json(404, json!({"detail": "Not Found"}));
    }
    for field in ["n", "seed", "stop", "stream_options", "max_tokens"] {
        if body.get(field).is_some() {
            return refuse(field);
        }
    }
    match body["stream"].as_bool() {
        Some(true) => refuse("stream"),
        _ => Answer::Json(
            200,
            json!({"choices": [{"message": {"content": "<think>x</think>hello world"}}]}),
        ),
    }
}

#[tokio::test]
async fn what_a_poor_server_lacks_is_done_otherwise() {
    let server = TestServer::start(|_, seen| poor(seen)).await;
    let found = abilities(&server, Some(100)).await;
    for (name, instead) in [
        ("models", "name must be given"),
        ("max_tokens", "max_completion_tokens is sent"),
        ("streaming", "whole answers"),
        ("usage", "counted here"),
        ("n", "one by one"),
        ("seed", "left out"),
        ("stop", "cut here"),
    ] {
        let ability = of(&found, name);
        assert_eq!(ability.has, Some(false), "{ability:?}");
        assert!(ability.instead.contains(instead), "{ability:?}");
    }
    assert_eq!(of(&found, "chat").has, Some(true));
    assert!(of(&found, "reasoning").found.contains("inside the text"));
    let overflow = of(&found, "context overflow");
    assert!(overflow.found.contains("is answered") && overflow.mend.contains("tree_tokens"));
    assert!(of(&found, "embeddings").mend.contains("--embeddings-url"));
}

#[tokio::test]
async fn a_server_that_passes_fields_over_is_found_out() {
    let server = TestServer::start(|number, seen| match seen.path.as_str() {
        "/v1/chat/completions" => {
            // Never the same answer, whatever is asked for.
            let text = format!("answer number {number}");
            Answer::Json(200, json!({"choices": [{"message": {"content": text}}]}))
        }
        _ => Answer::Json(404, json!({})),
    })
    .await;
    let found = abilities(&server, None).await;
    assert!(of(&found, "seed").found.contains("the same seed gives another answer"));
    assert_eq!(of(&found, "streaming").found, "answers whole all the same");
    assert!(of(&found, "n").found.starts_with("1 answer"));
    assert_eq!(of(&found, "context overflow").has, None);
}

#[tokio::test]
async fn without_an_answer_nothing_else_is_tried() {
    let server = TestServer::start(|_, _| Answer::Json(401, json!({"error": "no"}))).await;
    let found = abilities(&server, None).await;
    let chat = of(&found, "chat");
    assert_eq!((chat.has, found.len()), (Some(false), 3), "{found:#?}");
    assert!(chat.mend.contains("OPENAI_API_KEY"), "{chat:?}");
}
