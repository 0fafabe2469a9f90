//! Images with a planted leak each: it is found, removed, and cannot be found from inside any more.

use std::time::Duration;

use futures_util::StreamExt;

use super::*;
use crate::artifact::EnvironmentRecord;
use crate::event::{EventKind, Events};
use crate::sandbox::docker::{ContainerSpec, Engine, trial};
use crate::sandbox::{
    Environment, EnvironmentSpec, ExecRequest, PullPolicy, Sandbox, SandboxConfig, Session,
};

/// A repository with a base commit, a commit `FUTURE` after it that nothing names, and the
/// set-up commit of SWE-bench's images on top of the base. `$future` is that commit.
const BEGIN: &str = r#"set -e
git init -q -b main .; git config user.name a; git config user.email a@b
mkdir -p trialpkg; echo 'ANSWER = 41' >trialpkg/__init__.py; echo 'name = "trial-pkg"' >setup.cfg
git add .; git commit -qm first; echo 1 >f; git add f; git commit -qm base; git tag v1
echo 'ANSWER = "FUTURE-SECRET"' >trialpkg/__init__.py; git commit -qam FUTURE-SECRET
future=$(git rev-parse HEAD)
git reset -q --hard HEAD~1; git commit -q --allow-empty -m SWE-bench
bare() { rm -rf .git/logs .git/ORIG_HEAD .git/FETCH_HEAD; }
site=$(/opt/miniconda3/envs/testbed/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"#;

/// What a search from inside may not find, in files of the repository, installed packages and the
/// usual places, plain or as git objects.
const SEARCH: &str = r#"
git cat-file --batch-all-objects --batch-check='%(objectname) %(objecttype)' | while read -r id type; do
    git cat-file "$type" "$id" | grep -qa FUTURE-SECRET && echo "object $type $id"
done
git fsck --lost-found --no-progress 2>&1 | grep -v '^notice'
git log --all --reflog --format=%s | grep FUTURE
git stash list; git worktree list | tail -n +2; git remote
git for-each-ref --format='%(refname)' | grep -vxE 'refs/heads/main|refs/tags/v1'
ls .git | grep -E '_HEAD$|logs|worktrees'
grep -rla FUTURE-SECRET / --include='*.py' --include='*.whl' --include='*.bundle' --include='*.patch' \
    --exclude-dir=proc --exclude-dir=sys 2>/dev/null
find / -xdev -type d -name objects ! -path '/testbed/*' -exec git -C {}/.. log --all --format=%s \; 2>/dev/null | grep FUTURE
find / -xdev -name '*.bundle' -o -xdev -path '/root/.cache/pip' -o -xdev -name 'trial*.whl'
true
"#;

/// `(name, planted by, kind that the record must name)`.
const PLANTED: &[(&str, &str, &str)] = &[
    ("tag", "bare; git tag v2 $future", "refs"),
    ("annotated-tag", "bare; git tag -a -m FUTURE-SECRET v2 $future", "refs"),
    ("branch", "bare; git branch later $future", "refs"),
    (
        "remote",
        "bare; git update-ref refs/remotes/origin/main $future; git remote add origin https://x.invalid/y",
        "remotes",
    ),
    ("reflog", ":", "reflogs"),
    ("stash", "echo FUTURE-SECRET >>f; git stash -q; rm -rf .git/ORIG_HEAD", "refs"),
    ("fetch-head", "bare; git rev-parse $future >.git/FETCH_HEAD", "left_files"),
    ("worktree", "bare; git worktree add -q /srv/w $future; rm -rf /srv/w .git/ORIG_HEAD", "left_files"),
    ("loose", "bare", "objects"),
    (
        "packed",
        "bare; git tag v2 $future; git repack -adq; git tag -d v2 >/dev/null; git pack-refs --all; bare",
        "objects",
    ),
    (
        "kept-pack",
        "bare; git tag v2 $future; git repack -adq; git tag -d v2 >/dev/null
         for p in .git/objects/pack/*.pack; do touch ${p%.pack}.keep ${p%.pack}.promisor; done; bare",
        "objects",
    ),
    (
        "blob",
        "bare; git prune --expire=now; echo FUTURE-SECRET | git hash-object -w --stdin >/dev/null",
        "objects",
    ),
    (
        "alternates",
        "git clone -q --bare . /srv/other.git; git -C /srv/other.git fetch -q /testbed $future
         rm -f /srv/other.git/FETCH_HEAD
         find .git/objects -type f -delete; echo /srv/other.git/objects >.git/objects/info/alternates; bare",
        "alternates",
    ),
    (
        "clone",
        "git clone -q . /srv/clone; git -C /srv/clone fetch -q /testbed $future:later; bare; git prune --expire=now",
        "repository",
    ),
    (
        "bundle",
        "git tag v2 $future; git bundle create -q .git/all.bundle v2; git tag -d v2 >/dev/null
         git format-patch -q -1 --stdout $future >.git/fix.patch; bare; git prune --expire=now",
        "left_files",
    ),
    (
        "installed",
        "bare; git prune --expire=now; mkdir -p /opt/miniconda3/lib/python3.11/site-packages/trialpkg
         echo 'ANSWER = \"FUTURE-SECRET\"' >/opt/miniconda3/lib/python3.11/site-packages/trialpkg/__init__.py",
        "installed",
    ),
    (
        "wheel",
        "bare; git prune --expire=now; mkdir -p /root/.cache/pip /srv
         echo FUTURE-SECRET >/srv/trial_pkg-2.0-py3-none-any.whl; echo x >/root/.cache/pip/x",
        "archives",
    ),
];

async fn image(engine: &Engine, name: &str, planted: &str) -> String {
    let reference = format!("agent-trial:leak-{name}-{}", std::process::id());
    let container = trial::container(engine).await;
    let script = format!("{BEGIN}\n{planted}");
    let output = container.exec(&ExecSpec::script(&script)).await.unwrap();
    assert!(output.success(), "{name}: {}", output.text());
    engine.commit(&container, &reference, &[]).await.unwrap();
    container.remove().await;
    reference
}

async fn sandbox(engine: &Engine, leaks: LeakPolicy, events: Events) -> DockerSandbox {
    let config = SandboxConfig { pull: PullPolicy::Never, leaks, ..SandboxConfig::default() };
    DockerSandbox::new(engine.clone().for_run("leaks"), config, events).await.unwrap()
}

fn spec(image: &str) -> EnvironmentSpec {
    EnvironmentSpec { image: Some(image.to_owned()), ..trial::spec("leak", None) }
}

async fn said(session: &dyn Session, script: &str) -> String {
    let request = ExecRequest { script: script.to_owned(), timeout: Duration::from_secs(120) };
    session.exec(&request).await.unwrap().text().into_owned()
}

async fn searched(sandbox: &DockerSandbox, environment: &Environment) -> String {
    let session = sandbox.start(environment, &trial::limits()).await.unwrap();
    let found = said(&*session, SEARCH).await;
    let sound = "git fsck --strict --no-progress >/dev/null && git status --porcelain && cat f && git log --format=%s | head -n 1 && git describe --tags --abbrev=0";
    assert_eq!(said(&*session, sound).await, "1\nSWE-bench\nv1\n");
    session.close().await;
    found
}

/// The id of a commit in an image.
async fn commit(engine: &Engine, image: &str, name: &str) -> String {
    let spec = ContainerSpec::new(image, trial::instance(), trial::limits());
    let container = engine.create(&spec).await.unwrap();
    let script = format!("git rev-parse {name}");
    let output = container.exec(&ExecSpec::script(&script)).await.unwrap();
    container.remove().await;
    output.text().trim().to_owned()
}

async fn remove(engine: &Engine, images: &[&str]) {
    for image in images {
        engine.remove_image(image).await.unwrap();
    }
}

#[tokio::test]
async fn each_planted_leak_is_found_removed_and_gone() {
    let Some(engine) = trial::engine().await else { return };
    // Two at a time: most of it is waiting for the engine.
    let wrong: Vec<Vec<String>> = futures_util::stream::iter(PLANTED)
        .map(|row| complaints(&engine, row))
        .buffer_unordered(2)
        .collect()
        .await;
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn complaints(engine: &Engine, row: &(&str, &str, &str)) -> Vec<String> {
    let (name, planted, kind) = row;
    let mut wrong = Vec::new();
    let made = image(engine, name, planted).await;
    let warning = sandbox(engine, LeakPolicy::Warn, Events::discard()).await;
    let seen = warning.prepare(&spec(&made)).await.unwrap();
    if searched(&warning, &seen).await.is_empty() {
        wrong.push(format!("{name}: the search itself finds nothing in the untouched image"));
    }
    let removing = sandbox(engine, LeakPolicy::Remove, Events::discard()).await;
    let environment = removing.prepare(&spec(&made)).await.unwrap();
    let report = environment.leaks.clone().unwrap();
    if !report.found.iter().any(|l| l.kind == *kind && l.action == LeakAction::Removed) {
        wrong.push(format!("{name}: no {kind} removed: {}", report.summary()));
    }
    if report.visible().next().is_some() {
        wrong.push(format!("{name}: left: {}", report.summary()));
    }
    let found = searched(&removing, &environment).await;
    if !found.is_empty() {
        wrong.push(format!("{name}: found from inside: {found}"));
    }
    let refusing = sandbox(engine, LeakPolicy::Refuse, Events::discard()).await;
    match refusing.prepare(&spec(&made)).await {
        Err(error @ SandboxError::Leaks { .. }) if error.hint().contains("sandbox.leaks") => {}
        other => wrong.push(format!("{name}: not refused: {other:?}")),
    }
    remove(engine, &[&seen.image.unwrap(), &environment.image.unwrap(), &made]).await;
    wrong
}

#[tokio::test]
async fn a_clean_image_is_left_as_it_is_and_looked_through_once() {
    let Some(engine) = trial::engine().await else { return };
    let made = image(&engine, "clean", "bare; git prune --expire=now").await;
    let (events, mut receiver) = Events::channel();
    let base = commit(&engine, &made, "HEAD~1").await;
    let first = sandbox(&engine, LeakPolicy::Remove, events.clone()).await;
    let strict = EnvironmentSpec { base_commit: Some(base.clone()), ..spec(&made) };
    let environment = first.prepare(&strict).await.unwrap();
    let report = environment.leaks.clone().unwrap();
    assert_eq!((report.found.as_slice(), &report.parents), ([].as_slice(), &vec![base]));
    let info = engine.image(environment.image.as_ref().unwrap()).await.unwrap().unwrap();

    let second = sandbox(&engine, LeakPolicy::Remove, events).await;
    assert_eq!(second.prepare(&strict).await.unwrap(), environment);
    let again = engine.image(environment.image.as_ref().unwrap()).await.unwrap().unwrap();
    assert_eq!(again.id, info.id, "a later process finds the image and its record");
    while let Ok(event) = receiver.try_recv() {
        assert!(!matches!(event.kind, EventKind::Notice { message } if message.contains("leak")));
    }
    let record = environment.record("docker");
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<EnvironmentRecord>(&json).unwrap(), record);
    remove(&engine, &[&environment.image.unwrap(), &made]).await;
}

#[tokio::test]
async fn r28_a_head_after_the_base_commit_is_refused_and_an_unknown_base_is_told() {
    let Some(engine) = trial::engine().await else { return };
    let made = image(
        &engine,
        "ahead",
        "git reset -q --hard $future; git tag base HEAD~2; bare; git prune --expire=now",
    )
    .await;
    let base = commit(&engine, &made, "HEAD~2").await;
    let with = |base: &str| EnvironmentSpec { base_commit: Some(base.to_owned()), ..spec(&made) };
    let removing = sandbox(&engine, LeakPolicy::Remove, Events::discard()).await;
    let error = removing.prepare(&with(&base)).await.unwrap_err().to_string();
    assert!(error.contains("2 commits ahead of the base commit and 0 behind"), "{error}");
    let unknown = removing.prepare(&with(&"1".repeat(40))).await.unwrap();
    let report = unknown.leaks.clone().unwrap();
    assert_eq!(report.found.last().unwrap().action, LeakAction::Unchecked);
    let warning = sandbox(&engine, LeakPolicy::Warn, Events::discard()).await;
    let kept = warning.prepare(&with(&base)).await.unwrap();
    remove(&engine, &[&kept.image.unwrap(), &unknown.image.unwrap(), &made]).await;
}

#[tokio::test]
async fn an_installed_copy_that_the_tests_need_stays_and_is_recorded() {
    let Some(engine) = trial::engine().await else { return };
    let planted = "bare; git prune --expire=now
        mkdir -p $site/trialpkg; echo 'ANSWER = 43' >$site/trialpkg/__init__.py
        base=/opt/miniconda3/lib/python3.11/site-packages
        mkdir -p $base/trialpkg $base/other-1.dist-info
        echo 'ANSWER = 42' >$base/trialpkg/__init__.py
        printf 'Name: other\\nRequires-Dist: trial-pkg (>=1)\\n' >$base/other-1.dist-info/METADATA
        mkdir -p /usr/lib/python3/dist-packages/trialpkg
        cp trialpkg/__init__.py /usr/lib/python3/dist-packages/trialpkg/";
    let made = image(&engine, "needed", planted).await;
    let removing = sandbox(&engine, LeakPolicy::Remove, Events::discard()).await;
    let environment = removing.prepare(&spec(&made)).await.unwrap();
    let mut found: Vec<(LeakAction, bool)> = environment
        .leaks
        .clone()
        .unwrap()
        .found
        .iter()
        .map(|leak| (leak.action, leak.detail.contains("/testbed/")))
        .collect();
    found.sort_by_key(|(action, inside)| (action.name(), *inside));
    assert_eq!(
        found,
        [(LeakAction::Equal, false), (LeakAction::Kept, false), (LeakAction::Kept, true)],
        "{}",
        environment.leaks.as_ref().unwrap().summary()
    );
    remove(&engine, &[&environment.image.unwrap(), &made]).await;
}

#[test]
fn what_an_image_prints_is_read_and_nothing_else() {
    let text = "head\tis\t1\tabc def\nwarning: x\nrefs\tremoved\t 2\ta\u{1b}[2Jb\nrefs\tmade-up\t2\tx\nobjects\tkept\t3\t$HOME \"q\" \\\n";
    let report = read(text).unwrap();
    assert_eq!(
        (report.head.as_str(), report.parents.as_slice()),
        ("abc", ["def".to_owned()].as_slice())
    );
    assert_eq!(report.summary(), "removed 2 refs (a[2Jb); kept 3 objects ($HOME \"q\" \\)");
    assert!(read("fatal: not a git repository").unwrap_err().contains("fatal"));
    assert_eq!(quoted("a\"b\\c$d"), "a\\\"b\\\\c\\$d");
    assert_eq!(stray("3 0").count, 3);
    assert_eq!(stray("unknown").action, LeakAction::Unchecked);
}
