//! `build_all`: sources, base tree, patches, image, measured tests and row of each package, one
//! after the other, each step only if its result is not there yet.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

use crate::artifact::InstanceId;
use crate::event::Events;
use crate::images::build::build_checkout;
use crate::images::checkout::{Checkout, Source};
use crate::images::environment::Environment;
use crate::images::eval_script::{EvalScript, EvalScriptError};
use crate::images::files::{self, Files};
use crate::images::inventory::digest;
use crate::images::packages::cache::Cache;
use crate::images::packages::measure::{Measured, Trial};
use crate::images::packages::sources::Sources;
use crate::images::packages::split::{Split, SplitError, split, tracked};
use crate::images::packages::{Package, TableError, table};
use crate::images::workshop::Workshop;
use crate::images::{BuildRequest, Built, FilesError, ImageError};
use crate::sandbox::HostNetwork;
use crate::sandbox::docker::Engine;

/// Raised when rows must be measured again although their inputs look the same.
const ROW_VERSION: u32 = 1;

/// Which packages to build, and where to keep what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagesRequest {
    /// Instances to build; all if empty.
    pub only: Vec<InstanceId>,
    /// The cache directory.
    pub cache: PathBuf,
    /// Builds images and measures tests anew; archives are kept.
    pub force: bool,
}

/// What became of one package.
#[derive(Debug)]
pub struct PackageReport {
    /// Its instance.
    pub instance: InstanceId,
    /// The result.
    pub result: Result<PackageBuilt, PackageError>,
    /// Wall time.
    pub seconds: f64,
}

/// A package that became an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageBuilt {
    /// Its image.
    pub image: Built,
    /// Number of tests that the fix turns.
    pub fail_to_pass: usize,
    /// Number of tests that pass before and after.
    pub pass_to_pass: usize,
    /// Tests left out because they answered differently in equal runs; empty if `reused`.
    pub flaky: Vec<String>,
    /// Whether the row was there already.
    pub reused: bool,
}

/// Why a package did not become an instance.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Fetching, building or running.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The two releases cannot be compared.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// No evaluation script can be written.
    #[error(transparent)]
    Script(#[from] EvalScriptError),
    /// An archive cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// What was measured is not what is known of the package.
    #[error(
        "the fix does not turn {missing:?}; it turns {measured:?}: the sources or the environment \
         are not those of the table"
    )]
    Unexpected {
        /// Tests of the table that are not in FAIL_TO_PASS.
        missing: Vec<String>,
        /// FAIL_TO_PASS as measured.
        measured: Vec<String>,
    },
    /// The repository in the cache cannot be written.
    #[error("cannot put the base commit into {}", path.display())]
    Repository {
        /// The bare repository.
        path: PathBuf,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// The cache cannot be written.
    #[error("cannot write below {}", path.display())]
    Cache {
        /// The cache directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl PackageError {
    /// The way out, where there is a known one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Image(error) => error.hint(),
            _ => None,
        }
    }
}

/// Why nothing at all was built.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The compiled-in table is wrong.
    #[error(transparent)]
    Table(#[from] TableError),
    /// An instance that is not in the table.
    #[error("there is no package {unknown}; there are {known}")]
    Unknown {
        /// What was asked for.
        unknown: InstanceId,
        /// All names.
        known: String,
    },
}

