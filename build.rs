//! Tells release builds the git revision that they are made from.
//!
//! Development builds are told none: each commit would compile everything anew.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A profile of one's own that inherits from `release` has its name here as well.
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    // A source archive unpacked below another repository is none of that one's revisions.
    let root = git(&["rev-parse", "--show-toplevel"]);
    if root.as_deref() != std::env::var("CARGO_MANIFEST_DIR").ok().as_deref() {
        return;
    }
    // Where git or its directory is missing, so is the revision.
    let Some(revision) = git(&["rev-parse", "HEAD"]) else { return };
    // The reflog changes with each commit and checkout, also in a linked work tree.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for path in ["src", "Cargo.toml", "Cargo.lock", "prompts", "evaluation/sample"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let status = ["status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock", "prompts"];
    let clean = git(&status).is_some_and(|changes| changes.is_empty());
    println!("cargo::rustc-env=AGENT_REVISION={revision}{}", if clean { "" } else { "+changes" });
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
