//! `agent reward serve` over real HTTP: every trainer's shape, bad input, overload, hang-ups, and
//! an end that loses nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Place, git, rows, sample, sample_repository};

const INSTANCE: &str = "sample__ledgerly-1";

/// A server of the real binary; killed when dropped.
struct Served {
    place: Place,
    child: Child,
    address: String,
}

impl Served {
    fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let place = Place::new();
        let all = [&["reward", "serve", "--listen", "127.0.0.1:0"], args].concat();
        let mut command = place.command(&all);
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").expect("the first line is the URL");
        Self { address: address.to_owned(), place, child }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    fn post(&self, path: &str, body: &str) -> Reply {
        self.post_bytes(path, body.as_bytes())
    }

    fn post_bytes(&self, path: &str, body: &[u8]) -> Reply {
        let mut stream = self.connect();
        send(&mut stream, path, body);
        reply(&mut BufReader::new(stream))
    }

    /// Posts and expects status 200.
    fn ok(&self, path: &str, body: &Value) -> Value {
        let reply = self.post(path, &body.to_string());
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.body
    }

    fn get(&self, path: &str) -> Reply {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        reply(&mut BufReader::new(stream))
    }

    /// A number of `/metrics`.
    fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
    }

    fn terminate(&self) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    text: String,
    body: Value,
}

fn send(stream: &mut TcpStream, path: &str, body: &[u8]) {
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
}

fn reply(reader: &mut BufReader<TcpStream>) -> Reply {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "no reply; so far {head:?}");
        if line == "\r\n" {
            break;
        }
        head.push_str(&line.to_ascii_lowercase());
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let text = String::from_utf8(body).unwrap();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Reply { status, head, text, body }
}

fn edit(new: &str) -> String {
    format!(
        "<think>\nThe sign.\n</think>\n<solution>\n```python\n### m.py\n<<<<<<< SEARCH\n    \
         return a - 1\n=======\n    return {new}\n>>>>>>> REPLACE\n```\n</solution>"
    )
}

fn label() -> Value {
    json!({
        "code_context": {"m.py": "def f(a):\n    return a - 1\n"},
        "oracle_new_content": {"m.py": "def f(a):\n    return a + 1\n"},
    })
}

fn case(id: &str, new: &str) -> Value {
    let mut case = label();
    case["id"] = id.into();
    case["output"] = edit(new).into();
    case
}

/// A case that takes a worker about a second or more.
fn heavy() -> String {
    let mut seed = 7_u64;
    let mut text = || -> String {
        let mut letter = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + u8::try_from(seed >> 60).unwrap())
        };
        (0..600_000).map(|at| if at % 80 == 79 { '\n' } else { letter() }).collect()
    };
    let (one, two) = (text(), text());
    json!({"code_context": {}, "oracle_new_content": {"x": one}, "pred_new_content": {"x": two}})
        .to_string()
}

fn gold() -> String {
    std::fs::read_to_string(sample(INSTANCE, "gold.patch")).unwrap()
}

#[test]
fn the_server_and_the_command_give_the_same_scores() {
    let served = Served::start(&[]);
    let diff = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
    let cases = vec![
        case("exact", "a + 1"),
        case("near", "a * 1"),
        case("no-op", "a - 1"),
        json!({"id": 4, "code_context": {"x": "a\n"}, "oracle_new_content": {"x": "b\n"}, "pred_new_content": {"x": "bc\u{85}\0"}}),
        json!({"id": 5, "oracle_patches": [diff], "pred_patches": ["garbage", diff]}),
        json!({"id": 6, "oracle_patches": [diff], "output": "wrong kind"}),
    ];
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let file = served.place.write("cases.jsonl", &lines);
    let output = served.place.agent(&["reward", file.to_str().unwrap()]);
    let out = served.place.write("scores.jsonl", &output.stdout);
    let expected = rows(&out);
    assert_eq!(expected.len(), cases.len());
    assert_eq!(expected[0]["reward"], 1.0);

    let list = served.ok("/score", &json!(cases));
    let batch = served.ok("/score", &json!({"cases": cases}));
    assert_eq!(batch["results"].as_array().unwrap().len(), cases.len());
    for (index, case) in cases.iter().enumerate() {
        let single = served.post("/score", &case.to_string());
        assert_eq!(single.body["id"], case["id"]);
        if expected[index].get("reward").is_none() {
            // A malformed case fails alone, and says which field is meant.
            assert_eq!(single.status, 422);
            assert!(list[index]["error"].as_str().unwrap().contains("output"), "{list}");
            assert_eq!(list[index].get("reward"), None);
            continue;
        }
        for got in [&list[index], &batch["results"][index], &single.body] {
            assert_eq!(*got, expected[index]);
        }
    }
}

