//! `agent doctor`: is everything here that a run needs? Each failure names what mends it.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::cli::args::{DoctorArgs, OutputArgs};
use crate::cli::checks::{Check, containers, disk, endpoint, git};
use crate::cli::error::{CliError, Kind};
use crate::cli::settings::Settings;
use crate::cli::{print, print_json, select};

pub(crate) async fn doctor(args: DoctorArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::resolve(&args.settings, None)?;
    let mut checks = vec![endpoint(&settings).await];
    checks.extend(containers(&settings).await);
    checks.push(git());
    checks.push(disk());
    if let Some(name) = &args.dataset {
        checks.push(match select::open_dataset(name, &settings.config, output) {
            Ok(dataset) => Check::good("dataset", format!("{name}: {} rows", dataset.len())),
            Err(error) => Check::bad("dataset", error.render(false).trim_end(), ""),
        });
    }
    if output.json {
        print_json(&checks)?;
    } else {
        let mut text = String::new();
        for check in &checks {
            let word = if check.ok { "ok  " } else { "FAIL" };
            let _ = writeln!(text, "{word} {:10} {}", check.what, check.found);
            if !check.mend.is_empty() {
                let _ = writeln!(text, "     {:10} mend: {}", "", check.mend);
            }
        }
        print(&text)?;
    }
    let ok = checks.iter().all(|check| check.ok);
    Ok(if ok { ExitCode::SUCCESS } else { Kind::Environment.code() })
}
