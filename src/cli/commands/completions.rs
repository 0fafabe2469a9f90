//! `agent completions` and `agent man`: the command line described for shells and for `man`.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::args::{Cli, OutputArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::look_args::{CompletionsArgs, ManArgs};
use crate::cli::{print, print_json, reaper};

const NAME: &str = "agent";

pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(), NAME, &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man(args: &ManArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let Some(dir) = &args.output else {
        let mut page = Vec::new();
        clap_mangen::Man::new(shown().disable_help_subcommand(true))
            .render(&mut page)
            .map_err(|error| CliError::from_error(Kind::Environment, error))?;
        print(&String::from_utf8_lossy(&page))?;
        return Ok(ExitCode::SUCCESS);
    };
    let written = pages(dir).map_err(|error| {
        CliError::new(Kind::Environment, format!("cannot write to {}: {error}", dir.display()))
            .hint("-o DIR writes elsewhere")
    })?;
    if output.json {
        print_json(&serde_json::json!({"pages": written}))?;
    } else {
        let lines: String = written.iter().map(|path| format!("{path}\n")).collect();
        print(&lines)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One page for each command, in a directory where `MANPATH` may find them only if it is a `man1`.
fn pages(dir: &Path) -> std::io::Result<Vec<String>> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(shown(), dir)?;
    let mut written = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with(NAME) && name.ends_with(".1")
        }) {
            written.push(path.display().to_string());
        }
    }
    written.sort();
    Ok(written)
}

/// The command line without what only the program itself types: completions would offer it.
fn shown() -> clap::Command {
    let all = Cli::command();
    let mut shown = clap::Command::new(NAME).version(env!("CARGO_PKG_VERSION"));
    if let Some(about) = all.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(after) = all.get_after_help() {
        shown = shown.after_help(after.clone());
    }
    shown = shown.subcommand_required(true).arg_required_else_help(true);
    let commands = all.get_subcommands().filter(|command| command.get_name() != reaper::COMMAND);
    shown.args(all.get_arguments().cloned()).subcommands(commands.cloned())
}
