//! That a ranking is the same whatever is kept, damaged, or done by others at the same time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::artifact::RankedFile;
use crate::event::{EventKind, Events};
use crate::index::{IndexCache, Opened};
use crate::repo::Checkout;
use crate::repo::testing::{TestRepo, git};
use crate::retrieval::RankOptions;

const PLENTY: u64 = 1 << 40;

const ISSUE: &str = "Crash in parse_header of the widget\n\nThe widget loader fails in `load_widget` \
                     while the header is parsed, see #1234.\n";

fn checkout(path: &Path, rev: &str) -> Arc<Checkout> {
    Arc::new(Checkout::open(path, rev).unwrap())
}

/// What is opened, and what the user is told.
fn open(cache: &IndexCache, path: &Path, rev: &str) -> (Opened, Vec<String>) {
    let (events, mut receiver) = Events::channel();
    let opened = cache.open(checkout(path, rev), 1000, &events).unwrap();
    let mut told = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        if let EventKind::Notice { message } = event.kind {
            told.push(message);
        }
    }
    (opened, told)
}

fn rank(cache: &IndexCache, path: &Path, rev: &str) -> (Vec<RankedFile>, Vec<String>) {
    let (opened, told) = open(cache, path, rev);
    (opened.rank(ISSUE, &RankOptions::default(), 100), told)
}

/// The ranking when nothing is kept and nothing was known before.
fn alone(path: &Path, rev: &str) -> Vec<RankedFile> {
    rank(&IndexCache::in_memory(), path, rev).0
}

fn paths(ranked: &[RankedFile]) -> Vec<&str> {
    ranked.iter().map(|file| file.path.as_str()).collect()
}

/// Everything that a ranking looks at, and the commits to rank: a line of work, a branch beside it,
/// merges in both directions, and moves.
fn repository() -> (TestRepo, Vec<String>) {
    let repo = TestRepo::new();
    let module = |name: &str, body: &str| {
        let text = format!("\"\"\"About {name}.\"\"\"\nfrom app.testing import helper\n\n\n{body}");
        repo.write(&format!("app/{name}.py"), text.as_bytes());
    };
    let mut commits = Vec::new();
    module("header", "def parse_header(text):\n    raise ValueError('no header in text')\n");
    module("widget", "class Widget:\n    def load_widget(self):\n        return parse_header(1)\n");
    module("other", "def unrelated():\n    return 'widget'\n");
    repo.write("app/testing/helper.py", b"def header_for_tests():\n    return 'header'\n");
    repo.write("tests/test_header.py", b"def test_parse_header():\n    parse_header('')\n");
    commits.push(repo.commit_at("Add header and widget", "2020-01-01T00:00:00Z"));
    module("header", "def parse_header(text):\n    return text.split('header')\n");
    commits.push(repo.commit_at("Fixed #1234 -- header loader widget", "2020-02-01T00:00:00Z"));
    repo.git(&["checkout", "-q", "-b", "side", "HEAD~1"]);
    module("widget", "class Widget:\n    def load_widget(self, loader):\n        pass\n");
    commits.push(repo.commit_at("widget loader parsed a header twice", "2020-03-01T00:00:00Z"));
    repo.git(&["mv", "app/other.py", "app/loader.py"]);
    commits.push(repo.commit_at("Crash of the loader fixed", "2019-03-01T00:00:00Z"));
    repo.git(&["checkout", "-q", "main"]);
    module("reader", "def read_header(widget):\n    return widget\n");
    commits.push(repo.commit_at("Read the header of a crash", "2020-04-01T00:00:00Z"));
    repo.git(&["merge", "-q", "--no-ff", "-m", "Merge side", "side"]);
    repo.git(&["checkout", "-q", "side"]);
    repo.git(&["merge", "-q", "--no-ff", "-m", "Merge main", "main~1"]);
    for branch in ["main", "side"] {
        commits.push(repo.git(&["rev-parse", branch]).trim().to_owned());
    }
    repo.git(&["checkout", "-q", "main"]);
    (repo, commits)
}

