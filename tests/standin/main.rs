//! Stand-in model server: `cargo run --example standin -- --dataset rows.jsonl`.

// The same files are compiled into the integration tests, which is why they lie side by side.
#[path = "server.rs"]
mod server;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use server::{Hold, Ordered, Rated, Rates, Standin, StandinConfig, Wrap};

/// Answers as a model of chosen quality, over real HTTP, from the gold patches of SWE-bench rows.
/// For tests and demonstrations: what it "solves" says nothing about any model.
#[derive(Debug, Parser)]
struct Args {
    /// SWE-bench rows, JSON lines or JSON; may be given several times
    #[arg(long = "dataset", required = true, value_name = "FILE")]
    datasets: Vec<PathBuf>,
    /// Folder of reproduction scripts, <instance>/good*.py and bad*.py
    #[arg(long, value_name = "DIR")]
    scripts: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8089", value_name = "ADDR")]
    listen: String,
    /// Another seed is another model
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Name of the model
    #[arg(long, default_value = "standin")]
    model: String,
    /// Key that requests must carry
    #[arg(long)]
    api_key: Option<String>,
    /// Context length in tokens of four bytes; longer requests get 400 in vLLM's words
    #[arg(long, value_name = "TOKENS")]
    context: Option<u64>,
    /// Most choices in one answer; a larger `n` gets 400
    #[arg(long, default_value_t = 128)]
    max_n: u32,
    /// How answers are wrapped
    #[arg(long, value_enum, default_value_t = WrapArg::Plain)]
    wrap: WrapArg,
    /// Seconds that an answer takes
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    latency: f64,
    /// Share of repairs that are right; what --right, --mutated and --malformed leave is wrong
    #[arg(long, default_value_t = 0.3, value_name = "RATE")]
    right: f64,
    /// Share of repairs that are right in another form
    #[arg(long, default_value_t = 0.2, value_name = "RATE")]
    mutated: f64,
    /// Share of repairs that cannot be read, or fit nowhere
    #[arg(long, default_value_t = 0.15, value_name = "RATE")]
    malformed: f64,
    /// Share of localizations that name the right files
    #[arg(long, default_value_t = 0.9, value_name = "RATE")]
    localize_hit: f64,
    /// Share of localizations with bullets, numbers or unknown paths
    #[arg(long, default_value_t = 0.3, value_name = "RATE")]
    localize_messy: f64,
    /// Share of good reproduction scripts, where --scripts has any
    #[arg(long, default_value_t = 0.6, value_name = "RATE")]
    reproduce_good: f64,
    /// Share of reproduction scripts that never end
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    reproduce_endless: f64,
    /// Fault at certain requests, KIND[@[INSTANCE/]STAGE[:SAMPLE[:TIMES]]]; KIND is 429, 500, html, truncated,
    /// hang or drop
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Ordered>,
    /// Fault by chance, KIND=RATE
    #[arg(long = "fault-rate", value_name = "FAULT")]
    fault_rates: Vec<Rated>,
    /// What Retry-After says, in seconds
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    retry_after: f64,
    /// Hold all answers back while this file exists
    #[arg(long, value_name = "FILE")]
    hold_while: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WrapArg {
    /// Not at all
    Plain,
    /// <think>…</think><solution>…</solution>
    Tags,
    /// The thinking in reasoning_content
    Reasoning,
}

impl Args {
    fn config(self) -> Result<StandinConfig, String> {
        let latency = Duration::try_from_secs_f64(self.latency);
        Ok(StandinConfig {
            datasets: self.datasets,
            scripts: self.scripts,
            listen: self.listen,
            seed: self.seed,
            model: self.model,
            api_key: self.api_key,
            context: self.context,
            max_n: self.max_n,
            wrap: match self.wrap {
                WrapArg::Plain => Wrap::Plain,
                WrapArg::Tags => Wrap::Tags,
                WrapArg::Reasoning => Wrap::Reasoning,
            },
            latency: latency.map_err(|error| format!("--latency: {error}"))?,
            rates: Rates {
                right: self.right,
                mutated: self.mutated,
                malformed: self.malformed,
                localize_hit: self.localize_hit,
                localize_messy: self.localize_messy,
                reproduce_good: self.reproduce_good,
                reproduce_endless: self.reproduce_endless,
            },
            ordered: self.faults,
            rated: self.fault_rates,
            retry_after: self.retry_after,
            hold: self.hold_while.map(|file| Hold(Arc::new(move |_, _, _| file.exists()))),
        })
    }
}

async fn serve(args: Args) -> Result<(), String> {
    let standin = Standin::start(args.config()?).await?;
    let mut out = std::io::stdout();
    let failed = |error: std::io::Error| error.to_string();
    let (url, instances) = (standin.base_url(), standin.instances());
    writeln!(out, "export OPENAI_BASE_URL={url}  # knows {instances} instances").map_err(failed)?;
    tokio::signal::ctrl_c().await.map_err(failed)?;
    let stats = standin.stats();
    writeln!(out, "{} requests, {} answered", stats.requests, stats.answered).map_err(failed)
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