/// Builds packages, one after the other. A package that fails does not stop the others; rows that
/// are finished stay in the dataset.
///
/// # Errors
/// [`PackagesError`]; failures of single packages are in the reports.
pub async fn build_all(
    request: &PackagesRequest,
    engine: &Engine,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Vec<PackageReport>, PackagesError> {
    let table = table()?;
    for wanted in &request.only {
        if !table.iter().any(|package| package.instance_id == *wanted) {
            let known: Vec<&str> = table.iter().map(|p| p.instance_id.as_str()).collect();
            return Err(PackagesError::Unknown {
                unknown: wanted.clone(),
                known: known.join(", "),
            });
        }
    }
    let network = HostNetwork::detect();
    let cache = Cache::new(&request.cache);
    let selected =
        |id: &InstanceId| request.only.is_empty() || request.only.iter().any(|only| only == id);
    let mut reports = Vec::new();
    for package in table.iter().filter(|package| selected(&package.instance_id)) {
        let begin = Instant::now();
        let events = events.of(&package.instance_id);
        let work = Work { package, request, cache: &cache, engine, network: &network, cancel };
        let mut result = work.build(&events).await;
        let ids = table.iter().map(|package| &package.instance_id);
        if let Err(source) = cache.write_dataset(ids)
            && result.is_ok()
        {
            result = Err(PackageError::Cache { path: request.cache.clone(), source });
        }
        let seconds = begin.elapsed().as_secs_f64();
        reports.push(PackageReport { instance: package.instance_id.clone(), result, seconds });
        if cancel.is_cancelled() {
            break;
        }
    }
    Ok(reports)
}

struct Work<'a> {
    package: &'a Package,
    request: &'a PackagesRequest,
    cache: &'a Cache,
    engine: &'a Engine,
    network: &'a HostNetwork,
    cancel: &'a CancellationToken,
}

impl Work<'_> {
    async fn build(&self, events: &Events) -> Result<PackageBuilt, PackageError> {
        let package = self.package;
        let sources = self.sources(events).await?;
        let (base, fix) = (tree(&sources.base)?, tree(&sources.fix)?);
        let Split { test_patch, patch } =
            split(&base, &fix, &package.tests, (&package.base, &package.fix))?;
        let checkout = Checkout::of_files(&base)?;
        let base_commit = checkout.commit().to_string();
        let eval_script = EvalScript {
            base_commit: &base_commit,
            install: &package.install,
            test_patch: &test_patch,
            test_command: &package.test_command,
            log_format: package.log_format,
        }
        .compose()?;
        let image = build_checkout(
            &self.image_request(&sources),
            &checkout,
            self.engine,
            events,
            self.cancel,
        )
        .await?;
        self.cache.keep_commit(&package.repo(), &package.instance_id, &checkout)?;

        let mut row = self.row(&base_commit, &patch, &test_patch, &eval_script, &sources.fix);
        let inputs = digest(&json!({
            "version": ROW_VERSION, "row": row, "requirements": package.requirements,
        }));
        let kept = self.cache.row(&package.instance_id, &inputs);
        if let Some(kept) = kept.filter(|_| image.reused) {
            return Ok(PackageBuilt {
                image,
                fail_to_pass: length(&kept["FAIL_TO_PASS"]),
                pass_to_pass: length(&kept["PASS_TO_PASS"]),
                flaky: Vec::new(),
                reused: true,
            });
        }
        events.notice(format!("{}: measuring its tests", package.instance_id));
        let measured = self.measure(&eval_script, &patch).await?;
        row["FAIL_TO_PASS"] = json!(json!(measured.fail_to_pass).to_string());
        row["PASS_TO_PASS"] = json!(json!(measured.pass_to_pass).to_string());
        let kept = self.cache.keep_row(&package.instance_id, &inputs, &row);
        kept.map_err(|source| PackageError::Cache { path: self.request.cache.clone(), source })?;
        Ok(PackageBuilt {
            image,
            fail_to_pass: measured.fail_to_pass.len(),
            pass_to_pass: measured.pass_to_pass.len(),
            flaky: measured.flaky,
            reused: false,
        })
    }

    /// The archives; the environment is built for them only if they are not in the cache.
    async fn sources(&self, events: &Events) -> Result<Sources, PackageError> {
        let dir = self.cache.sources();
        if let Some(cached) = Sources::cached(self.package, &dir) {
            return Ok(cached);
        }
        let workshop =
            Workshop { engine: self.engine, cancel: self.cancel, network: Some(self.network) };
        let environment = Environment {
            base: None,
            python: Some(&self.package.python),
            requirements: &self.package.requirements,
        };
        let layer = environment.ready(&workshop, &self.package.instance_id, events).await?;
        Ok(Sources::ready(self.package, &dir, &layer, &workshop).await?)
    }

    fn image_request(&self, sources: &Sources) -> BuildRequest {
        BuildRequest {
            instance: self.package.instance_id.clone(),
            image: self.package.image(),
            source: Source::Files(sources.base.clone()),
            base: None,
            variables: Vec::new(),
            python: Some(self.package.python.clone()),
            requirements: self.package.requirements.clone(),
            install: Some(self.package.install.clone()),
            force: self.request.force,
        }
    }

    async fn measure(&self, eval_script: &str, patch: &str) -> Result<Measured, PackageError> {
        let trial = Trial {
            workshop: Workshop { engine: self.engine, cancel: self.cancel, network: None },
            instance: &self.package.instance_id,
            image: &self.package.image(),
            eval_script,
            log_format: self.package.log_format,
        };
        let measured = trial.measure(patch).await?;
        let known = self.package.fail_to_pass.iter();
        let missing: Vec<String> =
            known.filter(|test| !measured.fail_to_pass.contains(test)).cloned().collect();
        if missing.is_empty() {
            return Ok(measured);
        }
        Err(PackageError::Unexpected { missing, measured: measured.fail_to_pass })
    }

    /// The row in SWE-bench's schema, without the measured lists.
    fn row(
        &self,
        base_commit: &str,
        patch: &str,
        test_patch: &str,
        eval_script: &str,
        fix: &Path,
    ) -> Value {
        let package = self.package;
        json!({
            "repo": package.repo(),
            "instance_id": package.instance_id,
            "base_commit": base_commit,
            "patch": patch,
            "test_patch": test_patch,
            "problem_statement": package.issue,
            "hints_text": "",
            "created_at": released(fix).unwrap_or_default(),
            "version": package.base,
            "FAIL_TO_PASS": "[]",
            "PASS_TO_PASS": "[]",
            "environment_setup_commit": base_commit,
            "image": package.image(),
            "eval_script": eval_script,
            "log_parser": package.log_parser,
            "eval_type": "pass_and_fail",
            "test_command": package.test_command,
            "log_format": package.log_format,
            "install": package.install,
        })
    }
}