#[test]
fn a_ranking_does_not_depend_on_what_is_kept() {
    let (repo, commits) = repository();
    let expected = commits.iter().map(|commit| alone(repo.path(), commit)).collect::<Vec<_>>();
    assert!(expected.iter().all(|ranked| ranked.len() >= 4), "{expected:?}");
    let here = |cache: &IndexCache, at: usize| {
        let (ranked, told) = rank(cache, repo.path(), &commits[at]);
        assert_eq!(ranked, expected[at], "commit {at}");
        assert_eq!(told, [] as [&str; 0]);
    };
    let all = (0..commits.len()).collect::<Vec<_>>();
    let backwards = all.iter().rev().copied().collect::<Vec<_>>();
    for order in [all, backwards, vec![3, 0, 6, 1, 5, 2, 4]] {
        let dir = tempfile::tempdir().unwrap();
        let memory = IndexCache::in_memory();
        for at in &order {
            // Opened anew each time, as by processes one after the other.
            here(&IndexCache::at(dir.path().to_owned(), PLENTY), *at);
            here(&memory, *at);
        }
        let warm = IndexCache::at(dir.path().to_owned(), PLENTY);
        for at in &order {
            here(&warm, *at);
        }
    }
    let at_once = IndexCache::in_memory();
    let checkouts = commits.iter().map(|commit| checkout(repo.path(), commit)).collect::<Vec<_>>();
    let borrowed = checkouts.iter().map(|checkout| &**checkout).collect::<Vec<_>>();
    let events = Events::discard();
    at_once.of(&checkouts[0], &events).prepare(&borrowed, 1000, &events).unwrap();
    for at in 0..commits.len() {
        here(&at_once, at);
    }
}

#[test]
fn later_commits_and_other_branches_have_no_influence() {
    let (repo, commits) = repository();
    let base = &commits[1];
    let before = alone(repo.path(), base);
    let dir = tempfile::tempdir().unwrap();
    for (at, name) in ["main", "side", "main"].iter().enumerate() {
        repo.git(&["checkout", "-q", name]);
        for round in 0..5 {
            let text = format!("def load_widget_{at}_{round}():\n    parse_header('{round}')\n");
            repo.write("app/other_widget.py", text.as_bytes());
            // Dates before the base and far after it.
            let date = format!("20{}-01-01T00:00:00Z", [10, 30][round % 2]);
            let later = repo.commit_at("Fixed #1234 parse_header crash of widget", &date);
            rank(&IndexCache::at(dir.path().to_owned(), PLENTY), repo.path(), &later);
        }
    }
    repo.git(&["tag", "answer"]);
    assert_eq!(alone(repo.path(), base), before);
    let warm = IndexCache::at(dir.path().to_owned(), PLENTY);
    assert_eq!(rank(&warm, repo.path(), base).0, before);
}

#[test]
fn commits_of_a_rewritten_branch_are_forgotten() {
    let (repo, commits) = repository();
    let dir = tempfile::tempdir().unwrap();
    let cache = || IndexCache::at(dir.path().to_owned(), PLENTY);
    repo.git(&["checkout", "-q", "-B", "work", &commits[1]]);
    repo.write("app/gone.py", b"def parse_header_of_widget():\n    pass\n");
    repo.commit("Fixed #1234 -- crash in parse_header of the widget");
    let gone = rank(&cache(), repo.path(), "HEAD").0;
    assert!(paths(&gone).contains(&"app/gone.py"));
    repo.git(&["reset", "-q", "--hard", &commits[1]]);
    repo.write("app/kept.py", b"kept = 1\n");
    let base = repo.commit("Something else");
    repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    repo.git(&["gc", "-q", "--prune=now"]);
    let (opened, told) = open(&cache(), repo.path(), &base);
    assert_eq!(told, [] as [&str; 0]);
    assert_eq!(opened.commits(), 3);
    let ranked = opened.rank(ISSUE, &RankOptions::default(), 100);
    assert_eq!(ranked, alone(repo.path(), &base));
    assert!(!paths(&ranked).contains(&"app/gone.py"));
}

