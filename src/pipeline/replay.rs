//! A recorded instance made anew without a model and without a sandbox: answers come from the
//! journal, rankings of files, verdicts and executions from the run that recorded them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::artifact::{
    BaseVerdict, Candidate, CandidateId, Execution, Instance, InstanceOutcome, Outcome,
    ReproductionTest, Stage, Subject, TestId, TestKind,
};
use crate::event::EventKind;
use crate::pipeline::source::checkout_or_export;
use crate::pipeline::work::Work;
use crate::pipeline::{Inputs, PipelineError, Plan, Source, describe, failed};
use crate::stage::execute::RegressionTests;
use crate::stage::{StageError, execute, reproduce, rerank};
use crate::store::InstanceDir;
use crate::tools::Tools;

/// What a replay made, and what it could not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// How it ended.
    pub outcome: InstanceOutcome,
    /// Candidates, one a class, of which some test result is not recorded.
    pub untested: Vec<CandidateId>,
    /// Scripts that were never tried on the base commit.
    pub untried: Vec<TestId>,
    /// Why recorded regression tests could not be taken; empty if they could.
    pub regression: String,
}

/// Replays one instance of the run that recorded it, `from`, into `dir`, and records how it ended.
pub async fn replay(
    tools: &Tools,
    plan: &Plan,
    source: &Source,
    instance: &Instance,
    from: &InstanceDir,
    dir: &InstanceDir,
) -> Replayed {
    tools.events.emit(EventKind::InstanceStarted);
    let start = std::time::Instant::now();
    let made = go(tools, plan, source, instance, from, dir).await;
    let mut replayed = made.unwrap_or_else(|error| {
        let outcome = match &error {
            PipelineError::Stage(error) if error.is_cancelled() => InstanceOutcome::Cancelled,
            error => failed(Stage::Repair, error),
        };
        let (untested, untried) = (Vec::new(), Vec::new());
        Replayed { outcome, untested, untried, regression: String::new() }
    });
    if let Err(error) = dir.save_outcome(&replayed.outcome) {
        replayed.outcome = failed(Stage::Rerank, &error.into());
    }
    let (outcome, seconds) = (replayed.outcome.clone(), start.elapsed().as_secs_f64());
    tools.events.emit(EventKind::InstanceFinished { outcome, seconds });
    replayed
}

async fn go(
    tools: &Tools,
    plan: &Plan,
    source: &Source,
    instance: &Instance,
    from: &InstanceDir,
    dir: &InstanceDir,
) -> Result<Replayed, PipelineError> {
    let (Some(at), Some(located)) = (from.localization()?, from.stage(Stage::Localize)) else {
        return Err(PipelineError::Missing(Stage::Localize));
    };
    let checkout = Arc::new(checkout_or_export(tools, source, instance).await?);
    let inputs = Inputs::new(plan, instance, &tools.model.identity(), tools.sandbox.name());
    let work = Work::new(tools, plan, instance, dir, inputs, Arc::clone(&checkout));

    // Taken as it is, so under the inputs that it was made from: `agent run` ranks anew if the
    // settings ask for it.
    dir.save_localization(&at)?;
    dir.finish(Stage::Localize, &located.input, located.seconds, &located.summary)?;

    let old = Recorded {
        candidates: from.candidates()?,
        tests: from.tests()?,
        executions: from.executions()?,
        whole: from.stage(Stage::Execute).is_some_and(|record| record.finished),
    };
    let running = work.begin(Stage::Repair)?;
    let drawn = old.candidates.iter().map(|c| c.sample + 1).max().filter(|_| plan.adaptive.is_on());
    let candidates = work.sampler(&at).draw(0..drawn.unwrap_or(plan.repair.samples)).await?;
    dir.save_candidates(&candidates)?;
    running.finish(describe::candidates(&candidates))?;

    let running = work.begin(Stage::Reproduce)?;
    let about = reproduce::About { instance, at: &at, checkout: &checkout };
    let scripts =
        reproduce::scripts(tools, &plan.reproduce, &plan.prompts, &plan.tokens, plan.seed, &about)
            .await?;
    let (tests, untried) = old.tried(scripts);
    dir.save_tests(&tests)?;
    if untried.is_empty() {
        running.finish(describe::tests(&tests, plan.reproduce.keep))?;
    }

    if tools.cancel.is_cancelled() {
        return Err(StageError::Cancelled.into());
    }
    let regression = old.regression(&candidates, plan.execute.regression);
    let judges = reproduce::judges(&tests, plan.reproduce.keep);
    let (executions, untested) = old.executed(&candidates, &judges, regression.is_empty());
    let whole = untested.is_empty() && untried.is_empty() && regression.is_empty();
    let running = work.begin(Stage::Execute)?;
    dir.save_executions(&executions)?;
    if whole {
        running.finish(execute::summary(&executions))?;
    }

    let running = work.begin(Stage::Rerank)?;
    let ranking = rerank::rerank(&plan.rerank, &candidates, &executions);
    dir.save_ranking(&ranking)?;
    // What may change with the missing results is not finished.
    if whole {
        running.finish(describe::ranking(&ranking, &executions))?;
    }
    let outcome = match ranking.chosen {
        Some(_) => InstanceOutcome::Solved,
        None => InstanceOutcome::NoCandidate,
    };
    Ok(Replayed { outcome, untested, untried, regression })
}

