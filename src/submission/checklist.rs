//! The entry's README: its checklist is answered from the run's own files.

use std::collections::BTreeSet;
use std::path::Path;

use crate::artifact::{InstanceId, Prediction};
use crate::store::RunRecord;

/// What a box says and whether the run bears it out.
#[derive(Debug, PartialEq)]
struct Answer {
    holds: bool,
    how: String,
}

/// What the README is made of.
pub(super) struct Facts<'a> {
    pub(super) record: &'a RunRecord,
    pub(super) run: &'a Path,
    pub(super) name: &'a str,
    pub(super) model: &'a str,
    pub(super) predictions: &'a [Prediction],
    pub(super) policies: &'a BTreeSet<String>,
    pub(super) resolved: usize,
    pub(super) total: usize,
}

/// All that an instance may hold when a stage sees it.
const FIELDS: [&str; 7] =
    ["id", "repo", "base_commit", "problem_statement", "image", "test_command", "install"];

pub(super) fn readme(facts: &Facts<'_>) -> String {
    let record = facts.record;
    let setting = |key: &str| record.setting(key).map_or_else(String::new, ToString::to_string);
    let percent = match facts.total {
        0 => 0.0,
        total => {
            f64::from(u32::try_from(facts.resolved).unwrap_or(u32::MAX)) * 100.0
                / f64::from(u32::try_from(total).unwrap_or(u32::MAX))
        }
    };
    let seen = fields_seen(facts.run, &record.instances);
    let mut text = include_str!("readme.md").to_owned();
    for (name, answer) in [
        ("attempts", pass_at_one(facts)),
        ("tests", no_test_knowledge(record, seen.as_ref())),
        ("hints", by_construction(seen.as_ref())),
        ("web", no_lookup(record)),
    ] {
        let tick = if answer.holds { "x" } else { " " };
        text = text.replace(&format!("{{{name}_box}}"), tick);
        let place = if name == "tests" { "tests_how" } else { name };
        text = text.replace(&format!("{{{place}}}"), &answer.how);
    }
    // Names come last: what they hold is replaced by nothing.
    text.replace("{resolved}", &facts.resolved.to_string())
        .replace("{total}", &facts.total.to_string())
        .replace("{percent}", &format!("{percent:.1}"))
        .replace("{samples}", &setting("repair.samples"))
        .replace("{tests}", &setting("reproduce.samples"))
        .replace("{version}", &record.version)
        .replace("{dataset}", &record.dataset)
        .replace("{name}", facts.name)
        .replace("{model}", facts.model)
}

fn pass_at_one(facts: &Facts<'_>) -> Answer {
    let ids: BTreeSet<&InstanceId> = facts.predictions.iter().map(|row| &row.instance_id).collect();
    let policies: Vec<&str> = facts.policies.iter().map(String::as_str).collect();
    Answer {
        holds: ids.len() == facts.predictions.len() && !facts.policies.contains("oracle"),
        how: format!(
            "{} predictions for {} instances. Of several candidates one was chosen by the policy \
             {} from sampled scripts and the repository's own tests; grading came after the choice \
             and nothing of it is an input of any stage. Traces list all candidates.",
            facts.predictions.len(),
            ids.len(),
            if policies.is_empty() { "(none)".to_owned() } else { policies.join(", ") },
        ),
    }
}

/// Fields of the stored instances, which are what the stages were given; none if a file is missing
/// or cannot be read.
fn fields_seen(run: &Path, ids: &[InstanceId]) -> Option<BTreeSet<String>> {
    let mut seen = BTreeSet::new();
    for id in ids {
        let text = std::fs::read(run.join(id.as_str()).join("instance.json")).ok()?;
        let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
        seen.extend(value.as_object()?.keys().cloned());
    }
    Some(seen)
}

/// Whether stages were given these fields and no others, in words.
fn by_construction(seen: Option<&BTreeSet<String>>) -> Answer {
    let Some(seen) = seen else {
        return Answer {
            holds: false,
            how: "instance.json of an instance is missing, so nothing is known of what the stages \
                  were given."
                .to_owned(),
        };
    };
    let others: Vec<&str> =
        seen.iter().map(String::as_str).filter(|name| !FIELDS.contains(name)).collect();
    let fields: Vec<&str> = seen.iter().map(String::as_str).collect();
    Answer {
        holds: others.is_empty(),
        how: match others.is_empty() {
            true => format!(
                "By construction: a stage is given an instance without a place for it. The files \
                 instance.json of the run hold {} and nothing else.",
                fields.join(", ")
            ),
            false => {
                format!("instance.json holds fields that it should not: {}.", others.join(", "))
            }
        },
    }
}

