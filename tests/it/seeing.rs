//! A run as people and programs see it: on a terminal, from another one, as events; and the
//! descriptions of the command line.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Place, Ran, SAMPLES, copy_dir, docker, json, ran, rows};

const RUN: [&str; 6] = ["run", "sample", "-o", "r", "--sandbox", "local"];

/// What `agent` writes to a terminal of these sizes, one after the other.
fn on_terminal(place: &Place, sizes: &[&str], args: &[&str]) -> (Ran, Vec<u8>) {
    let helper = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/on_terminal.py");
    let agent = place.command(args);
    let mut command = Command::new("python3");
    command.arg(helper).arg("terminal.out").args(sizes).arg("--").arg(agent.get_program());
    command.args(args).current_dir(place.dir()).env_clear().env("TERM", "xterm-256color");
    command.envs(agent.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = ran(command.stdin(Stdio::null()).output().unwrap());
    (ran, std::fs::read(place.path("terminal.out")).unwrap())
}

/// The rows of a terminal after all this was written to it, those above its upper edge included.
fn shown(written: &[u8], rows: u16, columns: u16) -> Vec<String> {
    let mut parser = vt100::Parser::new(rows, columns, 1000);
    parser.process(written);
    let shown = parser.screen().rows(0, columns).map(|row| row.trim_end().to_owned());
    shown.filter(|row| !row.is_empty()).collect()
}

#[test]
fn a_run_on_a_terminal_keeps_one_table_below_what_it_tells() {
    let place = Place::new();
    let (ran, written) = on_terminal(&place, &["40x80"], &RUN);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let rows = shown(&written, 40, 80);
    let all = rows.join("\n");
    let table = rows.iter().position(|row| row.starts_with("instances ")).unwrap();
    assert_eq!(rows.iter().filter(|row| row.starts_with("instances ")).count(), 1, "{all}");
    assert!(rows[table].starts_with("instances   4 of 4  [####"), "{all}");
    for (offset, label) in
        ["at work", "ended", "tokens", "requests", "executions", "time"].iter().enumerate()
    {
        assert!(rows[table + 1 + offset].starts_with(label), "{all}");
    }
    assert!(rows[table + 2].contains("4 solved  0 no candidate  0 failed"), "{all}");
    for instance in SAMPLES {
        let told = rows[..table].iter().filter(|row| row.contains(&format!("solved  {instance}")));
        assert_eq!(told.count(), 1, "{all}");
    }
    // It was there while the work went on, in colours.
    let text = String::from_utf8_lossy(&written);
    assert!(text.contains("1 of 4") && text.contains("\x1b[32m"), "{text}");
    assert!(rows[table + 7..].iter().any(|row| row.starts_with("predictions: ")), "{all}");
}

#[test]
fn a_terminal_that_becomes_narrow_shows_less_and_breaks_no_line() {
    let place = Place::new();
    let args = [&RUN[..], &["--color", "never"]].concat();
    let (ran, written) = on_terminal(&place, &["30x100", "30x40"], &args);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let text = String::from_utf8(written.clone()).unwrap();
    let colour = regex::Regex::new(r"\x1b\[[0-9;]*m").unwrap();
    assert!(!colour.is_match(&text), "colours in {text}");
    let last = text.rfind("instances ").unwrap();
    for line in text[last..].lines().take(7) {
        let line = line.split('\x1b').next().unwrap();
        assert!(line.chars().count() < 40, "{line}");
    }
}

#[test]
fn a_quiet_run_writes_nothing_and_a_dumb_terminal_gets_lines() {
    let place = Place::new();
    let quiet = [&RUN[..], &["-q", "-i", SAMPLES[0], "-i", SAMPLES[1]]].concat();
    let (ran, written) = on_terminal(&place, &["30x80"], &quiet);
    assert_eq!((ran.code, String::from_utf8_lossy(&written).as_ref()), (Some(0), ""));
    let run = place.ok(&["run", "sample", "-o", "plain", "--sandbox", "local"]);
    assert!(!run.stderr.contains('\x1b') && !run.stderr.contains('\r'), "{}", run.stderr);
    assert!(run.stderr.contains("4 solved, 0 without a candidate"), "{}", run.stderr);
    assert!(run.stderr.contains("answers from journals"), "{}", run.stderr);
}

fn status(place: &Place) -> Value {
    serde_json::from_str(&place.ok(&["status", "r", "--json"]).stdout).unwrap()
}

#[test]
fn another_terminal_sees_a_run_at_work_killed_and_finished() {
    let place = Place::new();
    let mut child = place.spawn(&[&RUN[..], &["-j", "1"]].concat());
    let give_up = Instant::now() + Duration::from_secs(120);
    let seen = loop {
        assert!(Instant::now() < give_up, "the run never shows an instance at work");
        if place.path("r/run.json").exists() {
            let seen = status(&place);
            if seen["progress"]["counts"]["at_work"].as_object().is_some_and(|at| !at.is_empty()) {
                break seen;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(seen["at_work"], true);
    assert_eq!(seen["processes"][0]["pid"], child.id());
    assert_eq!(seen["instances"], 4);
    child.kill().unwrap();
    child.wait().unwrap();
    let seen = status(&place);
    assert_eq!((&seen["at_work"], &seen["processes"][0]["alive"]), (&false.into(), &false.into()));
    assert_eq!(seen["progress"]["under_way"], 0);
    let counts = &seen["progress"]["counts"];
    assert_eq!(counts["at_work"].as_object().unwrap().len(), 0, "{seen}");
    let text = place.ok(&["status", "r"]).stdout;
    assert!(text.contains("killed, had begun at"), "{text}");
    assert!(text.contains("process     none at work, last event"), "{text}");

    // Watched to its end, where nothing can be drawn.
    let mut child = place.spawn(&RUN);
    while place.path("r").read_dir().unwrap().count() == 0
        || !status(&place)["at_work"].as_bool().unwrap()
    {
        assert!(Instant::now() < give_up);
        if child.try_wait().unwrap().is_some() {
            break;
        }
    }
    let watched = place.ok(&["status", "r", "--watch"]).stdout;
    assert!(watched.contains("instances   4 of 4"), "{watched}");
    assert!(child.wait().unwrap().success());
    let seen = status(&place);
    assert_eq!((&seen["counts"]["solved"], &seen["processes"]), (&4.into(), &Value::Array(vec![])));
    assert_eq!(seen["progress"]["processes"], 2);
    assert!(seen["progress"]["executions"]["passed"].as_u64().unwrap() > 0, "{seen}");
    assert!(seen["progress"]["from_journal"].as_u64().unwrap() > 0, "{seen}");
}

#[test]
fn prices_give_a_cost_now_and_later_and_failures_stand_by_their_cause() {
    let place = Place::new();
    let one = [&RUN[..], &["-i", SAMPLES[0], "--set", "prices.prompt=2"]].concat();
    place.ok(&one);
    let record = json(&place.path("r/run.json"));
    assert_eq!(
        (&record["seed"], &record["version"]),
        (&0.into(), &env!("CARGO_PKG_VERSION").into())
    );
    let mut events = std::fs::read_to_string(place.path("r/events.jsonl")).unwrap();
    let id = SAMPLES[0];
    let added = format!(
        "{{\"schema\":1,\"at\":\"2099-01-01T00:00:00Z\",\"instance\":{id:?},\"event\":\"model_replied\",\
         \"call\":\"repair\",\"sample\":0,\"usage\":{{\"prompt_tokens\":3000000,\"cached_tokens\":1000000,\
         \"completion_tokens\":500000}},\"journaled\":false,\"seconds\":1.0}}\n"
    );
    events.push_str(&added);
    place.write("r/events.jsonl", &events);
    // Without a price of their own cached tokens are charged as the others.
    let seen = status(&place);
    assert_eq!(seen["progress"]["cost"], 6.0);
    let set = ["--set", "prices.cached=0.5", "--set", "prices.completion=10"];
    let text = place.ok(&[&["status", "r"][..], &set].concat()).stdout;
    assert!(text.contains("cost        9.50"), "{text}");
    let report = place.ok(&[&["report", "r", "--json"][..], &set].concat()).stdout;
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["cost"], 9.5);
    let page = std::fs::read_to_string(place.path("r/report.html")).unwrap();
    assert!(page.contains("cost 9.50"));

    let outcome = r#"{"status":"failed","stage":"repair","cause":"infra","message":"no endpoint"}"#;
    place.write(&format!("r/{id}/outcome.json"), outcome);
    let text = place.ok(&["status", "r"]).stdout;
    assert!(text.contains("1 failed (1 infra)"), "{text}");
    assert!(
        text.contains(&format!("failed (infra): 1\n  {id}: repair (infra): no endpoint")),
        "{text}"
    );
}

#[test]
fn events_on_standard_output_are_the_ones_that_the_readme_names() {
    let place = Place::new();
    let run = place.ok(&[&RUN[..], &["--json", "-i", SAMPLES[0]]].concat());
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let lines: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.first().unwrap()["event"], "notice");
    assert_eq!(lines.last().unwrap()["event"], "run_finished");
    for line in &lines {
        assert_eq!(line["schema"], 1);
        let row = format!("| `{}` |", line["event"].as_str().unwrap());
        let row = readme.lines().find(|text| text.starts_with(&row)).expect(&row);
        let fields = line.as_object().unwrap().keys();
        for field in fields.filter(|f| !["schema", "at", "instance", "event"].contains(&f.as_str()))
        {
            assert!(row.contains(&format!("`{field}`")), "{row} does not name {field}");
        }
    }
    assert_eq!(lines, rows(&place.path("r/events.jsonl")));
}

/// What bash offers for the last of these words.
fn completed(place: &Place, words: &[&str]) -> Vec<String> {
    let script = r#"
        source agent.bash
        complete -p agent | grep -q -- '-F _agent' || exit 1
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _agent agent "${!#}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", script, "bash"]).args(words).current_dir(place.dir());
    let output = ran(command.output().unwrap());
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{words:?}");
    output.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let place = Place::new();
    place.write("agent.bash", &place.ok(&["completions", "bash"]).stdout);
    assert_eq!(completed(&place, &["agent", "stat"]), ["status"]);
    assert_eq!(completed(&place, &["agent", "status", "--wa"]), ["--watch"]);
    assert_eq!(completed(&place, &["agent", "images", "bu"]), ["build"]);
    assert_eq!(completed(&place, &["agent", "run", "--color", "al"]), ["always"]);
    assert_eq!(completed(&place, &["agent", "completions", "z"]), ["zsh"]);
    let all = completed(&place, &["agent", ""]);
    assert!(all.contains(&"solve".to_owned()) && all.contains(&"man".to_owned()), "{all:?}");
    assert!(!all.contains(&"__reap".to_owned()), "{all:?}");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = place.ok(&["completions", shell]).stdout;
        assert!(script.contains("status") && !script.contains("__reap"), "{shell}");
        let path = place.write("script", &script);
        if ["zsh", "fish"].contains(&shell)
            && let Ok(output) = Command::new(shell).arg("-n").arg(path).output()
        {
            assert!(output.status.success(), "{shell}: {output:?}");
        }
    }
    assert_eq!(place.agent(&["completions", "tcsh"]).code, Some(2));
}