/// What a run knows about an instance.
struct Recorded {
    candidates: Vec<Candidate>,
    tests: Vec<ReproductionTest>,
    executions: Vec<Execution>,
    /// Whether all that was to be executed has been.
    whole: bool,
}

impl Recorded {
    /// The scripts with their recorded verdicts, and those that have none. The latter are left out:
    /// a row in `tests.jsonl` is a test that has been tried.
    fn tried(&self, scripts: Vec<ReproductionTest>) -> (Vec<ReproductionTest>, Vec<TestId>) {
        let known: HashMap<&str, &ReproductionTest> =
            self.tests.iter().map(|test| (test.source.as_str(), test)).collect();
        let (mut tests, mut untried) = (Vec::new(), Vec::new());
        for mut test in scripts {
            if test.source.is_empty() {
                tests.push(test);
            } else if let Some(old) = known.get(test.source.as_str()) {
                (test.base, test.reason) = (old.base, old.reason.clone());
                tests.push(test);
            } else {
                untried.push(test.id);
            }
        }
        (tests, untried)
    }

    /// Why the recorded regression tests are not these candidates'; empty if they are. Which test
    /// files run depends on the files that candidates change.
    fn regression(&self, candidates: &[Candidate], wanted: RegressionTests) -> String {
        let changed = |all: &[Candidate]| -> BTreeSet<String> {
            all.iter().filter(|c| c.is_ok()).flat_map(|c| c.files.clone()).collect()
        };
        let valid = candidates.iter().any(Candidate::is_ok);
        if wanted == RegressionTests::None || !valid {
            String::new()
        } else if !self.whole {
            "the recorded run has not executed all of its tests".to_owned()
        } else if changed(candidates) != changed(&self.candidates) {
            "the candidates change other files than before, so other regression tests guard them"
                .to_owned()
        } else {
            String::new()
        }
    }

    /// Recorded rows under the new candidates' and scripts' names, and the candidates that lack
    /// some.
    fn executed(
        &self,
        candidates: &[Candidate],
        judges: &[&ReproductionTest],
        with_regression: bool,
    ) -> (Vec<Execution>, Vec<CandidateId>) {
        let scripts = self.scripts(judges);
        let judged: HashSet<&str> = self
            .executions
            .iter()
            .filter(|row| row.kind == TestKind::Regression && row.subject != Subject::Base)
            .map(|row| row.test.as_str())
            .collect();
        let passing: BTreeSet<&str> = self
            .executions
            .iter()
            .filter(|row| with_regression && row.subject == Subject::Base)
            .filter(|row| row.kind == TestKind::Regression && row.outcome == Outcome::Pass)
            .map(|row| row.test.as_str())
            // What no candidate was judged by was left out as outdated.
            .filter(|test| judged.contains(test))
            .collect();
        let translate = |row: &Execution, subject: Subject| -> Vec<Execution> {
            let names = match row.kind {
                TestKind::Regression if with_regression => vec![row.test.clone()],
                TestKind::Regression => Vec::new(),
                TestKind::Reproduction => scripts.get(&row.test).cloned().unwrap_or_default(),
            };
            names.into_iter().map(|test| Execution { subject, test, ..row.clone() }).collect()
        };
        let base = self.executions.iter().filter(|row| row.subject == Subject::Base);
        let mut rows: Vec<Execution> = base.flat_map(|row| translate(row, Subject::Base)).collect();
        let mut untested = Vec::new();
        for (first, members) in classes(candidates) {
            let subject = Subject::Candidate(first);
            let of_old = self.twin(&members).map(Subject::Candidate);
            let known: Vec<Execution> = self
                .executions
                .iter()
                .filter(|row| Some(row.subject) == of_old)
                .flat_map(|row| translate(row, subject))
                .collect();
            let has = |kind, test: &str| known.iter().any(|r| r.kind == kind && r.test == test);
            let whole = judges.iter().all(|t| has(TestKind::Reproduction, &t.id.to_string()))
                && passing.iter().all(|test| has(TestKind::Regression, test))
                && (of_old.is_some() || (judges.is_empty() && passing.is_empty()));
            if !whole {
                untested.push(first);
            }
            rows.extend(known);
        }
        rows.sort_by(|a, b| (a.subject, a.kind, &a.test).cmp(&(b.subject, b.kind, &b.test)));
        (rows, untested)
    }

