//! The stage against real repositories and a model that answers from a list.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::artifact::{InstanceId, Usage};
use crate::budget::{Budget, Exhausted};
use crate::event::{Event, EventKind, Events};
use crate::llm::{Completion, ModelClient, NoAnswer};
use crate::repo::testing::TestRepo;
use crate::sandbox::{Environment, EnvironmentSpec, Limits, Sandbox, SandboxError, Session};
use crate::stage::localize::{PlacesFrom, Vary};

type Replies = Vec<Result<Result<&'static str, NoAnswer>, ModelError>>;

/// Answers each call with the next list and keeps what it was asked.
struct Scripted {
    replies: Mutex<VecDeque<Replies>>,
    asked: Mutex<Vec<ModelRequest>>,
}

#[async_trait]
impl ModelClient for Scripted {
    async fn complete(&self, request: &ModelRequest) -> Vec<Result<Completion, ModelError>> {
        self.asked.lock().unwrap().push(request.clone());
        let replies = self.replies.lock().unwrap().pop_front().expect("no more calls expected");
        let samples = request.samples.clone().zip(replies);
        let completion = |(sample, reply): (u32, Result<Result<&str, _>, _>)| {
            let answer = reply?.map(str::to_owned);
            let usage = Usage::default();
            let written = answer.clone().unwrap_or_default();
            Ok(Completion { sample, answer, written, truncated: false, usage, journaled: false })
        };
        samples.map(completion).collect()
    }

    fn model(&self) -> &str {
        "scripted"
    }
}

/// This stage runs nothing.
struct NoSandbox;

#[async_trait]
impl Sandbox for NoSandbox {
    fn name(&self) -> &'static str {
        "none"
    }
    async fn prepare(&self, _: &EnvironmentSpec) -> Result<Environment, SandboxError> {
        unreachable!("localize prepares no sandbox")
    }
    async fn start(&self, _: &Environment, _: &Limits) -> Result<Box<dyn Session>, SandboxError> {
        unreachable!("localize starts no session")
    }
    async fn sweep(&self) {}
}

struct Scene {
    tools: Tools,
    model: Arc<Scripted>,
    events: mpsc::UnboundedReceiver<Event>,
    config: LocalizeConfig,
    instance: Instance,
    checkout: Arc<Checkout>,
    _repo: TestRepo,
}

fn scene(files: &[(&str, &str)], issue: &str, replies: Vec<Replies>) -> Scene {
    let repo = TestRepo::new();
    for (path, text) in files {
        repo.write(path, text.as_bytes());
    }
    let base = repo.commit("base");
    repo.write("pkg/answer.py", b"SECRET = 'the fix'\n");
    repo.write("pkg/url.py", b"def SECRET(): pass\n");
    repo.commit("SECRET fix of quoting");
    let checkout = Arc::new(Checkout::open(repo.path(), &base).unwrap());
    let model =
        Arc::new(Scripted { replies: Mutex::new(replies.into()), asked: Mutex::new(Vec::new()) });
    let (sender, events) = Events::channel();
    let tools = Tools {
        model: Arc::clone(&model) as Arc<dyn ModelClient>,
        sandbox: Arc::new(NoSandbox),
        index: Arc::new(crate::index::IndexCache::in_memory()),
        embeddings: None,
        sessions: Arc::new(crate::tools::Sessions::new(std::num::NonZeroUsize::MIN)),
        events: sender,
        cancel: CancellationToken::new(),
        budget: Arc::new(Budget::unlimited()),
        age: 0,
    };
    let config = LocalizeConfig {
        localizer: Localizer::Fused,
        samples: 2,
        temperature: 0.8,
        max_tokens: 500,
        max_files: 3,
        vary: Vary::None,
        tree_tokens: 1000,
        hide_tests: true,
        places: PlacesFrom::Retrieval,
        outline_tokens: 2000,
        history_commits: 100,
        without: Vec::new(),
        scorer: crate::retrieval::Scorer::default(),
        seed: Some(7),
        embeddings_url: String::new(),
        embeddings_model: String::new(),
        embeddings_files: LocalizeConfig::EMBEDDINGS_FILES,
        embeddings_weight: LocalizeConfig::EMBEDDINGS_WEIGHT,
    };
    let instance = Instance {
        id: InstanceId::new("o__n-1").unwrap(),
        repo: "o/n".into(),
        base_commit: base,
        problem_statement: issue.into(),
        image: None,
        test_command: None,
        install: None,
    };
    Scene { tools, model, events, config, instance, checkout, _repo: repo }
}

