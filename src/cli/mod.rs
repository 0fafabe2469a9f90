//! The commands: parse, resolve, call the library, print.
//!
//! Standard output carries the product alone (a patch, a report, JSON); everything else goes to
//! standard error. Nothing but this module and [`crate::report`] writes to the terminal, and
//! nothing but this module knows exit codes.

mod args;
mod checks;
mod commands;
mod comparison;
mod environment;
mod error;
mod evaluate_args;
mod given;
mod given_tests;
mod graded;
mod index_args;
mod issue;
mod job;
mod limit_args;
mod limits;
mod look_args;
mod looking;
mod pack_args;
mod ranking;
mod readiness;
mod reaper;
mod replaying;
mod runner;
mod runs_args;
mod select;
mod serve_args;
mod session;
mod settings;
mod shard;
mod standing;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::{Cli, Command, ImagesCommand};
use crate::cli::error::{CliError, Kind};
use crate::cli::serve_args::RewardCommand;

/// Runs the program: the command line in, the exit code out.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is the only way in which printing help can fail.
            let _ = error.print();
            return if error.use_stderr() { Kind::Usage.code() } else { ExitCode::SUCCESS };
        }
    };
    let color = session::color(&cli.output);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(CliError::from_error(Kind::Environment, error).render(color).trim_end());
            return Kind::Environment.code();
        }
    };
    let result = runtime.block_on(dispatch(cli));
    // Work that was cancelled has been waited for; what is left may hold blocking reads.
    runtime.shutdown_background();
    crate::scratch::dismiss();
    match result {
        Ok(code) => code,
        Err(error) => {
            say(error.render(color).trim_end());
            error.kind.code()
        }
    }
}

async fn dispatch(cli: Cli) -> Result<ExitCode, CliError> {
    let output = &cli.output;
    match cli.command {
        Command::Solve(args) => commands::solve::solve(args, output).await,
        Command::Run(args) => commands::run::run(args, output).await,
        Command::Localize(args) => commands::localize::localize(args, output).await,
        Command::Repair(args) => {
            commands::stage::stage(args, crate::artifact::Stage::Repair, output).await
        }
        Command::Reproduce(args) => {
            commands::stage::stage(args, crate::artifact::Stage::Reproduce, output).await
        }
        Command::Execute(args) => {
            commands::stage::stage(args, crate::artifact::Stage::Execute, output).await
        }
        Command::Rerank(args) => commands::rerank::rerank(&args, output),
        Command::Evaluate(args) => commands::evaluate::evaluate(args, output).await,
        Command::Reward(args) => match args.command {
            Some(RewardCommand::Serve(args)) => commands::reward_serve::serve(&args, output).await,
            None => commands::reward::reward(&args, output),
        },
        Command::Explain(args) => commands::explain::explain(&args, output),
        Command::Report(args) => commands::report::report(&args, output),
        Command::Pack(args) => commands::pack::pack(&args, output),
        Command::Status(args) => commands::status::status(&args, output),
        Command::Diff(args) => commands::diff::diff(&args, output),
        Command::Merge(args) => commands::merge::merge(&args, output),
        Command::Replay(args) => commands::replay::replay(args, output).await,
        Command::Images(ImagesCommand::Build(args)) => commands::images::build(args, output).await,
        Command::Images(ImagesCommand::Check(args)) => {
            commands::inventory::check(args, output).await
        }
        Command::Images(ImagesCommand::Pull(args)) => commands::inventory::pull(args, output).await,
        Command::Images(ImagesCommand::Prune(args)) => {
            commands::inventory::prune(&args, output).await
        }
        Command::Index(command) => commands::index::index(command, output).await,
        Command::Dataset(command) => commands::dataset::dataset(command, output).await,
        Command::Doctor(args) => commands::doctor::doctor(args, output).await,
        Command::Completions(args) => commands::completions::completions(&args),
        Command::Man(args) => commands::completions::man(&args, output),
        Command::Reap => reaper::reap().await,
    }
}

/// Writes a line for people to standard error.
pub(crate) fn say(text: &str) {
    // Nowhere is left to report a standard error that cannot be written.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes the product to standard output. A reader that went away is no error.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if !error::is_broken_pipe(&error) => {
            Err(CliError::from_error(Kind::Environment, error))
        }
        _ => Ok(()),
    }
}

/// Prints a document as pretty JSON.
pub(crate) fn print_json<T: serde::Serialize>(value: &T) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::from_error(Kind::Environment, error))?;
    print(&format!("{text}\n"))
}
