//! The architecture as a test: who may import whom, module docs, sizes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// `(module, modules it may import)`, bottom first. The table is the architecture; `src/lib.rs`
/// says what each module is for.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("artifact", &[]),
    ("event", &["artifact"]),
    // Anyone who makes temporary files.
    ("scratch", &[]),
    // Limits that the model client, the sessions and the batch share.
    ("queue", &[]),
    ("budget", &[]),
    // Pure and synchronous.
    ("reward", &[]),
    // Its strict mode is the reward's own reader.
    ("patch", &["artifact", "reward"]),
    ("source", &["artifact"]),
    ("testlog", &["artifact"]),
    ("prompt", &["artifact"]),
    ("context", &["artifact", "source"]),
    ("retrieval", &["artifact", "source"]),
    // Edges: they see neither one another nor any stage.
    ("llm", &["artifact", "budget", "event", "queue"]),
    ("sandbox", &["artifact", "event", "scratch"]),
    ("repo", &["artifact", "event", "scratch"]),
    ("dataset", &["artifact", "scratch"]),
    // Reads commits through `repo`, so that `retrieval` stays without a disk.
    ("index", &["artifact", "event", "repo", "retrieval", "source", "scratch"]),
    // One more list for a ranking, with its vectors kept beside the index.
    ("embed", &["artifact", "event", "index", "llm", "repo", "retrieval", "source"]),
    ("store", &["artifact", "scratch"]),
    ("report", &["artifact", "event"]),
    // Runs looked at from outside.
    ("compare", &["artifact", "report", "store"]),
    ("merge", &["artifact", "compare", "llm", "store", "scratch"]),
    // What stages may touch of the outside, and the mechanism they share with the grader.
    ("tools", &["budget", "embed", "index", "llm", "queue", "sandbox", "event"]),
    ("base", &["patch", "repo"]),
    ("harness", &["artifact", "sandbox", "testlog"]),
    // The verbs: no store, report, config, dataset or evaluate.
    (
        "stage",
        &[
            "artifact",
            "base",
            "budget",
            "context",
            "event",
            "harness",
            "index",
            "llm",
            "patch",
            "prompt",
            "repo",
            "retrieval",
            "sandbox",
            "source",
            "testlog",
            "tools",
        ],
    ),
    (
        "pipeline",
        &["artifact", "event", "llm", "prompt", "repo", "sandbox", "stage", "store", "tools"],
    ),
    ("evaluate", &["artifact", "dataset", "event", "harness", "sandbox", "testlog", "scratch"]),
    // Reads what runs and graders wrote, never a dataset.
    ("submission", &["artifact", "evaluate", "llm", "report", "store"]),
    (
        "serve",
        &[
            "artifact", "base", "dataset", "evaluate", "event", "patch", "repo", "reward",
            "sandbox", "scratch",
        ],
    ),
    ("images", &["artifact", "dataset", "event", "repo", "sandbox", "testlog", "scratch"]),
    ("batch", &["artifact", "budget", "event", "pipeline", "queue", "store", "tools"]),
    ("config", &["llm", "sandbox", "stage"]),
    (
        "cli",
        &[
            "artifact",
            "batch",
            "budget",
            "compare",
            "config",
            "dataset",
            "embed",
            "evaluate",
            "event",
            "images",
            "index",
            "llm",
            "merge",
            "pipeline",
            "prompt",
            "repo",
            "report",
            "retrieval",
            "reward",
            "sandbox",
            "scratch",
            "serve",
            "stage",
            "store",
            "submission",
            "testlog",
            "tools",
        ],
    ),
];

/// The verbs. Siblings never import one another.
const STAGES: [&str; 5] = ["localize", "repair", "reproduce", "execute", "rerank"];

/// Lines of one file, without its tests.
const MAX_LINES: usize = 500;
/// Lines of one command's file.
const MAX_COMMAND_LINES: usize = 130;

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Whether the file holds nothing but tests.
fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        let name = name.trim_end_matches(".rs");
        name == "tests"
            || name == "testing"
            || name.starts_with("test_")
            || name.ends_with("_tests")
    })
}