impl Scene {
    async fn run(&self) -> Result<Localization, StageError> {
        let prompts = Prompts::load(None, false).unwrap();
        localize(&self.tools, &self.config, &prompts, &self.instance, &self.checkout).await
    }

    fn prompts(&self) -> Vec<String> {
        let asked = self.model.asked.lock().unwrap();
        asked.iter().map(|request| request.messages[0].content.clone()).collect()
    }

    fn notices(&mut self) -> String {
        let mut notices = String::new();
        while let Ok(event) = self.events.try_recv() {
            if let EventKind::Notice { message } = event.kind {
                notices.push_str(&message);
                notices.push('\n');
            }
        }
        notices
    }
}

const FILES: &[(&str, &str)] = &[
    ("pkg/__init__.py", ""),
    ("pkg/url.py", "def quote_url(text):\n    \"\"\"Percent-encode.\"\"\"\n    return text\n"),
    ("pkg/cookies.py", "class CookieJar:\n    pass\n"),
    ("pkg/models.py", "from pkg.url import quote_url\n\nclass Request:\n    pass\n"),
    ("tests/test_url.py", "from pkg.url import quote_url\n"),
    ("README.md", "read me\n"),
];

const ISSUE: &str = "quote_url does not encode blanks\r\n\r\n`quote_url('a b')` gives `a b`.\r\n";

fn paths(localization: &Localization) -> Vec<&str> {
    localization.ranked.iter().map(|file| file.path.as_str()).collect()
}

#[tokio::test]
async fn the_model_sees_the_base_tree_and_its_answers_are_fused_with_retrieval() {
    let replies = vec![vec![
        Ok(Ok("Here:\n```\n- ./pkg/models.py\nurl.py\npkg/models.py\nnothing.py\n```")),
        Ok(Err(NoAnswer::Empty)),
    ]];
    let mut scene = scene(FILES, ISSUE, replies);
    let localization = scene.run().await.unwrap();
    let request = scene.model.asked.lock().unwrap()[0].clone();
    assert_eq!(request.call, Call::Localize);
    assert_eq!((request.samples, request.max_tokens, request.seed), (0..2, 500, Some(7)));
    let tree = "--- BEGIN REPOSITORY ---\npkg/\n    __init__.py\n    cookies.py\n    models.py\n    \
        url.py\n... 1 more file\n--- END REPOSITORY ---";
    let prompt = &scene.prompts()[0];
    assert!(prompt.contains(tree), "{prompt}");
    assert!(prompt.contains("quote_url does not encode blanks\n\n`quote_url"), "{prompt}");
    assert!(prompt.contains("at most 3 files"), "{prompt}");
    assert_eq!(localization.samples, [vec!["pkg/models.py", "pkg/url.py"], vec![]]);
    assert_eq!(paths(&localization)[..2], ["pkg/url.py", "pkg/models.py"]);
    let reasons = &localization.ranked[0].reasons;
    assert_eq!(reasons[0], "named by 1 of 1 answers, best place 2 (unique suffix)");
    assert_eq!(reasons[1], "retrieval rank 1");
    assert!(reasons.iter().any(|reason| reason == "defines quote_url"), "{reasons:?}");
    assert!(scene.notices().contains("sample 1 has no answer"));
    // A later commit holds the answer; nothing of it may show anywhere.
    assert!(!format!("{localization:?}{prompt}").contains("SECRET"));
    assert!(!prompt.contains("answer.py"));
}