#[test]
fn every_trainer_is_answered_in_its_own_shape() {
    let served = Served::start(&["--dataset", "sample"]);
    let answers = [edit("a + 1"), edit("a * 1"), "no edit".to_owned()];
    let near = served.ok("/score", &case("near", "a * 1"))["reward"].clone();
    let (label, text) = (label(), label().to_string());

    let verl = json!({"data_source": "swe", "solution_str": answers[0], "ground_truth": text, "extra_info": null});
    assert_eq!(served.ok("/verl", &verl), json!({"score": 1.0, "acc": 1.0, "invalid": 0.0}));
    let verl = json!({"data_sources": ["a", "b", "c"], "solution_strs": answers,
        "ground_truths": [label, text, label], "extra_infos": [{}, null, {}]});
    let scores = served.ok("/verl", &verl);
    assert_eq!(
        [&scores[0]["score"], &scores[1]["score"], &scores[2]["score"]],
        [&json!(1.0), &near, &json!(-1.0)]
    );
    assert_eq!(scores[2]["invalid"], 1.0);

    let chat = json!([{"role": "assistant", "content": [{"type": "text", "text": answers[1]}]}]);
    let trl = json!({"prompts": ["p", "p", "p"], "completions": [answers[0], chat, answers[2]], "label": [text, label, label]});
    assert_eq!(served.ok("/trl", &trl)["rewards"], json!([1.0, near, -1.0]));

    let queries: Vec<_> =
        answers.iter().map(|a| format!("<|user|>mend <think>{a}<|im_end|>")).collect();
    let openrlhf =
        json!({"query": queries, "prompts": vec!["mend <think>"; 3], "labels": [text, text, text]});
    let got = served.ok("/openrlhf", &openrlhf);
    assert_eq!(
        (&got["rewards"], &got["scores"]),
        (&json!([1.0, near, -1.0]), &json!([1.0, near, 0.0]))
    );
    assert_eq!(got["extra_logs"]["invalid"], json!([0.0, 0.0, 1.0]));

    let slime = json!({"prompt": "p", "response": answers[1], "label": text});
    assert_eq!(served.ok("/slime", &slime), near);

    let row = json!({"responses_create_params": {"input": [], "metadata": {"instance_id": INSTANCE}}, "extra": 7,
        "response": {"output": [{"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "no edit"}]}]}});
    for path in ["/nemo/verify", "/verify"] {
        let got = served.ok(path, &row);
        assert_eq!(
            (&got["reward"], &got["mask_sample"], &got["extra"]),
            (&json!(-1.0), &json!(false), &json!(7))
        );
        assert!(got["failure_kind"].is_null() && got["responses_create_params"].is_object());
    }
    assert_eq!(served.post("/seed_session", "{}").status, 200);
}

#[test]
fn an_instance_id_stands_for_its_reference() {
    let served = Served::start(&["--dataset", "sample"]);
    // The whole of each changed file as one edit is the gold patch in SWE-RL's format.
    let repo = sample_repository(&served.place, INSTANCE, "mine");
    let patch = served.place.write("gold.diff", &gold());
    let names = git(&repo, &["apply", "--numstat", patch.to_str().unwrap()]);
    let path = names.split_whitespace().nth(2).unwrap().to_owned();
    let before = std::fs::read_to_string(repo.join(&path)).unwrap();
    git(&repo, &["apply", patch.to_str().unwrap()]);
    let after = std::fs::read_to_string(repo.join(&path)).unwrap();
    let answer = format!(
        "<think>\nx\n</think>\n<solution>\n```python\n### {path}\n<<<<<<< SEARCH\n{before}=======\n\
         {after}>>>>>>> REPLACE\n```\n</solution>"
    );
    let slime = |path: &str, answer: &str| {
        served.ok(path, &json!({"prompt": "", "response": answer, "label": INSTANCE}))
    };
    assert_eq!(slime("/slime", &answer), 1.0);
    assert_eq!(slime("/slime", "nothing"), -1.0);
    // The same edits, and the diff itself, pass the hidden tests; equal effect is one run.
    let tests = ["/slime?kind=tests", "/score"];
    let local = Served::start(&["--dataset", "sample", "--sandbox", "local"]);
    let judge = |answer: &str| {
        let case = json!({"instance_id": INSTANCE, "output": answer, "kind": "tests"});
        local.ok(tests[1], &case)
    };
    let first = judge(&answer);
    assert_eq!((&first["reward"], &first["cached"]), (&json!(1.0), &json!(false)), "{first}");
    let again = judge(&format!("```diff\n{}```", gold()));
    assert_eq!((&again["reward"], &again["cached"]), (&json!(1.0), &json!(true)), "{again}");
    assert_eq!(local.metric("agent_reward_cache_misses_total"), 1.0);
}

#[test]
fn a_rollout_group_runs_equal_patches_once_and_failures_cost() {
    let served = Served::start(&["--dataset", "sample", "--sandbox", "local", "--kind", "tests"]);
    let gold_patch = gold();
    let wrong = gold_patch.lines().map(|line| {
        if line.starts_with('+') && !line.starts_with("+++") {
            "+raise SystemExit(1)\n".to_owned()
        } else {
            format!("{line}\n")
        }
    });
    let wrong: String = wrong.collect();
    let answers = [
        gold(),
        gold(),
        wrong,
        "prose".to_owned(),
        gold(),
        "--- a/no\n+++ b/no\n@@ -1 +1 @@\n-a\n+b\n".to_owned(),
    ];
    let trl = json!({"completions": answers, "instance_id": vec![INSTANCE; answers.len()]});
    let got = served.ok("/trl", &trl);
    assert_eq!(got["rewards"], json!([1.0, 1.0, 0.0, 0.0, 1.0, 0.0]), "{got}");
    assert!(got["errors"][3].as_str().unwrap().contains("neither edits nor a diff"));
    assert!(got["errors"][5].as_str().unwrap().contains("does not apply"));
    assert_eq!(served.metric("agent_reward_cache_hits_total"), 2.0);
    assert_eq!(served.metric("agent_reward_cache_misses_total"), 3.0);
}

#[test]
fn infra_failures_are_masked_and_never_scored() {
    let served = Served::start_with(
        &["--dataset", "sample", "--sandbox", "docker"],
        &[("DOCKER_HOST", "unix:///nowhere/docker.sock")],
    );
    let native =
        served.ok("/score?kind=tests", &json!({"instance_id": INSTANCE, "output": gold()}));
    assert_eq!(
        (&native["reward"], &native["mask_sample"]),
        (&Value::Null, &json!(true)),
        "{native}"
    );
    assert_eq!(native["failure_kind"], "infra");
    assert!(
        native["failure_reason"].as_str().unwrap().contains("/nowhere/docker.sock"),
        "{native}"
    );
    let trl = json!({"completions": [gold(), "prose"], "instance_id": [INSTANCE, INSTANCE]});
    let trl = served.ok("/trl?kind=tests", &trl);
    assert_eq!(
        (&trl["rewards"], &trl["failures"][0]["kind"]),
        (&json!([null, 0.0]), &json!("infra"))
    );
    let nemo = json!({"instance_id": INSTANCE, "response": {"output": [{"type": "message", "content": gold()}]}});
    let nemo = served.ok("/verify?kind=tests", &nemo);
    assert_eq!(
        (&nemo["mask_sample"], &nemo["failure_kind"]),
        (&json!(true), &json!("provider_unavailable"))
    );
    // Where the shape has no place for a mask, the request fails and may be sent again.
    let slime = json!({"prompt": "", "response": gold(), "label": INSTANCE});
    let openrlhf =
        json!({"query": [format!("p{}", gold())], "prompts": ["p"], "labels": [INSTANCE]});
    let verl = json!({"solution_str": gold(), "ground_truth": INSTANCE});
    for (path, body) in [("/slime", slime), ("/openrlhf", openrlhf), ("/verl", verl)] {
        let reply = served.post(&format!("{path}?kind=tests"), &body.to_string());
        assert_eq!(reply.status, 503, "{path}: {}", reply.body);
        assert!(reply.head.contains("retry-after: "), "{}", reply.head);
        assert_eq!(
            (&reply.body["code"], &reply.body["mask_sample"]),
            (&json!("infra"), &json!(true))
        );
    }
}

#[test]
fn bad_input_is_named_by_its_field() {
    let served = Served::start(&["--dataset", "sample"]);
    let deep = "[".repeat(200_000);
    let nested = format!("{{\"output\": {}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let good = case("good", "a + 1");
    let surrogate = good.to_string().replace("a + 1", "a + \\ud800 1");
    for (path, body, status, expected) in [
        ("/score", "", 400, "the body is empty"),
        ("/score", "{\"id\": 1", 400, "line 1 column 8"),
        ("/score", deep.as_str(), 400, "EOF"),
        ("/score", "7", 422, "the body is a number, expected a case or a list"),
        ("/score", "{}", 422, "missing field"),
        ("/score", nested.as_str(), 422, "output"),
        ("/score", r#"{"cases": 3}"#, 422, "cases: is a number, expected a list"),
        ("/score", r#"{"id": [], "output": "x"}"#, 422, "id: expected text or a number"),
        ("/score", r#"{"output": "x", "kind": "vibes"}"#, 422, "kind: is \"vibes\""),
        (
            "/score",
            r#"{"output": "x", "label": "sample__ledgerly-9"}"#,
            422,
            "did you mean sample__ledgerly-1?",
        ),
        ("/verl", r#"{"ground_truth": "x"}"#, 422, "solution_str: is missing"),
        (
            "/verl",
            r#"{"solution_str": "x", "ground_truth": {"oracle_new_content": {"m": 7}}}"#,
            422,
            "ground_truth.oracle_new_content.?: invalid type: integer",
        ),
        (
            "/verl",
            r#"{"solution_strs": ["x", 7], "ground_truths": ["a__b-1", "a__b-1"]}"#,
            422,
            "solution_strs[1]: invalid type",
        ),
        (
            "/verl",
            r#"{"solution_strs": ["x"], "ground_truths": []}"#,
            422,
            "ground_truths: has 0 entries, expected 1",
        ),
        ("/trl", r#"{"completions": ["x"]}"#, 422, "label: is missing"),
        (
            "/trl",
            r#"{"completions": [7], "label": ["a__b-1"]}"#,
            422,
            "completions[0]: is a number",
        ),
        ("/openrlhf", r#"{"query": ["x"]}"#, 422, "labels: is missing"),
        (
            "/openrlhf",
            r#"{"query": ["x"], "prompts": ["y"], "labels": ["a__b-1"]}"#,
            422,
            "query[0]: does not hold its entry of `prompts`",
        ),
        ("/slime", r#"{"response": "x"}"#, 422, "label: is missing"),
        ("/verify", r#"{"response": {"output": [7]}}"#, 422, "response.output[0]: is a number"),
        ("/score?kinds=tests", "{}", 422, "?kinds: is not known"),
        ("/score?kind=%ff", "{}", 422, "?kind"),
        ("/scores", "{}", 404, "POST to /score"),
    ] {
        let reply = served.post(path, body);
        let error = reply.body["error"].as_str().unwrap_or_default();
        assert_eq!(reply.status, status, "{path}: {error}");
        assert!(error.contains(expected), "{path} said {error:?}, not {expected:?}");
    }
    assert_eq!(served.post_bytes("/score", b"\"\xff\"").status, 400);
    assert_eq!(served.get("/score").status, 405);

    // Half a surrogate pair is one character, as in Python.
    let odd = served.post("/score", &surrogate);
    assert_eq!(odd.status, 200, "{}", odd.body);
    assert!(odd.body["reward"].as_f64().unwrap() > 0.0);

    assert_eq!(served.ok("/score", &good)["reward"], 1.0);
}

#[test]
fn bodies_beyond_the_limit_are_refused_and_harm_nobody() {
    let served = Served::start(&["--max-body", "1M"]);
    // A body beyond the limit: announced, and in chunks that announce nothing.
    let large = format!("[\"{}\"]", "x".repeat(20 << 20));
    let reply = served.post("/score", &large);
    assert_eq!((reply.status, &reply.body["code"]), (413, &json!("too_large")));
    let mut stream = served.connect();
    write!(stream, "POST /score HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    for _ in 0..40 {
        write!(stream, "10000\r\n{}\r\n", "x".repeat(65536)).unwrap();
    }
    write!(stream, "0\r\n\r\n").unwrap();
    assert_eq!(reply_of(stream).status, 413);
    let mut stream = served.connect();
    write!(
        stream,
        "POST /score HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{{}}"
    )
    .unwrap();
    assert_eq!(reply_of(stream).status, 415);
    let mut stream = served.connect();
    stream.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());

    // Nobody else noticed.
    assert_eq!(served.ok("/score", &case("good", "a + 1"))["reward"], 1.0);
    assert_eq!(served.get("/health").body["status"], "ok");
}

fn reply_of(stream: TcpStream) -> Reply {
    reply(&mut BufReader::new(stream))
}

#[test]
fn slow_clients_are_sent_away() {
    let served = Served::start(&["--read-timeout", "1"]);
    let mut head = served.connect();
    head.write_all(b"POST /score HTT").unwrap();
    let mut body = served.connect();
    body.write_all(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{").unwrap();
    let started = Instant::now();
    assert_eq!(reply_of(body).status, 408);
    let _ = head.read_to_end(&mut Vec::new());
    assert!(started.elapsed() < Duration::from_secs(20), "the half head was kept");
}

#[test]
fn one_connection_serves_many_requests() {
    let served = Served::start(&[]);
    let mut reader = BufReader::new(served.connect());
    for new in ["a + 1", "a * 1", "a + 1"] {
        let body = case("x", new).to_string();
        send(reader.get_mut(), "/score", body.as_bytes());
        assert_eq!(reply(&mut reader).body["id"], "x");
    }
    assert_eq!(served.metric("agent_reward_connections"), 2.0);
}

#[test]
fn thousands_of_connections_are_served() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let files = hard.min(20_000);
    setrlimit(Resource::RLIMIT_NOFILE, files, hard).unwrap();
    let count = usize::try_from(files).unwrap().saturating_sub(500).min(3000);
    let served = Served::start(&[]);
    let body = case("x", "a + 1").to_string();
    // All are open, and all have asked, before the first reads.
    let mut open: Vec<TcpStream> = (0..count).map(|_| served.connect()).collect();
    for stream in &mut open {
        send(stream, "/score", body.as_bytes());
    }
    for stream in open {
        let reply = reply_of(stream);
        assert_eq!((reply.status, &reply.body["reward"]), (200, &json!(1.0)));
    }
}

#[test]
fn overload_is_refused_and_what_was_accepted_is_answered() {
    let served = Served::start(&["--queue", "4", "--workers", "1", "--deadline", "300"]);
    let body = heavy();
    let replies: Vec<Reply> = thread::scope(|scope| {
        let asks: Vec<_> = (0..16).map(|_| scope.spawn(|| served.post("/score", &body))).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    let of = |status| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!(of(200) + of(429), 16);
    assert!(of(200) >= 4 && of(429) >= 1, "{} accepted, {} refused", of(200), of(429));
    for reply in &replies {
        match reply.status {
            200 => assert!(reply.body["reward"].as_f64().unwrap() > 0.0, "{}", reply.body),
            _ => assert!(reply.head.contains("retry-after: 1"), "{}", reply.head),
        }
    }
    assert_eq!(served.metric("agent_reward_rejected_total"), of(429) as f64);
    let many = json!(vec![case("x", "a + 1"); 5]);
    assert_eq!(served.post("/score", &many.to_string()).status, 413, "it could never be admitted");
}

#[test]
fn late_items_are_masked() {
    let served = Served::start(&["--deadline", "0.02", "--workers", "1"]);
    let late = served.post("/score", &heavy());
    assert_eq!((late.status, &late.body["reward"]), (200, &Value::Null), "{}", late.body);
    assert_eq!(
        (&late.body["failure_kind"], &late.body["mask_sample"]),
        (&json!("deadline"), &json!(true))
    );
    assert_eq!(served.metric("agent_reward_deadlines_total"), 1.0);
}

#[test]
fn hang_ups_free_the_queue() {
    let served = Served::start(&["--queue", "3", "--workers", "1", "--deadline", "300"]);
    let body = heavy();
    let mut open: Vec<TcpStream> = (0..3).map(|_| served.connect()).collect();
    for stream in &mut open {
        send(stream, "/score", body.as_bytes());
    }
    let wait = |wanted: u64| {
        let end = Instant::now() + Duration::from_secs(20);
        while served.get("/health").body["queue_items"] != wanted {
            assert!(Instant::now() < end, "{}", served.get("/health").body);
            thread::sleep(Duration::from_millis(10));
        }
    };
    wait(3);
    for stream in open {
        stream.shutdown(Shutdown::Both).unwrap();
    }
    wait(0);
    assert_eq!(served.ok("/score", &case("x", "a + 1"))["reward"], 1.0);
}

#[test]
fn the_end_waits_for_what_was_accepted() {
    let mut served = Served::start(&["--workers", "1", "--deadline", "300"]);
    let body = heavy();
    let mut open: Vec<TcpStream> = (0..3).map(|_| served.connect()).collect();
    for stream in &mut open {
        send(stream, "/score", body.as_bytes());
    }
    let _idle = served.connect();
    let end = Instant::now() + Duration::from_secs(20);
    while served.get("/health").body["queue_items"] != 3 {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(5));
    }
    served.terminate();
    for stream in open {
        let reply = reply_of(stream);
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(reply.body["reward"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(&served.address).is_err());
}

#[test]
fn the_shims_work() {
    let script =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation/trainers/test_shims.py");
    if !Command::new("python3").arg("--version").output().is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: no python3");
        return;
    }
    let served = Served::start(&["--dataset", "sample"]);
    let output = Command::new("python3")
        .args(["-B", script.to_str().unwrap()])
        .env("AGENT_REWARD_URL", format!("http://{}", served.address))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_cannot_start_says_why() {
    let place = Place::new();
    for (args, code, expected) in [
        (vec!["--listen", "nonsense"], 2, "HOST:PORT"),
        (vec!["--kind", "tests"], 2, "--dataset"),
        (vec!["--kind", "vibes"], 2, "similarity or tests"),
        (vec!["--max-body", "7X"], 2, "64M"),
        (vec!["--queue", "0"], 2, "from 1"),
        (vec!["--dataset", "nowhere.jsonl"], 2, "nowhere.jsonl"),
        (vec!["--listen", "192.0.2.1:80"], 3, "cannot listen on 192.0.2.1:80"),
    ] {
        let ran = place.agent(&[&["reward", "serve"], &args[..]].concat());
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}