#[test]
fn every_command_has_a_manual_page_that_renders_without_warnings() {
    let place = Place::new();
    let written = place.ok(&["man", "-o", "man/man1"]).stdout;
    let names: Vec<&str> =
        written.lines().map(|line| line.strip_prefix("man/man1/").unwrap()).collect();
    for name in ["agent.1", "agent-run.1", "agent-status.1", "agent-images-build.1"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(names.iter().all(|name| !name.contains("reap")), "{names:?}");
    let page = place.ok(&["man"]).stdout;
    assert_eq!(page, std::fs::read_to_string(place.path("man/man1/agent.1")).unwrap());
    for line in written.lines() {
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Tutf8", "-ww", "-z"]).arg(place.path(line));
        if let Ok(output) = groff.output() {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{line}: {said}");
        }
    }
}

#[test]
fn a_changed_image_is_told_and_what_ran_in_the_old_one_is_made_anew() {
    if !docker() {
        return;
    }
    let place = Place::new();
    let id = SAMPLES[0];
    let args = ["run", "sample", "-o", "r", "--sandbox", "docker", "-i", id];
    place.ok(&args);
    let environment = json(&place.path(&format!("r/{id}/environment.json")));
    let image = &json(&place.path("r/run.json"))["images"][id];
    assert_eq!(image["image"], environment["image"]);
    assert!(image["digest"].as_str().unwrap().starts_with("sha256:"), "{image}");

    copy_dir(&place.path("r"), &place.path("old"));
    let mut other = environment.clone();
    other["image"] = "agent-tree:0000000000000000".into();
    place.write(&format!("old/{id}/environment.json"), &other.to_string());
    let told = place.agent(&["diff", "old", "r", "--exit-code"]);
    assert_eq!(told.code, Some(1));
    assert!(told.stdout.contains("images: 1 differ"), "{}", told.stdout);
    assert!(told.stdout.contains("agent-tree:0000000000000000 → agent-tree:"), "{}", told.stdout);

    // Killed before its tests had run in the old image.
    let path = format!("old/{id}/stages.json");
    let mut stages = json(&place.path(&path));
    stages.as_object_mut().unwrap().remove("execute");
    stages.as_object_mut().unwrap().remove("rerank");
    place.write(&path, &stages.to_string());
    let args = ["run", "sample", "-o", "old", "--sandbox", "docker", "-i", id];
    let again = place.ok(&args);
    assert!(
        again.stderr.contains("the image has changed since this instance was begun"),
        "{}",
        again.stderr
    );
    assert!(again.stderr.contains("made anew: reproduce"), "{}", again.stderr);
    let same = place.ok(&["diff", "old", "r", "--exit-code"]);
    assert!(same.stdout.contains("0 of 1 differ"), "{}", same.stdout);
    // With the image as it is now, a further process has nothing to say.
    let mut stages = json(&place.path(&path));
    stages.as_object_mut().unwrap().remove("execute");
    place.write(&path, &stages.to_string());
    let third = place.ok(&args);
    assert!(!third.stderr.contains("the image has changed"), "{}", third.stderr);
}