fn no_test_knowledge(record: &RunRecord, seen: Option<&BTreeSet<String>>) -> Answer {
    let text = |key: &str| record.setting(key).and_then(|value| value.as_str()).unwrap_or_default();
    if text("localize.localizer") == "oracle" {
        return Answer {
            holds: false,
            how: "The setting localize.localizer is oracle: files came from the reference fix."
                .to_owned(),
        };
    }
    for (key, what) in
        [("run.localization", "Ranked files"), ("run.regression_tests", "Regression tests")]
    {
        let file = text(key);
        if !file.is_empty() {
            return Answer {
                holds: false,
                how: format!(
                    "{what} were handed in from {file}; the run cannot vouch for how they were made."
                ),
            };
        }
    }
    by_construction(seen)
}

fn no_lookup(record: &RunRecord) -> Answer {
    let network = record.setting("sandbox.network").and_then(|value| value.as_str());
    let network = network.unwrap_or("unknown");
    let docker = record.sandbox.starts_with("docker");
    Answer {
        holds: docker && network == "none",
        how: match (docker, network) {
            (true, "none") => {
                "The model is sent single requests and has no tools. Its scripts and \
                patches ran in containers without a network (sandbox.network = none), over a tree \
                without later commits, tags, remotes and reflogs."
                    .to_owned()
            }
            (true, network) => {
                format!("Containers had a network: sandbox.network = {network}.")
            }
            (false, _) => format!(
                "Code ran in the sandbox \"{}\", which does not cut the network off.",
                record.sandbox
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(sandbox: &str, settings: &serde_json::Value) -> RunRecord {
        serde_json::from_value(json!({
            "schema": 1, "version": "1", "dataset": "d", "dataset_digest": "", "model": "m",
            "sandbox": sandbox, "prompts": {}, "instances": ["a__b-1"], "settings": settings,
        }))
        .unwrap()
    }

    fn given(key: &str, value: &str) -> serde_json::Value {
        json!({key: {"value": value, "origin": "--set"}})
    }

    #[test]
    fn lookup_is_prevented_only_where_containers_have_no_network() {
        let holds = |sandbox: &str, network: &str| {
            no_lookup(&record(sandbox, &given("sandbox.network", network))).holds
        };
        assert!(holds("docker, as asked", "none"));
        assert!(!holds("docker, as asked", "bridge"));
        assert!(!holds("local, as asked", "none"));
        assert!(!no_lookup(&record("docker", &json!({}))).holds);
    }

    #[test]
    fn knowledge_of_the_fix_leaves_the_box_empty() {
        let all = FIELDS.iter().map(ToString::to_string).collect();
        let seen = Some(&all);
        let none = record("docker", &json!({}));
        assert!(no_test_knowledge(&none, seen).holds);
        assert!(by_construction(seen).holds);
        let oracle = record("docker", &given("localize.localizer", "oracle"));
        assert!(!no_test_knowledge(&oracle, seen).holds);
        for key in ["run.localization", "run.regression_tests"] {
            let lists = record("docker", &given(key, "x.jsonl"));
            assert!(!no_test_knowledge(&lists, seen).holds, "{key}");
        }
        let more = BTreeSet::from(["id".to_owned(), "answers".to_owned()]);
        let answer = by_construction(Some(&more));
        assert!(!answer.holds && answer.how.contains("answers"), "{answer:?}");
        assert!(!by_construction(None).holds);
    }

    #[test]
    fn a_second_prediction_leaves_the_first_box_empty() {
        let run = tempfile::tempdir().unwrap();
        let record = record("docker", &json!({}));
        let row = Prediction {
            instance_id: InstanceId::new("a__b-1").unwrap(),
            model_name_or_path: "m".to_owned(),
            model_patch: String::new(),
        };
        let text = |predictions: &[Prediction]| {
            readme(&Facts {
                record: &record,
                run: run.path(),
                name: "n",
                model: "m",
                predictions,
                policies: &BTreeSet::new(),
                resolved: 1,
                total: 4,
            })
        };
        assert!(text(std::slice::from_ref(&row)).contains("- [x] Is a pass@1"));
        assert!(text(std::slice::from_ref(&row)).contains("1 of 4 instances of d (25.0 %)"));
        assert!(text(&[row.clone(), row]).contains("- [ ] Is a pass@1"));
    }
}
