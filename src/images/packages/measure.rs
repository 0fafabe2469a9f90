//! Which tests does the fix turn, and which does it leave alone? Said by running the row's own
//! evaluation script in its image, without and with the gold patch, twice each.

use std::collections::{BTreeMap, BTreeSet};

use crate::artifact::{InstanceId, LogFormat, Rules};
use crate::images::ImageError;
use crate::images::workshop::{Workshop, end_of, step};
use crate::sandbox::docker::ExecSpec;
use crate::testlog::markers;

/// How often each side runs; a test that does not answer the same every time is dropped.
const RUNS: usize = 2;

/// Whether each test passed in one run.
type Results = BTreeMap<String, bool>;

/// The lists of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Fail (or are absent) before the fix and pass after it.
    pub(crate) fail_to_pass: Vec<String>,
    /// Pass before and after.
    pub(crate) pass_to_pass: Vec<String>,
    /// Answered differently in equal runs.
    pub(crate) flaky: Vec<String>,
}

impl Measured {
    /// From the runs without and with the fix.
    fn from_runs(before: &[Results], after: &[Results]) -> Self {
        let names: BTreeSet<&String> =
            before.iter().chain(after).flat_map(BTreeMap::keys).collect();
        let mut measured =
            Self { fail_to_pass: Vec::new(), pass_to_pass: Vec::new(), flaky: Vec::new() };
        for name in names {
            let steady = |runs: &[Results]| {
                let passed = |run: &Results| run.get(name).copied().unwrap_or(false);
                let first = runs.first().is_some_and(passed);
                runs.iter().all(|run| passed(run) == first).then_some(first)
            };
            match (steady(before), steady(after)) {
                (Some(false), Some(true)) => measured.fail_to_pass.push(name.clone()),
                (Some(true), Some(true)) => measured.pass_to_pass.push(name.clone()),
                (Some(_), Some(false)) => {}
                _ => measured.flaky.push(name.clone()),
            }
        }
        measured
    }
}

/// A row's image and script, ready to be run.
pub(crate) struct Trial<'a> {
    /// Must have no network: grading has none either.
    pub(crate) workshop: Workshop<'a>,
    pub(crate) instance: &'a InstanceId,
    pub(crate) image: &'a str,
    pub(crate) eval_script: &'a str,
    pub(crate) log_format: LogFormat,
}

impl Trial<'_> {
    /// Runs everything.
    ///
    /// # Errors
    /// [`ImageError::Step`] if the patch does not apply or the log shows no tests.
    pub(crate) async fn measure(&self, patch: &str) -> Result<Measured, ImageError> {
        let mut before = Vec::with_capacity(RUNS);
        let mut after = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            before.push(self.run(None).await?);
            after.push(self.run(Some(patch)).await?);
        }
        Ok(Measured::from_runs(&before, &after))
    }

    /// One run in a fresh container.
    ///
    /// # Errors
    /// As [`Trial::measure`].
    pub(crate) async fn run(&self, patch: Option<&str>) -> Result<Results, ImageError> {
        let log = self
            .workshop
            .with(self.image, self.instance, async |container| {
                let script = ("eval.sh", self.eval_script.as_bytes(), true);
                let patch_file = ("tmp/patch.diff", patch.unwrap_or_default().as_bytes(), false);
                container.upload("/", &[script, patch_file]).await?;
                if patch.is_some() {
                    let apply = ExecSpec::script("git apply -v /tmp/patch.diff");
                    step(container, &apply, "applying the gold patch", self.image).await?;
                }
                let mut run = ExecSpec::command(&["/bin/bash", "/eval.sh"]);
                run.output_bytes = 64 << 20;
                Ok(container.exec(&run).await?.text().into_owned())
            })
            .await?;
        let failed = |why: &str| ImageError::Step {
            step: "the evaluation script",
            image: self.image.to_owned(),
            log: format!("{}\n({why})", end_of(&log)),
        };
        let statuses = markers::statuses(Rules::Ours, self.log_format, &log)
            .map_err(|error| failed(&error.to_string()))?;
        Ok(statuses.into_iter().map(|(name, status)| (name, status.is_pass())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pairs: &[(&str, bool)]) -> Results {
        pairs.iter().map(|(name, passed)| ((*name).to_owned(), *passed)).collect()
    }

    #[test]
    fn tests_are_sorted_by_what_the_fix_does_to_them() {
        let before = run(&[("fixed", false), ("kept", true), ("broken", true), ("red", false)]);
        let after = run(&[
            ("fixed", true),
            ("kept", true),
            ("broken", false),
            ("red", false),
            ("new", true),
        ]);
        let measured = Measured::from_runs(&[before.clone(), before], &[after.clone(), after]);
        assert_eq!(measured.fail_to_pass, ["fixed", "new"]);
        assert_eq!(measured.pass_to_pass, ["kept"]);
        assert!(measured.flaky.is_empty());
    }

    #[test]
    fn a_test_that_answers_differently_in_equal_runs_is_in_no_list() {
        let yes = run(&[("a", true), ("b", true)]);
        let no = run(&[("a", false), ("b", true)]);
        let measured = Measured::from_runs(&[yes.clone(), no], &[yes.clone(), yes]);
        assert_eq!(measured.flaky, ["a"]);
        assert_eq!(measured.pass_to_pass, ["b"]);
        assert!(measured.fail_to_pass.is_empty());
    }
}