/// The text before the inline test module.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap()
}

/// Modules named after `crate::`, groups expanded; comments and docs left out.
fn crate_imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut modules = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        modules.insert(std::mem::take(&mut word));
                    }
                    c if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            modules.insert(word);
        } else {
            modules.insert(rest.to_owned());
        }
    }
    let first = |text: &str| -> String {
        text.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    modules.iter().map(|text| first(text)).filter(|name| !name.is_empty()).collect()
}

/// First component below `src`, such as `stage` for `src/stage/repair/mod.rs`.
fn module_of(root: &Path, file: &Path) -> String {
    let first = file.strip_prefix(root).unwrap().components().next().unwrap();
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

#[test]
fn modules_import_only_what_their_row_allows() {
    let root = source_root();
    let mut wrong = Vec::new();
    for file in rust_files(&root) {
        let module = module_of(&root, &file);
        if module == "lib" || module == "main" || is_test_file(&file) {
            continue;
        }
        let row = MAY_IMPORT.iter().find(|(name, _)| *name == module);
        let (_, allowed) = row.unwrap_or_else(|| panic!("{module} has no row in the table"));
        let text = fs::read_to_string(&file).unwrap();
        for target in crate_imports(without_tests(&text)) {
            if target != module && !allowed.contains(&target.as_str()) {
                wrong.push(format!("{module} -> {target} ({})", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the table:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_runs_one_way() {
    for (index, (module, allowed)) in MAY_IMPORT.iter().enumerate() {
        for target in *allowed {
            let place = MAY_IMPORT.iter().position(|(name, _)| name == target).unwrap();
            assert!(place < index, "{module} may import {target}, which stands above it");
        }
    }
}

#[test]
fn stages_do_not_import_one_another() {
    let root = source_root().join("stage");
    let mut wrong = Vec::new();
    for file in rust_files(&root) {
        let own = module_of(&root, &file);
        let text = fs::read_to_string(&file).unwrap();
        for sibling in STAGES.iter().filter(|stage| **stage != own && own != "mod") {
            if text.contains(&format!("stage::{sibling}")) {
                wrong.push(format!("{own} -> {sibling} ({})", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "stages import siblings:\n{}", wrong.join("\n"));
}

#[test]
fn gold_data_is_named_only_where_it_may_be_seen() {
    let root = source_root();
    let words = ["test_patch", "FAIL_TO_PASS", "PASS_TO_PASS", "fail_to_pass", "hints_text"];
    for file in rust_files(&root) {
        let module = module_of(&root, &file);
        if ["dataset", "evaluate", "images", "cli", "testlog"].contains(&module.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for word in words {
                assert!(!line.contains(word), "{} names {word}: {line}", file.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let root = source_root();
    let mut wrong = Vec::new();
    for file in rust_files(&root) {
        let text = fs::read_to_string(&file).unwrap();
        let shown = file.strip_prefix(&root).unwrap().display();
        if !text.starts_with("//! ") {
            wrong.push(format!("{shown} has no module doc"));
        }
        let lines = without_tests(&text).lines().count();
        let limit = if file.parent().is_some_and(|dir| dir.ends_with("commands")) {
            MAX_COMMAND_LINES
        } else {
            MAX_LINES
        };
        if lines > limit && !is_test_file(&file) {
            wrong.push(format!("{shown} has {lines} lines, more than {limit}"));
        }
        if text.contains("super::super::") {
            wrong.push(format!(
                "{shown} climbs with super::super::, which the import test cannot see"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_in_lib_rs_names_every_module() {
    let lib = fs::read_to_string(source_root().join("lib.rs")).unwrap();
    for (module, _) in MAY_IMPORT {
        assert!(lib.contains(&format!("//! | [`{module}`] |")), "{module} is not on the map");
    }
}