/// Files below a directory, relative to it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = PathBuf::from(entry.file_name());
        if entry.path().is_dir() {
            files.extend(self::files(&entry.path()).into_iter().map(|below| name.join(below)));
        } else {
            files.push(name);
        }
    }
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        std::fs::create_dir_all(to.join(&file).parent().unwrap()).unwrap();
        std::fs::copy(from.join(&file), to.join(&file)).unwrap();
    }
}

#[test]
fn damage_is_told_once_and_changes_nothing() {
    let (repo, commits) = repository();
    let whole = tempfile::tempdir().unwrap();
    // Two segments, and commits beyond those of the base.
    for commit in [&commits[6], &commits[4]] {
        rank(&IndexCache::at(whole.path().to_owned(), PLENTY), repo.path(), commit);
    }
    let base = &commits[5];
    let expected = alone(repo.path(), base);
    let all = files(whole.path());
    assert!(all.len() > 10, "{all:?}");
    let damages = ["truncated", "shortened", "emptied", "overwritten", "changed", "removed"];
    std::thread::scope(|scope| {
        for damage in damages {
            let (all, whole, path, expected) = (&all, whole.path(), repo.path(), &expected);
            scope.spawn(move || {
                for file in all {
                    damaged(whole, file, damage, path, base, expected);
                }
            });
        }
    });
}

/// Ranks twice from a copy of a cache of which one file is damaged.
fn damaged(
    whole: &Path,
    file: &Path,
    damage: &str,
    repo: &Path,
    base: &str,
    expected: &[RankedFile],
) {
    let dir = tempfile::tempdir().unwrap();
    copy(whole, dir.path());
    let place = dir.path().join(file);
    let bytes = std::fs::read(&place).unwrap();
    match damage {
        "truncated" => std::fs::write(&place, &bytes[..bytes.len() / 2]).unwrap(),
        "shortened" => std::fs::write(&place, &bytes[..bytes.len().min(5)]).unwrap(),
        "emptied" => std::fs::write(&place, b"").unwrap(),
        "overwritten" => std::fs::write(&place, vec![0xa5; bytes.len().max(64)]).unwrap(),
        "changed" => {
            let mut bytes = bytes;
            bytes.first_mut().into_iter().for_each(|byte| *byte ^= 1);
            std::fs::write(&place, bytes).unwrap();
        }
        _ => std::fs::remove_file(&place).unwrap(),
    }
    let cache = || IndexCache::at(dir.path().to_owned(), PLENTY);
    let (ranked, told) = rank(&cache(), repo, base);
    let case = format!("{} {damage}: {told:?}", file.display());
    assert_eq!(ranked, expected, "{case}");
    let name = file.file_name().unwrap().to_str().unwrap();
    let needed = !(name == "used" || name.ends_with("lock"));
    let silent = !needed || (name.starts_with("history") && damage == "removed");
    assert_eq!(told.len(), usize::from(!silent), "{case}");
    // It is mended by then.
    let (ranked, told) = rank(&cache(), repo, base);
    assert_eq!(ranked, expected, "{case}");
    assert_eq!(told, [] as [&str; 0], "{case}");
}

