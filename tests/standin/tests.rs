//! The stand-in asked over HTTP, mostly by the client that will ask it.

use std::collections::BTreeSet;
use std::time::Duration;

use agent::artifact::{InstanceId, Message};
use agent::event::Events;
use agent::llm::{
    Call, Completion, HttpClient, HttpConfig, ModelClient, ModelError, ModelRequest, Secret,
};

use super::gold::tests::PATCH;
use super::{Ordered, Rated, Standin, StandinConfig, Wrap};

struct Served {
    standin: Standin,
    _dir: tempfile::TempDir,
}

async fn serve(change: impl FnOnce(&mut StandinConfig)) -> Served {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("rows.jsonl");
    let row =
        serde_json::json!({"instance_id": "a__b-1", "patch": PATCH, "problem_statement": "x"});
    std::fs::write(&path, format!("{row}\n")).expect("a file");
    let scripts = dir.path().join("scripts/a__b-1");
    std::fs::create_dir_all(&scripts).expect("a folder");
    std::fs::write(scripts.join("good.py"), "print('Issue reproduced')").expect("a file");
    let scripts = Some(dir.path().join("scripts"));
    let mut config = StandinConfig { datasets: vec![path], scripts, ..StandinConfig::default() };
    change(&mut config);
    Served { standin: Standin::start(config).await.expect("it starts"), _dir: dir }
}

async fn client(served: &Served, change: impl FnOnce(&mut HttpConfig)) -> HttpClient {
    let mut config = HttpConfig::new(served.standin.base_url());
    config.first_wait = Duration::from_millis(2);
    config.max_wait = Duration::from_millis(20);
    change(&mut config);
    HttpClient::new(config, Events::discard(), Default::default()).await.expect("a client")
}

fn request(call: Call, samples: std::ops::Range<u32>) -> ModelRequest {
    let content = "files:\npkg/\n    calc.py\n    other.py\n".to_owned();
    ModelRequest {
        instance: InstanceId::new("a__b-1").expect("a valid id"),
        call,
        messages: vec![Message { role: "user".into(), content }],
        samples,
        temperature: 1.0,
        max_tokens: 4000,
        seed: Some(1),
        stop: Vec::new(),
    }
}

async fn ask(client: &HttpClient, call: Call, n: u32) -> Vec<Completion> {
    let answers = client.complete(&request(call, 0..n)).await;
    answers.into_iter().map(|answer| answer.expect("an answer")).collect()
}

#[tokio::test]
async fn answers_depend_on_the_sample_alone() {
    let served = serve(|_| ()).await;
    let single = client(&served, |_| ()).await;
    let several = client(&served, |config| config.n_per_request = 10).await;
    assert_eq!((served.standin.instances(), single.model()), (1, "standin"));
    for call in [Call::Localize, Call::Repair, Call::Reproduce, Call::SelectRegression] {
        let (one, other) = (ask(&single, call, 30).await, ask(&several, call, 30).await);
        for (one, other) in one.iter().zip(&other) {
            assert_eq!(one.answer, other.answer, "{call:?} {}", one.sample);
        }
    }
    let stats = served.standin.stats();
    assert_eq!((stats.requests, stats.answered), (4 * 33, 4 * 33));
    assert_eq!(stats.samples.len(), 4 * 30);
    assert!(stats.samples.iter().all(|asked| asked.requests == 2 && asked.answered == 2));
    let kinds = |stage: &str| {
        let own = stats.samples.iter().filter(|asked| asked.stage == stage);
        own.map(|asked| asked.kind.as_str()).collect::<BTreeSet<_>>()
    };
    assert_eq!(kinds("repair"), BTreeSet::from(["right", "mutated", "wrong", "malformed"]));
    assert!(kinds("reproduce").contains("good") && kinds("reproduce").len() > 3);
}

