//! Completions at paper scale: a server without latency, and our client with its journal, each as
//! a process of its own. `bench.py` in this folder runs them beside the reference.

#![allow(
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a program whose output is its result"
)]

use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use agent::artifact::{InstanceId, Message};
use agent::event::Events;
use agent::llm::{Call, HttpClient, HttpConfig, Journaled, ModelClient, ModelRequest};
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use clap::{Args, Parser};
use futures_util::StreamExt;
use futures_util::stream;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::json;
use tokio_util::sync::CancellationToken;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Debug, Parser)]
#[command(name = "scale", about = "Completions at paper scale")]
enum Command {
    /// Answers at once, with texts that are made before the first request
    Serve(Serve),
    /// Asks for instances times samples through our client, and keeps them in our journal
    Ask(Ask),
}

#[derive(Debug, Args)]
struct Serve {
    /// Bytes of a reply.
    #[arg(long, default_value_t = 8_000)]
    reply: usize,
    /// Different replies.
    #[arg(long, default_value_t = 4_096)]
    pool: usize,
}

#[derive(Debug, Args)]
struct Ask {
    /// Endpoint, ending in /v1.
    base_url: String,
    /// Directory for the journals; must not exist.
    out: PathBuf,
    /// Prompts.
    #[arg(long, default_value_t = 500)]
    instances: usize,
    /// Samples of each prompt.
    #[arg(long, default_value_t = 500)]
    samples: u32,
    /// Bytes of a prompt.
    #[arg(long, default_value_t = 150_000)]
    prompt: usize,
    /// Samples asked for in one request.
    #[arg(long, default_value_t = 1)]
    n: u32,
    /// Requests under way at the same time.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Instances under way at the same time.
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(7))]
    jobs: NonZeroUsize,
}

/// Lines of the programs that are bundled as the dataset `sample`: text as dense as code is.
fn lines() -> Result<Vec<String>> {
    fn collect(folder: &Path, lines: &mut Vec<String>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                collect(&path, lines)?;
            } else if path.extension().is_some_and(|end| end == "py") {
                let text = fs::read_to_string(&path)?;
                lines.extend(text.lines().filter(|line| line.len() > 8).map(str::to_owned));
            }
        }
        Ok(())
    }
    let mut lines = Vec::new();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/evaluation")), &mut lines)?;
    lines.sort();
    Ok(lines)
}

/// A text of `size` bytes of such lines in an order that `number` decides.
fn text(lines: &[String], size: usize, number: u64) -> String {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut text = String::with_capacity(size + 200);
    while text.len() < size {
        // xorshift64, after Marsaglia.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let length = lines.len() as u64;
        text.push_str(&lines[usize::try_from(state % length).unwrap_or_default()]);
        text.push('\n');
    }
    let end = (0..=size).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    text.truncate(end);
    text
}

struct Pool {
    texts: Vec<serde_json::Value>,
    next: AtomicUsize,
}

async fn completions(State(pool): State<Arc<Pool>>, body: Bytes) -> Json<serde_json::Value> {
    // `n` stands behind the messages, wherever a client writes it; nobody reads 150 kB for it.
    let tail = String::from_utf8_lossy(&body[body.len().saturating_sub(200)..]).into_owned();
    let n = tail.split_once("\"n\":").and_then(|(_, rest)| {
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()
    });
    let choices: Vec<_> = (0..n.unwrap_or(1))
        .map(|index| {
            let text = &pool.texts[pool.next.fetch_add(1, Ordering::Relaxed) % pool.texts.len()];
            json!({"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"})
        })
        .collect();
    Json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "standin",
        "choices": choices,
        "usage": {"prompt_tokens": 37_500, "completion_tokens": 2_000, "total_tokens": 39_500},
    }))
}

async fn serve(args: Serve) -> Result<()> {
    let lines = lines()?;
    let texts = (0..args.pool as u64).map(|number| text(&lines, args.reply, number).into());
    let pool = Arc::new(Pool { texts: texts.collect(), next: AtomicUsize::new(0) });
    let app = Router::new()
        .route("/v1/chat/completions", post(completions))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/v1", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn ask(args: Ask) -> Result<()> {
    fs::create_dir(&args.out)?;
    let lines = Arc::new(lines()?);
    let mut config = HttpConfig::new(&args.base_url);
    config.model = Some("standin".to_owned());
    config.concurrency = args.concurrency;
    config.n_per_request = args.n;
    let client = HttpClient::new(config, Events::discard(), CancellationToken::new()).await?;
    let client = Arc::new(Journaled::recording(Arc::new(client), &args.out, Events::discard()));
    let (cpu_before, start) = (cpu_seconds()?, Instant::now());
    let asked = (0..args.instances).map(|number| {
        let (client, lines) = (client.clone(), lines.clone());
        let (samples, prompt) = (args.samples, args.prompt);
        async move {
            let request = ModelRequest {
                instance: InstanceId::new(format!("scale__n-{number}"))?,
                call: Call::Repair,
                messages: vec![Message {
                    role: "user".into(),
                    content: text(&lines, prompt, 1 << (32 + number % 16)) + &number.to_string(),
                }],
                samples: 0..samples,
                temperature: 0.8,
                max_tokens: 4096,
                seed: Some(1),
                stop: Vec::new(),
            };
            let mut done = 0_u64;
            for completion in client.complete(&request).await {
                completion?;
                done += 1;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(done)
        }
    });
    let mut done = 0;
    let mut results = stream::iter(asked).buffer_unordered(args.jobs.get());
    while let Some(result) = results.next().await {
        done += result?;
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
    let peak = getrusage(UsageWho::RUSAGE_SELF)?.max_rss();
    println!(
        "{}",
        json!({"completions": done, "wall": wall, "cpu": cpu, "peak_mib": peak as f64 / 1024.0})
    );
    Ok(())
}

/// Processor seconds of this process, all threads, kernel included.
fn cpu_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Serve(args) => serve(args).await,
        Command::Ask(args) => ask(args).await,
    }
}