#[test]
fn what_cannot_be_written_stays_in_memory_and_is_told_once() {
    let (repo, commits) = repository();
    let expected = alone(repo.path(), &commits[5]);
    let warm = tempfile::tempdir().unwrap();
    let (opened, _) =
        open(&IndexCache::at(warm.path().to_owned(), PLENTY), repo.path(), &commits[0]);
    let home = opened.home().unwrap();
    let in_home = |name: &str| {
        let dir = tempfile::tempdir().unwrap();
        copy(warm.path(), dir.path());
        let place = dir.path().join(home.file_name().unwrap()).join(name);
        (dir, place)
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let (lock_dir, lock) = in_home("lock");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    for place in [file.path(), &file.path().join("below"), lock_dir.path()] {
        let cache = IndexCache::at(place.to_owned(), PLENTY);
        let mut told = Vec::new();
        for commit in [&commits[5], &commits[3], &commits[5]] {
            let (opened, more) = open(&cache, repo.path(), commit);
            told.extend(more);
            assert_eq!(opened.home(), None, "{}", place.display());
            let ranked = opened.rank(ISSUE, &RankOptions::default(), 100);
            assert_eq!(ranked, alone(repo.path(), commit));
        }
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("stays in memory"), "{told:?}");
    }
    let (history_dir, history) = in_home("x");
    let history = files(history.parent().unwrap())
        .into_iter()
        .find(|file| file.to_str().unwrap().starts_with("history"))
        .map(|name| history.with_file_name(name))
        .unwrap();
    std::fs::remove_file(&history).unwrap();
    std::fs::create_dir_all(history.join("a")).unwrap();
    let cache = IndexCache::at(history_dir.path().to_owned(), PLENTY);
    let (ranked, told) = rank(&cache, repo.path(), &commits[5]);
    assert_eq!((ranked, told.len()), (expected, 1), "{told:?}");
    assert_eq!(rank(&cache, repo.path(), &commits[6]).1, [] as [&str; 0]);
}

#[test]
fn what_was_used_longest_ago_goes_first_and_the_present_one_never() {
    let dir = tempfile::tempdir().unwrap();
    let cache = |largest| IndexCache::at(dir.path().to_owned(), largest);
    let repositories = [0; 4].map(|_| repository());
    let mut homes = Vec::new();
    for (at, (repo, commits)) in repositories.iter().take(3).enumerate() {
        let home = open(&cache(PLENTY), repo.path(), &commits[5]).0.home().unwrap();
        let used = SystemTime::now() - Duration::from_secs(1000 - 10 * at as u64);
        std::fs::File::open(home.join("used")).unwrap().set_modified(used).unwrap();
        homes.push(home);
    }
    let total = |cache: &IndexCache| cache.kept().iter().map(|kept| kept.bytes).sum::<u64>();
    let largest = total(&cache(PLENTY)) + 100;
    // The first is used again, so that the second is the one used longest ago.
    rank(&cache(largest), repositories[0].0.path(), &repositories[0].1[5]);
    let (repo, commits) = &repositories[3];
    let last = open(&cache(largest), repo.path(), &commits[5]).0.home().unwrap();
    let kept = |cache: &IndexCache| {
        let kept = cache.kept().into_iter().map(|kept| kept.path);
        kept.collect::<std::collections::BTreeSet<_>>()
    };
    let expected = [&homes[0], &homes[2], &last].map(Clone::clone);
    assert_eq!(kept(&cache(PLENTY)), expected.into());
    assert!(total(&cache(PLENTY)) <= largest);
    // No room even for one: it stays all the same, alone.
    let (opened, told) = open(&cache(1), repo.path(), &commits[6]);
    assert_eq!(told, [] as [&str; 0]);
    assert_eq!(opened.rank(ISSUE, &RankOptions::default(), 100), alone(repo.path(), &commits[6]));
    assert_eq!(kept(&cache(PLENTY)), [last].into());
    assert_eq!(cache(PLENTY).clear().unwrap(), 1);
    assert_eq!(cache(PLENTY).kept(), []);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_older_versions_index_goes_when_the_bound_is_reached() {
    let (repo, commits) = repository();
    let dir = tempfile::tempdir().unwrap();
    let cache = |largest| IndexCache::at(dir.path().to_owned(), largest);
    let home = open(&cache(PLENTY), repo.path(), &commits[0]).0.home().unwrap();
    std::fs::create_dir(home.join("blobs-0")).unwrap();
    std::fs::write(home.join("blobs-0/old"), vec![0; 1 << 20]).unwrap();
    assert_eq!(rank(&cache(1 << 20), repo.path(), &commits[5]).0, alone(repo.path(), &commits[5]));
    assert!(!home.join("blobs-0").exists());
}

#[test]
fn threads_rank_alike_on_one_index_even_when_it_is_emptied_each_time() {
    let (repo, commits) = repository();
    let expected = commits.iter().map(|commit| alone(repo.path(), commit)).collect::<Vec<_>>();
    let dir = tempfile::tempdir().unwrap();
    for largest in [PLENTY, 1] {
        let shared = IndexCache::at(dir.path().to_owned(), largest);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (shared, commits, expected, repo) = (&shared, &commits, &expected, &repo);
                let own = IndexCache::at(dir.path().to_owned(), largest);
                scope.spawn(move || {
                    for round in 0..8 {
                        let at = (round * 3 + thread) % commits.len();
                        let cache = if thread < 3 { shared } else { &own };
                        let ranked = rank(cache, repo.path(), &commits[at]).0;
                        assert_eq!(ranked, expected[at], "thread {thread}, commit {at}");
                    }
                });
            }
        });
    }
}