fn tree(archive: &Path) -> Result<Files, FilesError> {
    files::read(archive).map(tracked)
}

/// Number of entries of a list that is written as JSON in a string.
fn length(list: &Value) -> usize {
    let entries = list.as_str().and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    entries.map_or(0, |entries| entries.len())
}

/// When a release was packed: the newest date in its archive.
fn released(archive: &Path) -> Option<String> {
    let file = std::fs::File::open(archive).ok()?;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let dates = tar.entries().ok()?.filter_map(|entry| date(&mut entry.ok()?));
    OffsetDateTime::from_unix_timestamp(dates.max()?).ok()?.format(&Rfc3339).ok()
}

/// An entry's date. Where it has a fraction, the header itself may say 0.
fn date(entry: &mut tar::Entry<'_, impl std::io::Read>) -> Option<i64> {
    let header = i64::try_from(entry.header().mtime().ok()?).ok()?;
    let extended = entry.pax_extensions().ok().flatten().and_then(|extensions| {
        let mtime = extensions.flatten().find(|extension| extension.key() == Ok("mtime"))?;
        mtime.value().ok()?.split('.').next()?.parse().ok()
    });
    Some(extended.unwrap_or(header))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::docker::trial;

    #[tokio::test]
    async fn an_unknown_package_is_refused_with_the_known_names() {
        let cache = tempfile::tempdir().unwrap();
        let request = PackagesRequest {
            only: vec![InstanceId::new("nobody__nothing-1").unwrap()],
            cache: cache.path().to_owned(),
            force: false,
        };
        let Some(engine) = trial::engine().await else { return };
        let cancel = CancellationToken::new();
        let error = build_all(&request, &engine, &Events::discard(), &cancel).await.unwrap_err();
        assert!(error.to_string().contains("pyflakes__pyflakes-3.0.1"), "{error}");
    }
}
