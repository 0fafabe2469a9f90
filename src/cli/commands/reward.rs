//! `agent reward`: SWE-RL's reward, JSON lines in and out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter};
use std::num::NonZero;
use std::process::ExitCode;
use std::thread;

use crate::cli::args::{OutputArgs, RewardArgs};
use crate::cli::error::{CliError, Kind, is_broken_pipe};
use crate::cli::say;
use crate::reward::{Options, Summary, score_lines};

pub(crate) fn reward(args: &RewardArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let workers =
        args.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let (safe, deadline) = (args.safe, args.deadline);
    let options = Options { safe, deadline, threads: workers, ..Options::default() };
    let reader: Box<dyn BufRead + Send> = if args.file == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(&args.file)
            .map_err(|error| CliError::usage(format!("cannot open {}: {error}", args.file)))?;
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    let writer = BufWriter::with_capacity(1 << 16, io::stdout());
    match score_lines(reader, writer, &options, workers) {
        Ok(summary) => Ok(finish(summary, output)),
        // A reader that went away is no error.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            Err(CliError::new(Kind::Environment, format!("cannot score {}: {error}", args.file)))
        }
    }
}

fn finish(summary: Summary, output: &OutputArgs) -> ExitCode {
    if summary.errors == 0 {
        return ExitCode::SUCCESS;
    }
    if !output.quiet {
        let Summary { cases, errors } = summary;
        say(&format!("{errors} of {cases} lines have no reward; their `error` says why"));
    }
    Kind::Incomplete.code()
}