#[test]
fn a_home_removed_by_others_is_made_again() {
    let (repo, commits) = repository();
    let dir = tempfile::tempdir().unwrap();
    let cache = IndexCache::at(dir.path().to_owned(), PLENTY);
    let home = open(&cache, repo.path(), &commits[0]).0.home().unwrap();
    assert_eq!(IndexCache::at(dir.path().to_owned(), PLENTY).clear().unwrap(), 1);
    let (ranked, told) = rank(&cache, repo.path(), &commits[5]);
    assert_eq!((ranked, told), (alone(repo.path(), &commits[5]), Vec::new()));
    let kept = IndexCache::at(dir.path().to_owned(), PLENTY).kept();
    assert_eq!(kept.into_iter().map(|kept| kept.path).collect::<Vec<_>>(), [home]);
}

fn clone(from: &Path, to: &Path, options: &[&str]) {
    let url = format!("file://{}", from.display());
    let _ = std::fs::remove_dir_all(to);
    let name = to.to_str().unwrap();
    git(from, &[&["clone", "-q"], options, &[url.as_str(), name]].concat());
}

/// Runs the command that a notice names in backquotes.
fn mend(told: &[String]) {
    let command = told.iter().find_map(|notice| notice.split('`').nth(1)).unwrap();
    let words = command.split(' ').collect::<Vec<_>>();
    assert_eq!(words[0], "git");
    git(Path::new("/"), &words[1..]);
}

#[test]
fn a_shallow_clone_knows_what_it_holds_whatever_was_known_before() {
    let (repo, commits) = repository();
    repo.git(&["checkout", "-q", "main"]);
    let base = &commits[5];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clone");
    let cache = || IndexCache::at(dir.path().join("cache"), PLENTY);
    for depth in [1, 2, 3] {
        clone(repo.path(), &path, &[]);
        let full = rank(&cache(), &path, base).0;
        clone(repo.path(), &path, &[&format!("--depth={depth}")]);
        let (ranked, told) = rank(&cache(), &path, base);
        assert_eq!(ranked, alone(&path, base), "depth {depth}");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("fetch --unshallow"), "{told:?}");
        mend(&told);
        let (ranked, told) = rank(&cache(), &path, base);
        assert_eq!((ranked, told), (full, Vec::new()), "depth {depth}");
    }
}

#[test]
fn a_history_that_lacks_something_is_not_kept() {
    let (repo, commits) = repository();
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clone");
    clone(repo.path(), &path, &["--filter=tree:0"]);
    let cache = IndexCache::at(dir.path().join("cache"), PLENTY);
    let (_, told) = rank(&cache, &path, &commits[5]);
    assert_eq!(told.len(), 1, "{told:?}");
    // A second commit, of which nothing is missing, does not bring the first to the disk.
    git(&path, &["checkout", "-q", "--orphan", "alone"]);
    git(&path, &["commit", "-q", "-m", "root"]);
    let (_, more) = rank(&cache, &path, "HEAD");
    assert_eq!(more, [] as [&str; 0]);
    mend(&told);
    let cache = IndexCache::at(dir.path().join("cache"), PLENTY);
    let (ranked, told) = rank(&cache, &path, &commits[5]);
    assert_eq!((ranked, told), (alone(repo.path(), &commits[5]), Vec::new()));
}

