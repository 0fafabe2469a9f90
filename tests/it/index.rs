//! `agent index` and `agent localize --no-model` on bad input, bad caches, and many at a time.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Place, Ran, SAMPLES, git, ran, sample, sample_repository};

/// Makes a repository from a stream of `git fast-import`.
fn import(path: &Path, files: impl Iterator<Item = (String, String)>) {
    std::fs::create_dir_all(path).unwrap();
    git(path, &["init", "-q", "-b", "main"]);
    let mut stream =
        b"commit refs/heads/main\ncommitter t <t@t> 1577836800 +0000\ndata 4\nbase\n".to_vec();
    for (name, text) in files {
        write!(stream, "M 100644 inline {name}\ndata {}\n{text}\n", text.len()).unwrap();
    }
    let mut child = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&stream).unwrap();
    assert!(child.wait().unwrap().success());
}

fn many(count: usize) -> impl Iterator<Item = (String, String)> {
    (0..count).map(move |at| {
        let text = format!(
            "from pkg{}.mod_{} import run\n\n\ndef load_{at}(path):\n    return path\n",
            at % 7,
            at / 2
        );
        (format!("pkg{}/sub{}/mod_{at}.py", at % 97, at % 13), text)
    })
}

/// Ranked paths of `agent index query --json`, and standard error.
fn query(place: &Place, args: &[&str]) -> (Vec<String>, String) {
    let ran = place.ok(&[&["index", "query", "--json", "--issue", "issue.md"], args].concat());
    (ranked(&ran), ran.stderr)
}

