//! One benchmark row becomes an instance and, apart from it, its gold data. `hints_text` is
//! never looked at.

use crate::artifact::{Instance, InstanceId, LogFormat, TestCommand};
use crate::dataset::commands;
use crate::dataset::fields::Fields;
use crate::dataset::{DatasetError, EvalType, Gold, ImageNaming, ImageTemplate, Row};

/// Columns that may name the image, best first.
const IMAGE_COLUMNS: [&str; 3] = ["image", "image_name", "docker_image"];

/// Reads one row.
pub(super) fn row(fields: &Fields<'_>, naming: &ImageNaming) -> Result<Row, DatasetError> {
    let id = InstanceId::new(fields.required("instance_id")?)
        .map_err(|error| fields.wrong("instance_id", format!("is unusable: {error}")))?;
    let repo = repo(fields)?;
    let version = fields.text("version")?.unwrap_or_default().to_owned();
    let log_parser = fields.word("log_parser")?.map(str::to_owned);
    let test_command = test_command(fields, &repo, &version, log_parser.as_deref())?;
    let instance = Instance {
        image: image(fields, &id, &repo, naming)?,
        test_command,
        base_commit: base_commit(fields)?,
        problem_statement: fields.required("problem_statement")?.to_owned(),
        install: fields.word("install")?.map(str::to_owned),
        id,
        repo,
    };
    let gold = gold(fields, version, log_parser)?;
    // Nothing depends on it but a table of results: another type is no reason to refuse the row.
    let created_at = fields.map.get("created_at").and_then(serde_json::Value::as_str);
    Ok(Row { instance, gold, created_at: created_at.map(str::to_owned) })
}

/// `owner/name` or a single name. It becomes a directory's name, so it must not lead elsewhere.
fn repo(fields: &Fields<'_>) -> Result<String, DatasetError> {
    let repo = fields.required("repo")?;
    let usable = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c))
    };
    if repo.split('/').count() > 2 || !repo.split('/').all(usable) {
        return Err(fields.wrong("repo", format!("is {repo:?}, expected owner/name")));
    }
    Ok(repo.to_owned())
}

fn base_commit(fields: &Fields<'_>) -> Result<String, DatasetError> {
    let commit = fields.required("base_commit")?;
    if commit.len() != 40 || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
        let problem = format!("is {commit:?}, expected a full commit id of 40 hexadecimal digits");
        return Err(fields.wrong("base_commit", problem));
    }
    Ok(commit.to_ascii_lowercase())
}

fn image(
    fields: &Fields<'_>,
    id: &InstanceId,
    repo: &str,
    naming: &ImageNaming,
) -> Result<Option<String>, DatasetError> {
    for column in IMAGE_COLUMNS {
        if let Some(image) = fields.word(column)? {
            return Ok(Some(image.to_owned()));
        }
    }
    Ok(match naming {
        ImageNaming::Official => {
            commands::is_benchmark_repo(repo).then(|| ImageTemplate::official().image(id.as_str()))
        }
        ImageNaming::Template(template) => Some(template.image(id.as_str())),
        ImageNaming::None => None,
    })
}

fn test_command(
    fields: &Fields<'_>,
    repo: &str,
    version: &str,
    log_parser: Option<&str>,
) -> Result<Option<TestCommand>, DatasetError> {
    let known = commands::test_command(repo, version, log_parser);
    let format = match fields.word("log_format")? {
        Some(name) => Some(LogFormat::from_name(name).ok_or_else(|| {
            let names = LogFormat::names();
            fields.wrong("log_format", format!("is {name:?}, expected one of {names}"))
        })?),
        None => log_parser
            .and_then(LogFormat::from_parser)
            .or_else(|| known.as_ref().map(|known| known.log_format)),
    };
    let Some(command) = fields.word("test_command")? else {
        return Ok(known
            .map(|known| TestCommand { log_format: format.unwrap_or(known.log_format), ..known }));
    };
    let log_format = format.ok_or_else(|| {
        fields.wrong("log_format", "is missing: it says how the output of `test_command` is read")
    })?;
    Ok(Some(TestCommand { command: command.to_owned(), log_format }))
}

/// Gold data of rows that hold `patch`, `test_patch`, `FAIL_TO_PASS` and `PASS_TO_PASS`; a row that
/// lacks one of them can be solved and not graded.
fn gold(
    fields: &Fields<'_>,
    version: String,
    log_parser: Option<String>,
) -> Result<Option<Gold>, DatasetError> {
    // Each is read before any is missed, so that a wrong type is an error in every row.
    let text = |field: &'static str| -> Result<_, DatasetError> {
        Ok(fields.text(field)?.map(str::to_owned))
    };
    let (patch, test_patch) = (text("patch")?, text("test_patch")?);
    let lists = (fields.list("FAIL_TO_PASS")?, fields.list("PASS_TO_PASS")?);
    let eval_type = match fields.word("eval_type")? {
        None | Some("pass_and_fail") => EvalType::PassAndFail,
        Some("fail_only") => EvalType::FailOnly,
        Some(other) => {
            let problem = format!("is {other:?}, expected pass_and_fail or fail_only");
            return Err(fields.wrong("eval_type", problem));
        }
    };
    let test_directives = fields.list("test_directives")?;
    let eval_script = fields.word("eval_script")?.map(str::to_owned);
    let (Some(patch), Some(test_patch), (Some(fail_to_pass), Some(pass_to_pass))) =
        (patch, test_patch, lists)
    else {
        return Ok(None);
    };
    Ok(Some(Gold {
        patch,
        test_patch,
        fail_to_pass,
        pass_to_pass,
        eval_script,
        eval_type,
        log_parser,
        version,
        test_directives,
    }))
}
