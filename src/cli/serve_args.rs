//! What can be typed after `agent reward serve`.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::args::{SettingsArgs, seconds};
use crate::serve::Kind;

#[derive(Debug, Subcommand)]
pub(crate) enum RewardCommand {
    /// Serve rewards over HTTP, in the shapes that verl, TRL, OpenRLHF, slime and NeMo Gym send
    Serve(Box<ServeArgs>),
}

#[derive(Debug, Args)]
#[command(after_help = ENDPOINTS)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 takes a free one. The address is the first line of standard
    /// output
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8970")]
    pub(crate) listen: String,
    /// Dataset in which labels that are instance ids are looked up
    #[arg(long, value_name = "D")]
    pub(crate) dataset: Option<String>,
    /// How items that name no kind are scored: similarity (SWE-RL's reward) or tests (1 if the
    /// instance's hidden tests pass, else 0)
    #[arg(long, value_name = "KIND", default_value = "similarity", value_parser = kind)]
    pub(crate) kind: Kind,
    /// Mend the published definition's holes, as in `agent reward --safe`
    #[arg(long)]
    pub(crate) safe: bool,
    /// Time for one item; what takes longer is masked, never scored 0
    #[arg(long, value_name = "SECONDS", default_value = "100", value_parser = seconds)]
    pub(crate) deadline: Duration,
    /// Items waiting or running at most; beyond it requests get status 429
    #[arg(long, value_name = "N", default_value = "4096", value_parser = queue)]
    pub(crate) queue: usize,
    /// Largest body, such as 64M; larger ones get status 413
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size)]
    pub(crate) max_body: usize,
    /// Size of all bodies that are held at one time; beyond it requests get status 429
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub(crate) max_memory: usize,
    /// Time for a request to arrive, beyond what 64 KiB a second take for its body
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) read_timeout: Duration,
    /// Threads that compare texts [default: one for each processor]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZero<usize>>,
    /// Keep patches, logs and verdicts of the kind `tests` below this directory; equal patches are
    /// then not run again after a restart
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

const ENDPOINTS: &str = "\
Endpoints (POST, JSON; `?kind=tests` asks for that kind):
  /score          a case, a list of cases, or {\"cases\": [...]}
  /verl           the arguments of compute_score, single or batch
  /trl            prompts, completions and columns -> {\"rewards\": [number or null]}
  /openrlhf       query, prompts, labels -> {\"rewards\", \"scores\", \"extra_logs\"}
  /slime          prompt, response, label -> the number
  /nemo/verify    row and response -> the row with reward, mask_sample, failure_kind
  GET /health, GET /metrics
A label is a case's reference, a diff, or the id of an instance of --dataset.";

fn kind(text: &str) -> Result<Kind, String> {
    Kind::from_name(text).ok_or_else(|| "expected similarity or tests".to_owned())
}

fn queue(text: &str) -> Result<usize, String> {
    // Semaphores count in 32 bits at a time.
    text.parse()
        .ok()
        .filter(|n| (1..=1 << 24).contains(n))
        .ok_or_else(|| "expected a number of items from 1 to 16777216".to_owned())
}

/// Bytes, or a number with K, M or G.
fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'k', 'm', 'g']);
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        _ => None,
    };
    shift
        .and_then(|shift| digits.parse::<usize>().ok()?.checked_mul(1 << shift))
        .filter(|bytes| (1..=1 << 40).contains(bytes))
        .ok_or_else(|| "expected a size such as 64M or 1G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("64M"), Ok(64 << 20));
        assert_eq!(size("1k"), Ok(1024));
        assert_eq!(size("7"), Ok(7));
        for bad in ["", "M", "0", "-1", "1MM", "1T", "1.5G", "99999999999999999999"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
