//! `agent images build packages`: the dataset made from source releases.

use std::process::ExitCode;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::artifact::InstanceId;
use crate::cli::args::{BuildArgs, OutputArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::session::Reporting;
use crate::cli::{print, print_json, select};
use crate::images::packages::{PackageReport, PackagesRequest, build_all};
use crate::sandbox::docker::Engine;

pub(crate) async fn packages(
    args: &BuildArgs,
    output: &OutputArgs,
    engine: &Engine,
    reporting: &Reporting,
    cancel: &CancellationToken,
) -> Result<ExitCode, CliError> {
    let only = args.instances.iter().map(|id| id.parse()).collect::<Result<Vec<InstanceId>, _>>();
    let request = PackagesRequest {
        only: only.map_err(|error| CliError::from_error(Kind::Usage, error))?,
        cache: select::cache_dir()?,
        force: args.force,
    };
    let reports = build_all(&request, engine, &reporting.events, cancel)
        .await
        .map_err(|error| CliError::from_error(Kind::Usage, error))?;
    let failed = reports.iter().filter(|report| report.result.is_err()).count();
    if output.json {
        let rows: Vec<_> = reports.iter().map(document).collect();
        print_json(&rows)?;
    } else {
        print(&reports.iter().map(line).collect::<String>())?;
    }
    if cancel.is_cancelled() {
        return Ok(Kind::Interrupted.code());
    }
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        n if n == reports.len() => Kind::Environment.code(),
        _ => Kind::Incomplete.code(),
    })
}

fn document(report: &PackageReport) -> serde_json::Value {
    match &report.result {
        Ok(built) => json!({
            "instance_id": report.instance, "image": built.image.image, "bytes": built.image.size,
            "fail_to_pass": built.fail_to_pass, "pass_to_pass": built.pass_to_pass,
            "flaky": built.flaky, "reused": built.reused, "seconds": report.seconds,
        }),
        Err(error) => json!({
            "instance_id": report.instance, "error": error.to_string(), "seconds": report.seconds,
        }),
    }
}

fn line(report: &PackageReport) -> String {
    match &report.result {
        Ok(built) => format!(
            "{}  {}  {} FAIL_TO_PASS, {} PASS_TO_PASS  {:.0}s{}\n",
            report.instance,
            built.image.image,
            built.fail_to_pass,
            built.pass_to_pass,
            report.seconds,
            if built.reused { "  (was there)" } else { "" },
        ),
        Err(error) => {
            let mut text = format!("{}  failed: {error}\n", report.instance);
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                text.push_str("  caused by: ");
                text.push_str(&error.to_string());
                text.push('\n');
                cause = error.source();
            }
            text
        }
    }
}
