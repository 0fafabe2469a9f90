//! One prediction in one fresh container, step by step as the official harness takes it.
//!
//! What stays different: the container is ours (its limits, capabilities and network are those of
//! the settings), and standard error is joined to standard output, so that the harness's race
//! between two pipes is always won.

use std::fmt::Write as _;

use crate::artifact::Rules;
use crate::evaluate::session::{Judge, Trouble, error, file, stopped};
use crate::evaluate::{ErrorKind, Verdict, apply, grade, script};
use crate::harness::quote;
use crate::sandbox::{ExecRequest, ExecStatus};

/// Where the harness puts the patch and the script.
const PATCH: &str = "/tmp/patch.diff";
const EVAL: &str = "/eval.sh";

const DIFF: &str = "git -c core.fileMode=false diff";

impl Judge<'_> {
    /// Judges a patch. `eval` is the row's own script.
    pub(super) async fn as_harness(&self, patch: &str, eval: &str) -> Result<Verdict, Trouble> {
        let rules = self.config.rules;
        let scratch = self.session.scratch();
        let eval = script::of_harness(rules, eval);
        let files =
            [file(apply::PATCH_FILE, patch.into()), file(script::EVAL_FILE, eval.into_bytes())];
        self.session.upload(&files).await?;

        let chain = apply::harness_chain(rules, scratch, PATCH);
        let place = format!("cp {scratch}/{} {PATCH} || exit\n", apply::PATCH_FILE);
        let bash = script::bare(&format!("/bin/bash -c {}", quote(&chain)));
        let applied = self.step(place + &bash).await?;
        let mut log = applied.text().into_owned();
        if let Some(verdict) = self.not_applied(applied.status, &log)? {
            return Ok(verdict);
        }
        if std::str::from_utf8(&applied.output).is_err() {
            return Ok(lost(rules, "what the command that applied the patch printed is not UTF-8"));
        }
        if let Some(verdict) = self.diff("before", &mut log).await? {
            return Ok(verdict);
        }
        let place = format!("cp {scratch}/{} {EVAL} || exit\n", script::EVAL_FILE);
        let request = ExecRequest {
            script: place + &script::bare(&format!("/bin/bash {EVAL}")),
            timeout: self.config.timeout,
        };
        let output = self.session.exec(&request).await?;
        let text = output.text().into_owned();
        if let Some(verdict) = self.ended(&output, &text)? {
            return Ok(verdict);
        }
        if rules.wants_utf8() && std::str::from_utf8(&output.output).is_err() {
            return Ok(lost(rules, "what the tests printed is not UTF-8"));
        }
        if let Some(verdict) = self.diff("after", &mut log).await? {
            return Ok(verdict);
        }
        Ok(match grade(rules, self.plan.format(), self.plan.gold(), &text) {
            Ok(report) => {
                let _ = writeln!(log, "report: {}", report.written(rules));
                self.folder.steps(&log)?;
                Verdict::Graded { report: Box::new(report) }
            }
            Err(broken) => lost(rules, &broken.to_string()),
        })
    }

    /// Logs the tree's changes, which the harness reads strictly; a verdict if it cannot.
    async fn diff(&self, when: &str, log: &mut String) -> Result<Option<Verdict>, Trouble> {
        let output = self.step(script::bare(DIFF)).await?;
        let _ = writeln!(log, "Git diff {when}:\n{}", output.text().trim());
        self.folder.steps(log)?;
        Ok(match (output.status, std::str::from_utf8(&output.output)) {
            // Whatever git says of a repository that the tests have broken.
            (ExecStatus::Exited(_), Ok(_)) => None,
            (ExecStatus::Exited(_), Err(_)) => Some(lost(
                self.config.rules,
                &format!("the tree's changes {when} the tests are not UTF-8"),
            )),
            (status, _) => Some(stopped("reading the tree's changes", status, "")),
        })
    }
}

fn lost(rules: Rules, why: &str) -> Verdict {
    error(ErrorKind::Lost, format!("{} loses the instance: {why}", rules.name()))
}
