//! `agent reward serve`: the reward over HTTP.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cli::args::OutputArgs;
use crate::cli::environment::{environment, limits};
use crate::cli::error::{CliError, Kind};
use crate::cli::serve_args::ServeArgs;
use crate::cli::session::{self, Reporting, Show};
use crate::cli::settings::Settings;
use crate::cli::{print, reaper, select};
use crate::dataset::Dataset;
use crate::evaluate::Rules;
use crate::event::Events;
use crate::reward::Options;
use crate::serve::{self, Grader, Limits, Oracles, SandboxSource, Scorer, ServeError, Server};

/// File descriptors that are left for everything but connections.
const OTHER_FILES: u64 = 256;

pub(crate) async fn serve(args: &ServeArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::resolve(&args.settings, None)?;
    if args.kind == serve::Kind::Tests && args.dataset.is_none() {
        return Err(CliError::usage("--kind tests needs a dataset")
            .hint("name the one that holds the instances with --dataset"));
    }
    let (dataset, repos) = match &args.dataset {
        None => (None, None),
        Some(name) => {
            let dataset = select::open_dataset(name, &settings.config, output)?;
            (Some(Arc::new(dataset)), Some(select::repos_dir(&settings.config, name)?))
        }
    };
    let reporting = Reporting::start(output, Show { stages: false, json_events: false }, None)?;
    let cancel = CancellationToken::new();
    session::watch_signals(cancel.clone(), true);
    let events = reporting.events.clone();
    let ended = CancellationToken::new();
    let sandbox = Arc::new(SandboxSource::new(
        settings.config.run.sandbox,
        settings.config.sandbox.clone(),
        session::run_id(),
        events.clone(),
    ));
    let work = async {
        if args.kind == serve::Kind::Tests {
            reaper::start(settings.config.run.sandbox, &settings.config.sandbox);
            sandbox.get().await?;
        }
        let grader = dataset.clone().zip(repos.clone()).map(|(dataset, repos)| {
            let told = if output.verbose { events.clone() } else { Events::discard() };
            let sandbox = Arc::clone(&sandbox);
            grader(args, &settings, (dataset, repos), sandbox, told, ended.clone())
        });
        let options = Options { safe: args.safe, ..Options::default() };
        let scorer = Scorer::new(Oracles::new(dataset, repos), grader, options);
        let server = Server::bind(&args.listen, bounds(args), scorer, events.clone()).await;
        let server = server.map_err(|error| match error {
            ServeError::Address { .. } => CliError::from_error(Kind::Usage, error),
            ServeError::Listen { .. } => CliError::from_error(Kind::Environment, error)
                .hint("--listen 127.0.0.1:0 takes a free port"),
        })?;
        let address =
            server.address().map_err(|error| CliError::from_error(Kind::Environment, error))?;
        print(&format!("http://{address}\n"))?;
        server.run(cancel).await;
        Ok(ExitCode::SUCCESS)
    };
    let result = work.await;
    ended.cancel();
    sandbox.sweep().await;
    drop((sandbox, events));
    reporting.finish().await;
    result
}

fn bounds(args: &ServeArgs) -> Limits {
    Limits {
        kind: args.kind,
        queue: args.queue,
        deadline: args.deadline,
        body_bytes: args.max_body,
        total_bytes: args.max_memory.max(args.max_body),
        read_timeout: args.read_timeout,
        connections: connections(),
        workers: session::or_cores(args.workers.map_or(0, std::num::NonZero::get)).get(),
    }
}

fn grader(
    args: &ServeArgs,
    settings: &Settings,
    (dataset, repos): (Arc<Dataset>, PathBuf),
    sandbox: Arc<SandboxSource>,
    events: Events,
    cancel: CancellationToken,
) -> Grader {
    Grader {
        dataset,
        sandbox,
        describe: Box::new(move |instance| environment(instance, &repos)),
        config: limits(&settings.config, Rules::Ours, Vec::new()),
        keep: args.keep.clone(),
        events,
        cancel,
    }
}

/// Connections that the system lets this process have, after asking for as many as it may.
fn connections() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let files = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(_) => soft,
        },
        Err(_) => 1024,
    };
    usize::try_from(files.saturating_sub(OTHER_FILES).clamp(64, 60_000)).unwrap_or(64)
}