#[tokio::test]
async fn stats_are_served() {
    let served = serve(|_| ()).await;
    ask(&client(&served, |_| ()).await, Call::Repair, 2).await;
    let url = served.standin.base_url().replace("/v1", "/stats");
    let text = reqwest::get(url).await.expect("an answer").text().await.expect("a body");
    let stats: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&stats["requests"], &stats["samples"][1]["sample"]), (&2.into(), &1.into()));
}

#[tokio::test]
async fn thinking_is_wrapped_around_the_same_answers() {
    let plain = serve(|_| ()).await;
    let plain = ask(&client(&plain, |_| ()).await, Call::Repair, 20).await;
    for wrap in [Wrap::Tags, Wrap::Reasoning] {
        let served = serve(|config| config.wrap = wrap).await;
        let wrapped = ask(&client(&served, |_| ()).await, Call::Repair, 20).await;
        for (plain, wrapped) in plain.iter().zip(&wrapped) {
            match (&plain.answer, &wrapped.answer) {
                (Ok(plain), Ok(wrapped)) => assert_eq!(plain.trim(), wrapped.trim()),
                (plain, wrapped) => assert!(plain.is_err() && wrapped.is_err()),
            }
        }
    }
}

#[tokio::test]
async fn refusals_are_those_that_clients_know() {
    let served = serve(|config| {
        config.api_key = Some("k".to_owned());
        config.context = Some(4005);
    })
    .await;
    let error = async |change: fn(&mut HttpConfig)| {
        let client = client(&served, |config| {
            config.api_key = Some(Secret::new("k"));
            config.model = Some("standin".into());
            change(config);
        });
        client.await.complete(&request(Call::Repair, 0..1)).await.remove(0).expect_err("a refusal")
    };
    let overflow = error(|_| ()).await;
    assert!(
        matches!(overflow, ModelError::ContextOverflow { limit: Some(4005), .. }),
        "{overflow}"
    );
    let wrong_key = error(|config| config.api_key = None).await;
    assert!(matches!(wrong_key, ModelError::Refused { status: 401, .. }), "{wrong_key}");
    let wrong_model = error(|config| config.model = Some("other".into())).await;
    assert!(matches!(wrong_model, ModelError::Refused { status: 404, .. }), "{wrong_model}");
}

#[tokio::test]
async fn ordered_faults_come_and_pass() {
    for fault in ["429", "500", "truncated", "drop", "hang"] {
        let served = serve(|config| {
            let order: Ordered = format!("{fault}@repair:1:2").parse().expect("an order");
            config.ordered = vec![order];
            config.retry_after = 0.01;
        })
        .await;
        let client = client(&served, |config| {
            config.max_attempts = 3;
            config.timeout = Duration::from_millis(400);
        });
        ask(&client.await, Call::Repair, 3).await;
        let stats = served.standin.stats();
        let asked: Vec<_> = stats.samples.iter().map(|asked| asked.requests).collect();
        assert_eq!(asked, [1, 3, 1], "{fault}");
        assert_eq!(stats.faults.get(fault), Some(&2));
    }
    let served = serve(|config| config.ordered = vec!["html".parse().expect("an order")]).await;
    let client = client(&served, |_| ()).await;
    let error = client.complete(&request(Call::Repair, 0..1)).await.remove(0);
    assert!(matches!(error, Err(ModelError::Garbled { .. })));
    ask(&client, Call::Repair, 1).await;
}

#[tokio::test]
async fn faults_by_rate_are_drawn_for_each_request() {
    let served = serve(|config| {
        let rated: Rated = "500=0.3".parse().expect("a rate");
        config.rated = vec![rated];
        config.max_n = 1;
    })
    .await;
    let client = client(&served, |config| {
        config.max_attempts = 30;
        config.n_per_request = 4;
    });
    assert_eq!(ask(&client.await, Call::Repair, 40).await.len(), 40);
    let faults = served.standin.stats().faults["500"];
    assert!((5..=40).contains(&faults), "{faults}");
}
