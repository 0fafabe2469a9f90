//! How much at the same time, how much in all, and until when.

use clap::Args;

/// Limits; every one of them is also a key for `--set` and `--config`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Sandbox sessions run at the same time [default: one for each core]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<u32>,
    /// Model requests under way at the same time at most
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<u32>,
    /// Model requests sent at most
    #[arg(long, value_name = "N")]
    pub(crate) max_requests: Option<u32>,
}

/// What a run may cost, and how long it may take.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct BudgetArgs {
    /// Tokens that the run directory may cost at most, prompts and answers, earlier runs included
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens_total: Option<u64>,
    /// Begin nothing after this time: 8h, 90m, or 2026-01-31T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<String>,
}