fn ranked(ran: &Ran) -> Vec<String> {
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let files = value["ranked"].as_array().unwrap().iter();
    files.map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

/// A repository with a bundled tree and an issue that fits.
fn usual(place: &Place) -> PathBuf {
    let issue = std::fs::read_to_string(sample(SAMPLES[1], "issue.md")).unwrap();
    place.write("issue.md", &issue);
    sample_repository(place, SAMPLES[1], "mine")
}

#[test]
fn heads_of_every_kind() {
    let place = Place::new();
    place.write("issue.md", "parse_header fails\n");
    let repo = place.path("mine");
    std::fs::create_dir(&repo).unwrap();
    git(&repo, &["init", "-q", "-b", "main"]);
    for command in
        [&["index", "build", "mine"][..], &["index", "query", "mine", "--issue", "issue.md"]]
    {
        let ran = place.agent(command);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{}", ran.stderr);
        assert!(ran.stderr.contains("has no commit yet; commit the files first"), "{}", ran.stderr);
    }
    git(&repo, &["commit", "-q", "--allow-empty", "-m", "nothing"]);
    let (ranked, told) = query(&place, &["mine"]);
    assert_eq!(ranked, [] as [&str; 0]);
    assert_eq!(told, "note: the commit has no file that could be ranked\n");
    place.write("mine/header.py", "def parse_header():\n    pass\n");
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-q", "-m", "one file"]);
    assert_eq!(query(&place, &["mine"]), (vec!["header.py".to_owned()], String::new()));
    git(&repo, &["checkout", "-q", "--detach", "HEAD"]);
    assert_eq!(query(&place, &["mine"]).0, ["header.py"]);
    git(&repo, &["checkout", "-q", "--orphan", "new"]);
    let ran = place.agent(&["index", "build", "mine"]);
    assert!(ran.stderr.contains("name a commit or another branch"), "{}", ran.stderr);
    assert_eq!(query(&place, &["mine", "--rev", "main"]).0, ["header.py"]);
}

#[test]
fn errors_are_told_with_exit_code_2_or_3() {
    let place = Place::new();
    usual(&place);
    place.write("blank.md", " \r\n\t\n");
    std::fs::create_dir(place.path("plain")).unwrap();
    let gone = "1".repeat(40);
    for (args, code, expected) in [
        (&["mine", "--issue", "blank.md"][..], 2, "the issue is empty"),
        (&["mine", "--issue", "nothing.md"], 2, "cannot read the issue nothing.md"),
        (&["mine", "--issue", "issue.md", "--repeat", "0"], 2, "--repeat"),
        (&["mine", "--issue", "issue.md", "--set", "index.max_mib=lots"], 2, "index.max_mib"),
        (&["mine", "--issue", "issue.md", "--rev", "no-such"], 3, "names no commit"),
        (&["mine", "--issue", "issue.md", "--rev", &gone], 3, "fetch origin"),
        (&["plain", "--issue", "issue.md"], 3, "is not a git repository"),
        (&["nowhere", "--issue", "issue.md"], 3, "there is no repository at nowhere"),
    ] {
        let ran = place.agent(&[&["index", "query"], args].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    }
}

#[test]
fn issues_of_every_kind_give_a_ranking() {
    let place = Place::new();
    let repo = usual(&place);
    place.write("mine/deep/needle.py", "def find_needle():\n    pass\n");
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-q", "-m", "needle"]);
    let megabyte =
        format!("find_needle crashes\n\n{}", "some words 4 you (and_me) ".repeat(42_000));
    for (issue, found) in [
        ("模型加载时find_needle崩溃了，返回值为空", true),
        ("find_needle", true),
        (&megabyte, true),
        ("崩溃", false),
        ("?!", false),
        ("\u{feff}\u{0}\u{202e}\u{fffd}", false),
    ] {
        place.write("issue.md", issue);
        let (ranked, told) = query(&place, &["mine"]);
        let short = issue.chars().take(20).collect::<String>();
        assert!(ranked.len() > 3, "{short}: {ranked:?}");
        assert_eq!(told, "", "{short}");
        assert!(!found || ranked[0] == "deep/needle.py", "{short}: {ranked:?}");
        assert_eq!(query(&place, &["mine", "--set", "index.dir=none"]).0, ranked, "{short}");
    }
}

#[test]
fn many_files_are_ranked() {
    let place = Place::new();
    import(&place.path("mine"), many(10_000));
    place.write("issue.md", "load_4711 fails\n\nCalling it gives None.\n");
    let (cold, told) = query(&place, &["mine"]);
    assert_eq!((cold[0].as_str(), told.as_str()), ("pkg55/sub5/mod_4711.py", ""));
    assert_eq!(cold.len(), 20);
    assert_eq!(query(&place, &["mine"]).0, cold);
    assert_eq!(query(&place, &["mine", "--limit", "200000"]).0.len(), 10_000);
}

#[test]
fn generated_files_are_ranked_without_being_read_whole() {
    let place = Place::new();
    let line = format!("x = [{}]\nfind_the_needle = 1\n", "'some text', ".repeat(400_000));
    import(
        &place.path("mine"),
        [
            ("generated_tables.py".to_owned(), "generated = 1\n".repeat(50 << 16)),
            ("one_line.py".to_owned(), line),
            ("small.py".to_owned(), "def small():\n    pass\n".to_owned()),
        ]
        .into_iter(),
    );
    let size = git(&place.path("mine"), &["cat-file", "-s", "main:generated_tables.py"]);
    assert!(size.trim().parse::<u64>().unwrap() > 40 << 20);
    for (issue, first) in
        [("generated tables", "generated_tables.py"), ("find_the_needle", "one_line.py")]
    {
        place.write("issue.md", issue);
        let (ranked, told) = query(&place, &["mine"]);
        assert_eq!((ranked[0].as_str(), ranked.len()), (first, 3));
        assert_eq!(told, "note: 1 files above 8 MiB are ranked by path alone\n");
    }
}

/// Rows of two repositories: several commits of the first, one of the second.
fn rows(place: &Place) -> Vec<String> {
    let repo = sample_repository(place, SAMPLES[1], "repos/a__b");
    let other = sample_repository(place, SAMPLES[0], "repos/c__d");
    let mut commits = vec![git(&repo, &["rev-parse", "HEAD"])];
    for at in 0..3 {
        place.write(&format!("repos/a__b/more_{at}.py"), "def reconcile():\n    pass\n");
        git(&repo, &["add", "-A"]);
        git(&repo, &["commit", "-q", "-m", "Fix reconcile of the ledger"]);
        commits.push(git(&repo, &["rev-parse", "HEAD"]));
    }
    let mut text = String::new();
    let mut row = |id: &str, repo: &str, commit: &str, issue: &str| {
        let row = serde_json::json!({
            "instance_id": id, "repo": repo, "base_commit": commit.trim(), "problem_statement": issue,
        });
        writeln!(text, "{row}").unwrap();
    };
    let issue = |sample_id: &str| std::fs::read_to_string(sample(sample_id, "issue.md")).unwrap();
    for (at, commit) in commits.iter().enumerate() {
        row(&format!("a__b-{at}"), "a/b", commit, &issue(SAMPLES[1]));
    }
    row("c__d-0", "c/d", &git(&other, &["rev-parse", "HEAD"]), &issue(SAMPLES[0]));
    place.write("rows.jsonl", &text);
    commits
}

const LOCALIZE: [&str; 6] =
    ["localize", "rows.jsonl", "--no-model", "--repos", "repos", "--color=never"];

#[test]
fn localizing_gives_the_same_lists_from_any_cache() {
    let place = Place::new();
    let commits = rows(&place);
    let memory = place.ok(&[&LOCALIZE[..], &["--set", "index.dir=none"]].concat());
    assert_eq!(memory.stdout.lines().count(), 5);
    let cold = place.ok(&LOCALIZE);
    assert_eq!((&cold.stdout, cold.stderr.as_str()), (&memory.stdout, ""));
    assert_eq!(place.ok(&LOCALIZE).stdout, memory.stdout);
    // One instance after the other, the last first, from a cache that grows on the way.
    let mut lines = Vec::new();
    for id in ["c__d-0", "a__b-3", "a__b-1", "a__b-2", "a__b-0"] {
        let cache = ["-i", id, "--set", "index.dir=other"];
        lines.push(place.ok(&[&LOCALIZE[..], &cache].concat()).stdout);
    }
    lines.sort();
    assert_eq!(lines.concat(), memory.stdout);
    for (at, line) in memory.stdout.lines().take(4).enumerate() {
        let listed: Value = serde_json::from_str(line).unwrap();
        place.write("issue.md", &std::fs::read_to_string(sample(SAMPLES[1], "issue.md")).unwrap());
        let rev = commits[at].trim();
        let asked = query(&place, &["repos/a__b", "--rev", rev, "--limit", "100"]).0;
        assert_eq!(listed["ranked"], serde_json::json!(asked), "{rev}");
        let later = format!("more_{at}.py");
        assert!(!asked.contains(&later), "{later} is later than {rev}");
    }
}

/// The directory of blobs in the index of one repository, whatever its version.
fn blobs(home: &std::path::Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap());
    let blobs = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("blobs-");
    entries.into_iter().find(|entry| blobs(&entry.file_name())).unwrap().path()
}

#[test]
fn trouble_with_the_cache_is_told_once_a_run() {
    let place = Place::new();
    rows(&place);
    let memory = place.ok(&[&LOCALIZE[..], &["--set", "index.dir=none"]].concat()).stdout;
    place.write("file", "no directory\n");
    let ran = place.ok(&[&LOCALIZE[..], &["--set", "index.dir=file"]].concat());
    assert_eq!(ran.stdout, memory);
    // One for each repository.
    assert_eq!(ran.stderr.matches("stays in memory").count(), 2, "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.stderr);
    place.ok(&[&LOCALIZE[..], &["--set", "index.dir=cache"]].concat());
    let mut damaged = 0;
    for home in std::fs::read_dir(place.path("cache")).unwrap() {
        let home = home.unwrap().path();
        for entry in std::fs::read_dir(blobs(&home)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "term") {
                std::fs::write(&path, b"garbage").unwrap();
                damaged += 1;
            }
        }
    }
    assert!(damaged >= 2);
    let ran = place.ok(&[&LOCALIZE[..], &["--set", "index.dir=cache"]].concat());
    assert_eq!(ran.stdout, memory);
    assert_eq!(ran.stderr.matches("is made anew").count(), 2, "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.stderr);
    let ran = place.ok(&[&LOCALIZE[..], &["--set", "index.dir=cache"]].concat());
    assert_eq!((ran.stdout, ran.stderr.as_str()), (memory, ""));
}

#[test]
fn a_clone_that_lacks_objects_names_the_command_that_gets_them() {
    let place = Place::new();
    let repo = usual(&place);
    git(&repo, &["config", "uploadpack.allowFilter", "true"]);
    git(&repo, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    place.write("mine/large.py", &"large_value = 1\n".repeat(10_000));
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-q", "-m", "large"]);
    let full = query(&place, &["mine"]).0;
    let url = format!("file://{}", repo.display());
    let dir = place.dir();
    git(&dir, &["clone", "-q", "--bare", "--filter=blob:limit=100k", &url, "some"]);
    git(&dir, &["clone", "-q", "--bare", "--filter=blob:none", &url, "none"]);
    git(&dir, &["clone", "-q", "--bare", "--filter=tree:0", &url, "treeless"]);
    let (ranked, told) = query(&place, &["some"]);
    assert_eq!(ranked.len(), full.len());
    assert_eq!(told.lines().count(), 1, "{told}");
    let mut messages = vec![("some", told)];
    for clone in ["none", "treeless"] {
        let ran = place.agent(&["index", "query", clone, "--issue", "issue.md"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{}", ran.stderr);
        messages.push((clone, ran.stderr));
    }
    for (clone, message) in messages {
        let command = message.split('`').nth(1).unwrap();
        let words = command.split(' ').collect::<Vec<_>>();
        assert_eq!(words[0], "git", "{message}");
        git(&dir, &words[1..]);
        assert_eq!(query(&place, &[clone]), (full.clone(), String::new()), "{clone}");
    }
    git(&dir, &["clone", "-q", "--depth=1", &url, "shallow"]);
    let (_, told) = query(&place, &["shallow"]);
    assert!(told.contains("`git -C shallow fetch --unshallow` gets it"), "{told}");
}

#[test]
fn processes_at_work_on_one_index_all_succeed_and_rank_alike() {
    let place = Place::new();
    import(&place.path("mine"), many(1500));
    place.write("issue.md", "load_711 fails\n");
    let expected = query(&place, &["mine", "--set", "index.dir=none"]).0;
    for bound in ["index.max_mib=4096", "index.max_mib=0"] {
        let children = (0..6).map(|at| {
            let verb = if at % 3 == 0 { &["build"][..] } else { &["query", "--issue", "issue.md"] };
            let args = [&["index"], verb, &["mine", "--json", "--set", bound]].concat();
            let mut command = place.command(&args);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            (at, command.spawn().unwrap())
        });
        for (at, child) in children.collect::<Vec<_>>() {
            let ran = ran(child.wait_with_output().unwrap());
            assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{bound}");
            if at % 3 == 0 {
                let built: Value = serde_json::from_str(&ran.stdout).unwrap();
                assert_eq!(built["blobs"], 1500, "{built}");
            } else {
                assert_eq!(ranked(&ran), expected, "{bound}");
            }
        }
    }
    let kept = place.ok(&["index", "stats", "--json"]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap().as_array().unwrap().len(), 1);
}

#[test]
fn a_killed_process_leaves_what_the_next_one_can_use() {
    let place = Place::new();
    import(&place.path("mine"), many(2000));
    place.write("issue.md", "load_711 fails\n");
    let expected = query(&place, &["mine", "--set", "index.dir=none"]).0;
    for wait in [20, 150, 300, 500, 800, 1200] {
        let mut child = place.spawn(&["index", "build", "mine"]);
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(query(&place, &["mine"]), (expected.clone(), String::new()));
    assert_eq!(query(&place, &["mine"]), (expected, String::new()));
}

#[test]
fn what_is_kept_is_counted_bounded_and_cleared() {
    let place = Place::new();
    let repo = usual(&place);
    sample_repository(&place, SAMPLES[0], "other");
    let stats = || -> Vec<Value> {
        serde_json::from_str(&place.ok(&["index", "stats", "--json"]).stdout).unwrap()
    };
    assert_eq!(stats(), [] as [Value; 0]);
    let built = place.ok(&["index", "build", "mine", "--json"]).stdout;
    let built: Value = serde_json::from_str(&built).unwrap();
    let files = git(&repo, &["ls-files", "*.py"]).lines().count();
    assert_eq!(built["commit"], git(&repo, &["rev-parse", "HEAD"]).trim());
    assert_eq!((&built["files"], &built["commits"]), (&files.into(), &1.into()));
    for number in ["sources", "blobs", "documents", "segments"] {
        assert!(built[number].as_u64().is_some_and(|number| number > 0), "{number}: {built}");
    }
    assert!(built["seconds"].is_f64());
    let kept = stats();
    assert_eq!((kept.len(), &kept[0]["path"]), (1, &built["kept"]));
    assert!(kept[0]["bytes"].as_u64().unwrap() > 1000 && kept[0]["used"].as_u64().unwrap() > 0);
    let asked =
        place.ok(&["index", "query", "mine", "--issue", "issue.md", "--json", "--repeat=2"]);
    let asked: Value = serde_json::from_str(&asked.stdout).unwrap();
    assert_eq!(asked["commit"], built["commit"]);
    assert_eq!(asked["seconds"]["query"].as_array().unwrap().len(), 2);
    let first = &asked["ranked"][0];
    assert!(first["path"].is_string() && first["score"].is_f64() && first["reasons"].is_array());
    let built = place.ok(&["index", "build", "mine", "--json", "--set", "index.dir=none"]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&built).unwrap()["kept"], Value::Null);

    place.ok(&["index", "build", "other"]);
    assert_eq!(stats().len(), 2);
    let shown = place.ok(&["index", "stats"]).stdout;
    assert!(shown.contains("of 4096 MiB (index.max_mib)") && shown.lines().count() == 3, "{shown}");
    place.ok(&["index", "build", "mine", "--set", "index.max_mib=0"]);
    assert_eq!(stats().len(), 1);
    assert_eq!(stats()[0]["path"], kept[0]["path"]);
    let cleared = place.ok(&["index", "clear"]);
    assert_eq!(cleared.stderr, "removed 1 indexes\n");
    assert_eq!(stats(), [] as [Value; 0]);
}
