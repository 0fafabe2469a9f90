//! `agent report`: a run as one HTML file.

use std::io::{BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::artifact::{InstanceId, Stage};
use crate::cli::args::OutputArgs;
use crate::cli::commands::stage;
use crate::cli::error::{CliError, Kind};
use crate::cli::graded::Grades;
use crate::cli::pack_args::ReportArgs;
use crate::cli::{print, print_json, say, standing};
use crate::compare;
use crate::report::{self, Heading, Page, Section, Totals};
use crate::store::{RunDir, RunRecord};

/// Two passes over the instances, one at a time: a run may be larger than the memory.
pub(crate) fn report(args: &ReportArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let (run, record) = stage::open(&args.run)?;
    let grades = Grades::find(&args.run, args.grades.as_deref())?;
    let path = args.output.clone().unwrap_or_else(|| args.run.join("report.html"));
    let mut totals = Totals::default();
    for id in &record.instances {
        let section = section(&run, id, grades.as_ref())?;
        let times: Vec<_> = section.stages.iter().map(|(stage, took, _)| (*stage, *took)).collect();
        totals.add(&section.evidence, &times, section.grade.as_ref());
    }
    if run.events_path().exists() {
        let unreadable = report::replay(&run.events_path(), &mut totals)
            .map_err(|error| CliError::from_error(Kind::Environment, error))?;
        if unreadable > 0 {
            say(&format!("{unreadable} lines of the event log are no events and were left out"));
        }
    }
    totals.charge(standing::prices(&args.run, &record, &args.set)?.as_ref());
    write(&path, &run, &record, &totals, grades.as_ref())?;
    if output.json {
        let mut document = serde_json::to_value(&totals)
            .map_err(|error| CliError::from_error(Kind::Environment, error))?;
        document["path"] = path.display().to_string().into();
        print_json(&document)?;
    } else {
        print(&format!("{}\n", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(
    path: &Path,
    run: &RunDir,
    record: &RunRecord,
    totals: &Totals,
    grades: Option<&Grades>,
) -> Result<(), CliError> {
    let failed = |error: std::io::Error| {
        CliError::new(Kind::Environment, format!("cannot write {}: {error}", path.display()))
            .hint("-o FILE writes elsewhere")
    };
    let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut options = tempfile::Builder::new();
    // The umask takes away what the user does not want.
    let readable = std::fs::Permissions::from_mode(0o666);
    let file = options.permissions(readable).prefix(".report").suffix(".html");
    let file = file.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    let heading = heading(run, record, grades);
    let mut page = Page::begin(BufWriter::new(file), &heading, totals).map_err(failed)?;
    for id in &record.instances {
        page.instance(&section(run, id, grades)?).map_err(failed)?;
    }
    let mut out = page.finish().map_err(failed)?;
    out.flush().map_err(failed)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn section(run: &RunDir, id: &InstanceId, grades: Option<&Grades>) -> Result<Section, CliError> {
    let dir = run.view(id)?;
    let instance = dir.instance()?;
    let finished = |stage: &Stage| {
        let record = dir.stage(*stage).filter(|record| record.finished)?;
        Some((*stage, record.seconds, record.summary))
    };
    Ok(Section {
        id: id.to_string(),
        place: instance.as_ref().map_or_else(String::new, |instance| {
            format!("{} at {}", instance.repo, instance.base_commit)
        }),
        issue: instance.map(|instance| instance.problem_statement),
        evidence: compare::evidence(&dir)?,
        stages: Stage::ALL.iter().filter_map(finished).collect(),
        grade: grades.and_then(|grades| grades.of(id)),
    })
}

fn heading(run: &RunDir, record: &RunRecord, grades: Option<&Grades>) -> Heading {
    let mut facts = vec![
        ("model".to_owned(), record.model.clone()),
        ("dataset".to_owned(), record.dataset.clone()),
        ("SHA-256 of the dataset".to_owned(), record.dataset_digest.clone()),
        ("version of agent".to_owned(), record.version.clone()),
        ("built from".to_owned(), record.revision.clone().unwrap_or_default()),
        ("sandbox".to_owned(), record.sandbox.clone()),
    ];
    if let Some(grades) = grades {
        facts.push(("grades".to_owned(), grades.dir.display().to_string()));
        if grades.report.dataset_digest != record.dataset_digest {
            let said = format!("they are of another dataset: {}", grades.report.dataset);
            facts.push(("grades, attention".to_owned(), said));
        }
    }
    facts.retain(|(_, value)| !value.is_empty());
    Heading {
        run: run.path().components().collect::<PathBuf>().display().to_string(),
        facts,
        settings: record.changed_settings(),
        prompts: record.prompts.iter().map(|(name, sha)| (name.clone(), sha.clone())).collect(),
    }
}