#[test]
fn what_a_partial_clone_lacks_is_ranked_by_its_path_and_the_way_out_is_named() {
    let (repo, _) = repository();
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let text = format!("def parse_header_widget():\n    pass\n{}", "# filler\n".repeat(1000));
    repo.write("app/large_header.py", text.as_bytes());
    let base = repo.commit("Add a large file");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clone");
    let cache = || IndexCache::at(dir.path().join("cache"), PLENTY);
    clone(repo.path(), &path, &[]);
    let full = rank(&cache(), &path, &base).0;
    clone(repo.path(), &path, &["--bare", "--filter=blob:limit=2k"]);
    let (ranked, told) = rank(&cache(), &path, &base);
    assert_eq!(ranked, alone(&path, &base));
    let place = |ranked: &[RankedFile]| paths(ranked).iter().position(|p| p.contains("large"));
    assert!(place(&ranked) > place(&full) && place(&ranked).is_some(), "{ranked:?}");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("the content of 1 files is not in this clone"), "{told:?}");
    mend(&told);
    assert_eq!(rank(&cache(), &path, &base), (full, Vec::new()));
}

#[test]
fn repositories_of_every_shape_are_ranked() {
    let repo = TestRepo::new();
    let message = Checkout::open(repo.path(), "HEAD").unwrap_err().to_string();
    assert!(message.contains("has no commit yet") && message.contains("commit the files first"));
    let dir = tempfile::tempdir().unwrap();
    let here = |rev: &str| {
        let told = rank(&IndexCache::at(dir.path().to_owned(), PLENTY), repo.path(), rev);
        assert_eq!(told.0, alone(repo.path(), rev));
        told
    };
    let (ranked, told) = here(&repo.commit("nothing"));
    assert_eq!((ranked.len(), told.len()), (0, 1), "{told:?}");

    repo.write("notes.txt", b"parse_header\n");
    assert_eq!(paths(&here(&repo.commit("no source")).0), ["notes.txt"]);
    repo.write("one.py", b"x = 1\n");
    assert_eq!(paths(&here(&repo.commit("one source")).0), ["one.py"]);

    repo.write("binary.py", &[0, 159, 146, 150].repeat(1000));
    repo.write("latin.py", b"# caf\xe9\ndef parse_header():\n    pass\n");
    repo.write("bom.py", b"\xef\xbb\xbfdef load_widget():\n    pass\n");
    repo.write("big.py", &b"parse_header = load_widget\n".repeat(400_000));
    repo.write("crlf.py", b"def widget():\r\n    pass\r\n");
    std::os::unix::fs::symlink("latin.py", repo.path().join("link.py")).unwrap();
    let base = repo.commit("odd files");
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{base},vendor/lib.py")]);
    repo.git(&["commit", "-q", "-m", "submodule"]);
    let (ranked, told) = here("HEAD");
    let found = paths(&ranked);
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(found[..2].contains(&"latin.py") && found[..2].contains(&"bom.py"), "{found:?}");
    assert_eq!(told, ["1 files above 8 MiB are ranked by path alone"]);
}

#[test]
fn a_rename_of_case_alone_keeps_what_is_known_of_the_file() {
    let repo = TestRepo::new();
    repo.write("Thing.py", b"a = 1\n");
    repo.write("aaa.py", b"a = 1\n");
    repo.commit("base");
    repo.write("Thing.py", b"a = 2\n");
    repo.commit("Fixed #1234 -- crash in parse_header of the widget");
    repo.git(&["mv", "-f", "Thing.py", "thing.py"]);
    let base = repo.commit("lower case");
    let (ranked, _) = rank(&IndexCache::in_memory(), repo.path(), &base);
    assert_eq!(paths(&ranked), ["thing.py", "aaa.py"]);
    assert!(ranked[0].reasons.iter().any(|reason| reason.contains("commit")), "{ranked:?}");
}
