//! `metadata.yaml`: written with gaps for a person, and read again far enough to be checked.

use std::collections::BTreeMap;

/// Scalars that must be there and not be empty.
const REQUIRED: [&str; 5] = ["info.name", "info.site", "info.report", "info.authors", "info.logo"];

/// The file with what the run knows filled in.
pub(super) fn template(name: &str, model: &str, attempts: &str) -> String {
    include_str!("metadata.yaml")
        .replace("{name}", &quoted(name))
        .replace("{model}", &quoted(model))
        .replace("{attempts}", attempts)
}

/// A scalar that YAML reads as this text, whatever is in it: JSON strings are YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What is wrong with a file; `attempts` is what the run makes necessary, if that is known.
pub(super) fn check(text: &str, attempts: Option<&str>) -> Vec<String> {
    let mut problems = Vec::new();
    let fields = match fields(text) {
        Ok(fields) => fields,
        Err(problem) => return vec![problem],
    };
    for key in REQUIRED {
        if fields.get(key).is_none_or(|values| values.iter().all(String::is_empty)) {
            problems.push(format!("{key} is missing or empty"));
        }
    }
    for key in ["assets", "tags.model", "tags.org"] {
        if !fields.contains_key(key) {
            problems.push(format!("{key} is missing"));
        }
    }
    let one = |key: &str| fields.get(key).and_then(|values| values.first()).map(String::as_str);
    if one("tags.checked") != Some("false") {
        problems.push("tags.checked must be false: the benchmark's people set it".to_owned());
    }
    for key in ["tags.os_model", "tags.os_system"] {
        if !matches!(one(key), Some("true" | "false")) && !one(key).is_some_and(is_gap) {
            problems.push(format!("{key} must be true or false"));
        }
    }
    match (one("tags.system.attempts"), attempts) {
        (Some(said), Some(due)) if ["1", "2+"].contains(&said) && said != due => {
            problems.push(format!("tags.system.attempts is {said:?}, but the run's is {due:?}"));
        }
        (Some("1" | "2+"), _) => {}
        _ => problems.push("tags.system.attempts must be \"1\" or \"2+\"".to_owned()),
    }
    problems
}

/// Lines, from 1, that wait for a person. The benchmark's own tool refuses the word anywhere.
pub(super) fn gaps(text: &str) -> Vec<usize> {
    let lines = text.lines().enumerate();
    lines.filter(|(_, line)| is_gap(line)).map(|(at, _)| at + 1).collect()
}

fn is_gap(text: &str) -> bool {
    text.contains("TODO")
}

/// Values by dotted key: the block mappings, lists and one-line scalars of which such files are
/// made. A mapping has no value of its own and is there with an empty list.
fn fields(text: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = before_comment(line);
        let content = line.trim();
        if content.is_empty() || content == "---" {
            continue;
        }
        let wrong = |what: &str| format!("line {}: {what}: {content}", number + 1);
        let indent = line.len() - line.trim_start().len();
        if line[..indent].contains('\t') {
            return Err(wrong("a tab indents, YAML wants blanks"));
        }
        if let Some(item) = content.strip_prefix("- ").or((content == "-").then_some("")) {
            while open.last().is_some_and(|(at, _)| *at > indent) {
                open.pop();
            }
            let Some((_, key)) = open.last() else { return Err(wrong("an item outside a list")) };
            fields.entry(key.clone()).or_default().push(unquoted(item));
            continue;
        }
        let Some((name, value)) = content.split_once(':') else {
            return Err(wrong("expected `key: value`"));
        };
        while open.last().is_some_and(|(at, _)| *at >= indent) {
            open.pop();
        }
        let key = match open.last() {
            Some((_, parent)) => format!("{parent}.{}", unquoted(name)),
            None => unquoted(name),
        };
        let value = value.trim();
        let values = match value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(list) => list.split(',').map(unquoted).collect(),
            None if value.is_empty() || value == "{}" => Vec::new(),
            None => vec![unquoted(value)],
        };
        if fields.insert(key.clone(), values).is_some() {
            return Err(wrong("the key is there twice"));
        }
        open.push((indent, key));
    }
    Ok(fields)
}

fn before_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.find(" #").map_or(line, |at| &line[..at])
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or(inner('\'')).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> String {
        template("agent + m", "org/m: \"x\"", "2+")
            .lines()
            .map(|line| match line.split_once("TODO true or false") {
                Some((before, _)) => format!("{before}true\n"),
                None => format!("{}\n", line.replace("TODO", "https://x.example #1")),
            })
            .collect()
    }

    #[test]
    fn the_template_has_gaps_and_no_other_fault_and_filled_none() {
        let text = template("agent + m", "m", "2+");
        assert_eq!(gaps(&text).len(), 7);
        assert_eq!(check(&text, Some("2+")), Vec::<String>::new());
        assert_eq!(gaps(&filled()), Vec::<usize>::new());
        assert_eq!(check(&filled(), Some("2+")), Vec::<String>::new());
    }

    #[test]
    fn what_the_board_would_drop_or_refuse_is_named() {
        for (from, to, expected) in [
            ("checked: false", "checked: true", "tags.checked must be false"),
            ("info:", "about:", "info.name is missing"),
            ("attempts: \"2+\"", "attempts: \"1\"", "the run's is \"2+\""),
            ("attempts: \"2+\"", "attempts: 3", "must be \"1\" or \"2+\""),
            ("os_system: true", "os_system: perhaps", "tags.os_system must be true or false"),
            ("  model:", "  modell:", "tags.model is missing"),
            ("  name:", "\tname:", "line 4: a tab indents"),
            ("assets: {}", "assets", "expected `key: value`"),
        ] {
            let problems = check(&filled().replace(from, to), Some("2+"));
            assert!(problems.iter().any(|p| p.contains(expected)), "{to}: {problems:?}");
        }
    }

    #[test]
    fn lists_may_stand_at_the_indentation_of_their_key() {
        let text = "tags:\n  model:\n  - a\n  - 'b'\n  org: [c, \"d\"]\n";
        let fields = fields(text).unwrap();
        assert_eq!(fields["tags.model"], ["a", "b"]);
        assert_eq!(fields["tags.org"], ["c", "d"]);
    }
}