#[tokio::test]
async fn without_samples_no_model_is_asked_and_tests_come_last() {
    for (localizer, samples) in [(Localizer::Retrieval, 4), (Localizer::Fused, 0)] {
        let mut scene = scene(FILES, ISSUE, Vec::new());
        scene.config.localizer = localizer;
        scene.config.samples = samples;
        let localization = scene.run().await.unwrap();
        assert_eq!(localization.samples, [] as [Vec<String>; 0]);
        assert_eq!(localization.ranked.len(), 5);
        assert_eq!(paths(&localization)[0], "pkg/url.py");
        assert_eq!(paths(&localization)[4], "tests/test_url.py");
        assert_eq!(scene.prompts().len(), 0);
    }
}

#[tokio::test]
async fn model_and_mini_rank_by_answers_alone() {
    let answer =
        || vec![Ok(Ok("```\npkg/cookies.py\n```")), Ok(Ok("```\nsrc/pkg/cookies.py\n```"))];
    for localizer in [Localizer::Model, Localizer::Mini] {
        // Mini asks for each sample by a prompt of its own.
        let replies = match localizer {
            Localizer::Mini => answer().into_iter().map(|one| vec![one]).collect(),
            _ => vec![answer()],
        };
        let mut scene = scene(FILES, ISSUE, replies);
        scene.config.localizer = localizer;
        let localization = scene.run().await.unwrap();
        assert_eq!(paths(&localization), ["pkg/cookies.py"]);
        assert!(!scene.prompts()[0].contains("test_url.py"));
    }
}

#[tokio::test]
async fn prompts_vary_by_seed_and_sample_alone() {
    let asked = async |vary: Vary, seed: u64, samples: u32| {
        let replies = (0..samples).map(|_| vec![Ok(Ok("```\npkg/url.py\n```"))]).collect();
        let mut scene = scene(FILES, ISSUE, replies);
        (scene.config.vary, scene.config.samples) = (vary, samples);
        (scene.config.seed, scene.config.max_files) = (Some(seed), 5);
        let localization = scene.run().await.unwrap();
        assert_eq!(localization.samples.len(), samples as usize);
        let asked = scene.model.asked.lock().unwrap();
        let numbers = asked.iter().flat_map(|request| request.samples.clone());
        assert!(numbers.eq(0..samples));
        drop(asked);
        scene.prompts()
    };
    let distinct = |prompts: &[String]| prompts.iter().collect::<BTreeSet<_>>().len();
    let counted = asked(Vary::Count, 7, 12).await;
    assert!((2..=4).contains(&distinct(&counted)), "{}", distinct(&counted));
    let prefix = counted[0].split("Give at most").next().unwrap();
    assert!(prefix.contains("cookies.py"));
    assert!(counted.iter().all(|prompt| prompt.starts_with(prefix)));
    let drawn = asked(Vary::Tree, 7, 12).await;
    assert!(distinct(&drawn) >= 8, "{}", distinct(&drawn));
    for indent in ["\n  url.py", "\n    url.py"] {
        assert!(drawn.iter().any(|prompt| prompt.contains(indent)), "{indent:?}");
    }
    for prompt in &drawn {
        let named = FILES[..4].iter().filter(|(path, _)| prompt.contains(&path["pkg/".len()..]));
        assert_eq!(named.count(), 4);
    }
    assert_eq!(asked(Vary::Tree, 7, 12).await, drawn);
    assert_ne!(asked(Vary::Tree, 8, 12).await, drawn);
    let single = asked(Vary::Tree, 7, 1).await;
    assert_eq!(single, asked(Vary::None, 7, 1).await);
}

