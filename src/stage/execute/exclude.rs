//! Which regression tests a right fix may break: asked of the model, before any candidate runs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::llm::{Call, Completion, ModelError, ModelRequest};
use crate::prompt::PromptName;
use crate::stage::execute::{Asking, ExecuteConfig, Inputs, RegressionSet};
use crate::stage::{StageError, ask_within};
use crate::tools::Tools;

/// Whether the model may leave out regression tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusion {
    /// Every test that passes on the base commit counts.
    None,
    /// The model names those that a right fix may break.
    Model,
}

/// Tokens that the names of tests may take in the prompt; tests beyond stay in.
const NAMES: usize = 16_000;
/// Upper bound of the answer in tokens, thinking included.
const ANSWER: u32 = 8_192;

/// Takes the tests out of the set that the model names.
///
/// An answer that names more than half of the tests has misread the question, and is not followed.
pub(super) async fn exclude(
    tools: &Tools,
    config: &ExecuteConfig,
    inputs: &Inputs<'_>,
    set: &mut RegressionSet,
) -> Result<(), StageError> {
    if config.exclusion == Exclusion::None || set.passing.is_empty() {
        return Ok(());
    }
    let named = match ask(tools, inputs, &set.passing).await {
        Ok(Some(answer)) => named(&answer, &set.passing),
        Ok(None) => return Ok(()),
        // Recordings from before this question was asked, or from elsewhere.
        Err(StageError::Model(ModelError::NotRecorded { .. })) => return Ok(()),
        Err(error) => return Err(error),
    };
    if named.len() * 2 > set.passing.len() {
        tools.events.notice(format!(
            "the model calls {} of {} regression tests outdated, which is not followed",
            named.len(),
            set.passing.len()
        ));
        return Ok(());
    }
    if !named.is_empty() {
        let names: Vec<&str> = named.iter().take(5).map(String::as_str).collect();
        let more = if named.len() > 5 { ", ..." } else { "" };
        tools.events.notice(format!(
            "{} of {} regression tests do not count, since a right fix may break them: {}{more}",
            named.len(),
            set.passing.len(),
            names.join(", ")
        ));
        set.passing.retain(|test| !named.contains(test));
    }
    Ok(())
}

/// One greedy answer; nothing when the reply holds none.
async fn ask(
    tools: &Tools,
    inputs: &Inputs<'_>,
    tests: &BTreeSet<String>,
) -> Result<Option<String>, StageError> {
    let Asking { prompts, tokens, seed } = inputs.asking;
    let issue = &inputs.instance.problem_statement;
    let make = |budget: usize| {
        let mut names = String::new();
        let mut left = budget;
        for test in tests {
            // Names may hold anything, a line end included; such a test cannot be named.
            let cost = tokens.count(test) + 1;
            if cost > left || test.contains('\n') {
                continue;
            }
            left -= cost;
            names.push_str(test);
            names.push('\n');
        }
        let values = [("issue", issue.as_str()), ("tests", names.trim_end())];
        let request = ModelRequest {
            instance: inputs.instance.id.clone(),
            call: Call::SelectRegression,
            messages: prompts.render(PromptName::SelectRegression, &values),
            samples: 0..1,
            temperature: 0.0,
            max_tokens: ANSWER,
            seed,
            stop: Vec::new(),
        };
        (request, ())
    };
    let mut budget = NAMES;
    let (completions, ()) = ask_within(tools, &mut budget, make).await?;
    Ok(completions.into_iter().next().and_then(|Completion { answer, .. }| answer.ok()))
}

/// The tests that lines of an answer name exactly, but for bullets, quotes and blanks.
fn named(answer: &str, tests: &BTreeSet<String>) -> BTreeSet<String> {
    let lines = answer.lines().filter_map(|line| {
        let line = line.trim();
        let bare = line.trim_start_matches(['-', '*', ' ', '`', '"', '\'']);
        let bare = bare.trim_end_matches(['`', '"', '\'', ',']);
        [line, bare].into_iter().find(|name| tests.contains(*name)).map(str::to_owned)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_that_exist_count() {
        let tests: BTreeSet<String> =
            ["a.py::test_x[1-2]", "test_y (pkg.T)", "- odd"].map(str::to_owned).into();
        let answer =
            "Perhaps these:\n```\n- `a.py::test_x[1-2]`\ntest_y\n- odd\ntest_z (pkg.T)\n```";
        let found = named(answer, &tests);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["- odd", "a.py::test_x[1-2]"]);
        assert!(named("```\n```", &tests).is_empty());
    }
}
