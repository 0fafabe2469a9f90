//! `agent status`: how far a run is, from its files; or its events drawn again.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::args::OutputArgs;
use crate::cli::commands::stage;
use crate::cli::error::{CliError, Kind};
use crate::cli::look_args::StatusArgs;
use crate::cli::session::{self, Show};
use crate::cli::standing::{self, Standing, Watched};
use crate::cli::{print, print_json, say};
use crate::report::{self, Screen, Size, Terminal};

/// Time between two looks.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks between two lines where nothing can be drawn anew.
const LOOKS_PER_LINE: u32 = 10;

pub(crate) fn status(args: &StatusArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let (run, record) = stage::open(&args.run)?;
    if args.events {
        let show = Show { stages: record.instances.len() == 1, json_events: false };
        let style = report::Style { live: false, ..session::style(output, show) };
        let mut terminal = Terminal::new(style, Box::new(std::io::stderr()));
        let unreadable = report::replay(&run.events_path(), &mut terminal)
            .map_err(|error| CliError::from_error(Kind::Environment, error))?;
        if unreadable > 0 {
            say(&format!("{unreadable} lines of the event log are no events and were left out"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut watched = Watched::new(run, standing::prices(&args.run, &record, &args.set)?);
    let standing = match args.watch {
        true => watch(&mut watched, args, output)?,
        false => watched.look()?,
    };
    if output.json {
        print_document(&standing, args, args.watch)?;
    } else {
        let size = Size { rows: usize::MAX, columns: stdout_size().columns };
        print(&text(&standing, args, output, size))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the run until no process works on it; gives back how it then stands.
fn watch(
    watched: &mut Watched,
    args: &StatusArgs,
    output: &OutputArgs,
) -> Result<Standing, CliError> {
    let failed = |error| CliError::from_error(Kind::Environment, error);
    let mut screen = (std::io::stdout().is_terminal() && !output.json)
        .then(|| Screen::new(Box::new(std::io::stdout()), Box::new(stdout_size)));
    for look in 0.. {
        let standing = watched.look()?;
        if !standing.at_work() {
            if let Some(screen) = &mut screen {
                screen.draw("", &[]).map_err(failed)?;
            }
            return Ok(standing);
        }
        if let Some(screen) = &mut screen {
            let lines = standing.lines(&args.run, screen.room(), colored(output));
            screen.draw("", &lines).map_err(failed)?;
        } else if output.json {
            print_document(&standing, args, true)?;
        } else if look % LOOKS_PER_LINE == 0 {
            print(&format!("{}\n", report::line(&standing.snapshot)))?;
        }
        std::thread::sleep(AGAIN);
    }
    watched.look()
}

fn print_document(standing: &Standing, args: &StatusArgs, one_line: bool) -> Result<(), CliError> {
    let document = standing.json(&args.run);
    if one_line { print(&format!("{document}\n")) } else { print_json(&document) }
}

fn text(standing: &Standing, args: &StatusArgs, output: &OutputArgs, size: Size) -> String {
    let lines = standing.lines(&args.run, size, colored(output));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Whether standard output takes colours.
fn colored(output: &OutputArgs) -> bool {
    session::color_of(output, std::io::stdout().is_terminal())
}

/// Standard output's terminal; where it is none, room for everything.
fn stdout_size() -> Size {
    let size = console::Term::stdout().size_checked();
    let (rows, columns) = size.map_or((usize::MAX, 100), |(r, c)| (r.into(), c.into()));
    Size { columns, rows }
}