#[tokio::test]
async fn an_overflow_shortens_tree_and_issue_and_asks_again() {
    let overflow = || {
        let error = || ModelError::ContextOverflow { limit: None, detail: "too long".into() };
        vec![Err(error()), Err(error())]
    };
    let many = (0..400).map(|n| (format!("pkg/part{}/file_{n}.py", n % 9), "x = 1\n"));
    let many = many.collect::<Vec<_>>();
    let mut files = many.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>();
    files.extend(FILES);
    let issue = format!("{ISSUE}{}", "noise and more noise é\n".repeat(20_000));
    let good = || vec![Ok(Ok("```\npkg/url.py\n```")), Ok(Ok("pkg/url.py"))];
    let mut scene = scene(&files, &issue, vec![overflow(), overflow(), good()]);
    scene.config.tree_tokens = 100_000;
    let localization = scene.run().await.unwrap();
    assert_eq!(paths(&localization)[0], "pkg/url.py");
    let lengths = scene.prompts().iter().map(String::len).collect::<Vec<_>>();
    assert_eq!(lengths.len(), 3);
    assert!(lengths[1] * 10 < lengths[0] * 7 && lengths[2] * 10 < lengths[1] * 7, "{lengths:?}");
    // What retrieval finds plausible survives the cut.
    assert!(
        scene.prompts()[2].contains("        url.py") || scene.prompts()[2].contains("    url.py")
    );
    assert!(scene.prompts()[2].contains(" more files"));
    let notices = scene.notices();
    assert!(notices.contains("longer than the model's context"), "{notices}");
    assert!(notices.contains("characters of the issue are left out"), "{notices}");

    let refused = (0..=SHORTENINGS).map(|_| overflow()).collect();
    let scene = self::scene(FILES, ISSUE, refused);
    let error = scene.run().await.unwrap_err();
    assert!(matches!(error, StageError::Model(ModelError::ContextOverflow { .. })), "{error}");
}