    /// From the name of a recorded script to the names of the judges that are the same script.
    fn scripts(&self, judges: &[&ReproductionTest]) -> BTreeMap<String, Vec<String>> {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let executed: HashSet<&str> = self
            .executions
            .iter()
            .filter(|row| row.kind == TestKind::Reproduction)
            .map(|row| row.test.as_str())
            .collect();
        for judge in judges {
            let same = |old: &&ReproductionTest| {
                old.base == BaseVerdict::Reproduced
                    && (old.source == judge.source || old.class == judge.class)
                    && executed.contains(old.id.to_string().as_str())
            };
            if let Some(old) = self.tests.iter().find(same) {
                names.entry(old.id.to_string()).or_default().push(judge.id.to_string());
            }
        }
        names
    }

    /// The candidate that was executed for the change that `members` make: of the same class, or,
    /// where classes are told apart otherwise now, for one of the same patches.
    fn twin(&self, members: &[&Candidate]) -> Option<CandidateId> {
        let executed: HashSet<Subject> = self.executions.iter().map(|row| row.subject).collect();
        let ran = |c: &&Candidate| executed.contains(&Subject::Candidate(c.id));
        let class = &members.first()?.class;
        let same_class = |c: &&Candidate| !class.is_empty() && c.class == *class;
        let valid = || self.candidates.iter().filter(|c| c.is_ok());
        if let Some(found) = valid().filter(same_class).find(ran) {
            return Some(found.id);
        }
        valid().filter(|old| members.iter().any(|new| new.patch == old.patch)).find_map(|old| {
            let stands = |c: &&Candidate| c.id == old.id || c.class == old.class;
            valid().filter(stands).find(ran).map(|c| c.id)
        })
    }
}

/// Valid candidates by class, each class under its first sample, which stands for it.
fn classes(candidates: &[Candidate]) -> BTreeMap<CandidateId, Vec<&Candidate>> {
    let mut ordered: Vec<&Candidate> = candidates.iter().filter(|c| c.is_ok()).collect();
    ordered.sort_by_key(|candidate| candidate.sample);
    let mut first: HashMap<&str, CandidateId> = HashMap::new();
    let mut classes: BTreeMap<CandidateId, Vec<&Candidate>> = BTreeMap::new();
    for candidate in ordered {
        let class = if candidate.class.is_empty() { &candidate.patch } else { &candidate.class };
        let id = *first.entry(class).or_insert(candidate.id);
        classes.entry(id).or_default().push(candidate);
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::CandidateStatus;

    fn ok(sample: u32, class: &str, patch: &str) -> Candidate {
        Candidate {
            status: CandidateStatus::Ok,
            class: class.into(),
            patch: patch.into(),
            files: vec!["a.py".into()],
            ..Candidate::invalid(sample, String::new())
        }
    }

    fn script(sample: u32, source: &str) -> ReproductionTest {
        let base = BaseVerdict::Reproduced;
        let (class, source) = (source.to_owned(), source.to_owned());
        ReproductionTest { id: TestId(sample), sample, source, base, class, reason: String::new() }
    }

    fn row(candidate: u32, kind: TestKind, test: &str) -> Execution {
        let subject = Subject::Candidate(CandidateId(candidate));
        Execution { subject, test: test.into(), kind, outcome: Outcome::Pass, seconds: 1.0 }
    }

    fn recorded() -> Recorded {
        let base = Execution { subject: Subject::Base, ..row(0, TestKind::Regression, "r") };
        let mut executions = vec![base];
        for candidate in [0, 2] {
            executions.push(row(candidate, TestKind::Regression, "r"));
            executions.push(row(candidate, TestKind::Reproduction, "t001"));
        }
        Recorded {
            candidates: vec![ok(0, "x", "1"), ok(1, "x", "1b"), ok(2, "y", "2")],
            tests: vec![script(1, "s")],
            executions,
            whole: true,
        }
    }

    #[test]
    fn rows_follow_a_change_to_the_candidate_that_stands_for_it_now() {
        // Classes are told apart otherwise: patch 1b alone keeps its tested class; 3 is new.
        let now = [ok(0, "z", "3"), ok(1, "w", "1b"), ok(4, "y", "2c")];
        let judge = script(0, "s");
        let (rows, untested) = recorded().executed(&now, &[&judge], true);
        assert_eq!(untested, [CandidateId(0)]);
        let names: Vec<String> =
            rows.iter().map(|row| format!("{} {}", row.subject, row.test)).collect();
        assert_eq!(names, ["base r", "c001 t000", "c001 r", "c004 t000", "c004 r"]);
    }

    #[test]
    fn what_was_not_tried_is_not_taken_for_tried() {
        let old = recorded();
        let (tests, untried) = old.tried(vec![script(0, "s"), script(1, "other")]);
        assert_eq!((tests.len(), untried), (1, vec![TestId(1)]));
        let judges = [script(0, "s"), script(1, "other")];
        let judges: Vec<&ReproductionTest> = judges.iter().collect();
        let (_, untested) = old.executed(&[ok(0, "x", "1")], &judges, true);
        assert_eq!(untested, [CandidateId(0)]);
        let elsewhere = Candidate { files: vec!["b.py".into()], ..ok(0, "x", "1") };
        assert!(!old.regression(&[elsewhere], RegressionTests::Related).is_empty());
    }
}
