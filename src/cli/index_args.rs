//! What can be typed after `agent index`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::SettingsArgs;
use crate::cli::error::CliError;
use crate::cli::session;
use crate::cli::settings::Settings;
use crate::index::IndexCache;

/// What `agent index` does.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Index a commit's files and history, or bring an index up to date
    Build(BuildIndexArgs),
    /// Rank a commit's files for an issue, without a model
    Query(QueryArgs),
    /// Say what is kept, and how large it is
    Stats(IndexSettings),
    /// Remove all that is kept
    Clear(IndexSettings),
}

/// Where indexes lie.
#[derive(Debug, Args)]
pub(crate) struct IndexSettings {
    /// Directory of indexes [default: index in the cache directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

impl IndexSettings {
    /// The indexes, and the settings that they are used with.
    pub(crate) fn open(self) -> Result<(IndexCache, Settings), CliError> {
        let mut settings = Settings::resolve(&self.settings, None)?;
        if let Some(cache) = self.cache {
            settings.config.index.dir = cache;
        }
        Ok((session::index_cache(&settings.config)?, settings))
    }
}

/// A commit of a repository.
#[derive(Debug, Args)]
pub(crate) struct CommitArgs {
    /// Repository, bare or not
    #[arg(value_name = "REPO", default_value = ".")]
    pub(crate) repo: PathBuf,
    /// Commit
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub(crate) rev: String,
}

#[derive(Debug, Args)]
pub(crate) struct BuildIndexArgs {
    #[command(flatten)]
    pub(crate) commit: CommitArgs,
    #[command(flatten)]
    pub(crate) index: IndexSettings,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) commit: CommitArgs,
    /// Issue text: a file, - for standard input, or a GitHub issue's URL
    #[arg(long, value_name = "FILE|-|URL")]
    pub(crate) issue: String,
    /// Files to print
    #[arg(long, value_name = "K", default_value_t = 20)]
    pub(crate) limit: usize,
    /// Ask this many times, to measure; with --json the seconds of each are printed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    #[command(flatten)]
    pub(crate) index: IndexSettings,
}