#[tokio::test]
async fn one_failed_sample_is_lost_alone_and_lasting_failures_end_the_stage() {
    let refused = || ModelError::Refused { url: "u".into(), status: 500, detail: "d".into() };
    let good = || Ok(Ok("```\npkg/url.py\n```"));
    let some = scene(FILES, ISSUE, vec![vec![Err(refused()), good()]]);
    assert_eq!(some.run().await.unwrap().samples, [vec![], vec!["pkg/url.py".to_owned()]]);
    let none = scene(FILES, ISSUE, vec![vec![Err(refused()), Err(refused())]]);
    assert!(matches!(none.run().await, Err(StageError::Model(ModelError::Refused { .. }))));
    let budget = scene(
        FILES,
        ISSUE,
        vec![vec![good(), Err(ModelError::Budget(Exhausted::Requests { limit: 1 }))]],
    );
    assert!(matches!(budget.run().await, Err(StageError::Model(ModelError::Budget(_)))));
    let cancelled = scene(FILES, ISSUE, Vec::new());
    cancelled.tools.cancel.cancel();
    assert!(cancelled.run().await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn odd_repositories_and_issues_are_localized() {
    let reply = || vec![vec![Ok(Ok("```\nsrc/lexer.rs\n```")), Ok(Ok(""))]];
    let rust = scene(
        &[("src/lexer.rs", "fn next_token() {}\n"), ("src/main.rs", "fn main() {}\n")],
        "next_token panics",
        reply(),
    );
    assert_eq!(paths(&rust.run().await.unwrap()), ["src/lexer.rs", "src/main.rs"]);
    let one = scene(&[("a.py", "x = 1\n")], "", vec![vec![Ok(Ok("a.py")), Ok(Ok("b.py"))]]);
    assert_eq!(paths(&one.run().await.unwrap()), ["a.py"]);
    let text = scene(&[("notes.txt", "x\n")], "notes", vec![vec![Ok(Ok("notes.txt")), Ok(Ok(""))]]);
    assert_eq!(paths(&text.run().await.unwrap()), ["notes.txt"]);
    let mut empty = scene(&[], "anything", Vec::new());
    assert_eq!(empty.run().await.unwrap(), Localization::default());
    assert!(empty.notices().contains("no file that could be named"));
}

#[tokio::test]
async fn places_come_from_retrieval_and_from_answers_about_outlines() {
    let files = |answer: &'static str| vec![Ok(Ok("```\npkg/url.py\n```")), Ok(Ok(answer))];
    let mut plain = scene(FILES, ISSUE, vec![files("pkg/models.py")]);
    let ranked = plain.run().await.unwrap().ranked;
    assert_eq!(ranked[0].places[0].name, "quote_url");
    assert_eq!(ranked[0].places[0].lines, [1, 3]);
    assert!(ranked[0].places[0].reasons[0].contains("names quote_url"), "{:?}", ranked[0].places);
    assert_eq!(plain.prompts().len(), 1);
    plain.config.places = PlacesFrom::None;
    plain.model.replies.lock().unwrap().push_back(files("pkg/models.py"));
    assert!(plain.run().await.unwrap().ranked.iter().all(|file| file.places.is_empty()));

    let places = vec![
        Ok(Ok("```\nfile: pkg/models.py\nclass: Request\n```")),
        Ok(Ok("pkg/models.py::Request\npkg/url.py\n- function: `quote_url`")),
    ];
    let mut scene = scene(FILES, ISSUE, vec![files("pkg/models.py"), places]);
    scene.config.places = PlacesFrom::Model;
    let ranked = scene.run().await.unwrap().ranked;
    let asked = scene.model.asked.lock().unwrap()[1].clone();
    assert_eq!((asked.call, asked.samples), (Call::Localize, 1000..1002));
    let outline = "### pkg/url.py (3 lines)\ndef quote_url(text):  # lines 1-3\n    \
        \"\"\"Percent-encode.\"\"\"";
    assert!(asked.messages[0].content.contains(outline), "{}", asked.messages[0].content);
    let of = |path: &str| ranked.iter().find(|file| file.path == path).unwrap().places.clone();
    let places = of("pkg/models.py");
    let request = places.iter().find(|place| place.name == "Request").unwrap();
    assert_eq!(request.lines, [3, 4]);
    assert!(request.reasons[0].contains("2 of 2 answers") && request.score >= 0.7, "{request:?}");
    // One of two answers names it, on top of retrieval.
    assert!(of("pkg/url.py")[0].score > 0.35, "{:?}", of("pkg/url.py"));
}

#[tokio::test]
async fn a_ranking_that_is_handed_in_is_taken_as_it_is() {
    let scene = scene(FILES, ISSUE, Vec::new());
    let listed = |path: &str| RankedFile {
        path: path.into(),
        score: 1.0,
        reasons: vec!["given: oracle, rank 1".into()],
        places: Vec::new(),
    };
    let ranked = vec![listed("pkg/url.py"), listed("pkg/answer.py"), listed("README.md")];
    let handed = Localization { ranked, samples: Vec::new() };
    let prompts = Prompts::load(None, false).unwrap();
    let mut config = LocalizeConfig { localizer: Localizer::Oracle, ..scene.config.clone() };
    let (tools, instance, checkout) = (&scene.tools, &scene.instance, &scene.checkout);
    let taken = given(tools, &config, &prompts, instance, checkout, &handed).await.unwrap();
    // The base commit has no answer.py.
    assert_eq!(paths(&taken), ["pkg/url.py", "README.md"]);
    assert_eq!(taken.ranked[0].reasons, ["given: oracle, rank 1"]);
    assert_eq!(taken.ranked[0].places[0].name, "quote_url");
    config.samples = 0;
    let alone = localize(tools, &config, &prompts, instance, checkout).await;
    assert!(matches!(alone, Err(StageError::NotGiven)));
}
