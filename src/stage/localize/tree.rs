//! The repository's files as an indented tree, within a budget of tokens.
//!
//! Directories with `/`; entries sorted by name unless they are shuffled. What is not shown is counted:
//! a directory with hidden files below it ends with `... N more files`, so that a model never takes
//! a part for the whole.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

/// Bytes of a tree that make one token: paths are names split into short pieces, and measured
/// tokenizers (BPE of 100k to 150k entries) give 3.2 to 4.1 on Python trees.
const BYTES_A_TOKEN: usize = 3;

/// How a tree is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// Blanks a level.
    pub(crate) indent: usize,
    /// What the entries of each directory are shuffled by; None sorts them by name.
    pub(crate) shuffle: Option<u32>,
}

impl Form {
    /// Four blanks, sorted.
    pub(crate) const PLAIN: Self = Self { indent: 4, shuffle: None };
}

/// A rendered tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// The text, without a final newline.
    pub(crate) text: String,
    /// Files that are only counted.
    pub(crate) hidden: usize,
}

/// Renders `shown` out of `all` (both sorted or not), within `tokens`. `preferred` are paths in the
/// order in which they matter: when not everything fits, whole directories are shown in the order
/// of their best file, and when not even one fits, single files in that order.
pub(crate) fn render(
    all: &[&str],
    shown: &BTreeSet<&str>,
    preferred: &[&str],
    tokens: usize,
    form: Form,
) -> Rendered {
    let bytes = tokens.saturating_mul(BYTES_A_TOKEN);
    let held = Held::of(all);
    let whole = draw(&held, shown, form);
    if whole.text.len() <= bytes {
        return whole;
    }
    let order = by_preference(shown, preferred);
    let mut directories = Vec::<(&str, Vec<&str>)>::new();
    let mut places = BTreeMap::new();
    for path in &order {
        let directory = directory(path);
        let place = *places.entry(directory).or_insert_with(|| {
            directories.push((directory, Vec::new()));
            directories.len() - 1
        });
        directories[place].1.push(path);
    }
    let fits = |files: &BTreeSet<&str>| draw(&held, files, form).text.len() <= bytes;
    let first = |count: usize| {
        directories[..count].iter().flat_map(|(_, files)| files.iter().copied()).collect()
    };
    let count = largest(directories.len(), |count| fits(&first(count)));
    let mut chosen: BTreeSet<&str> = first(count);
    // What is left of the budget goes to single files of the next directories.
    let rest = order.iter().copied().filter(|path| !chosen.contains(path)).collect::<Vec<_>>();
    let with = |count: usize| chosen.iter().chain(&rest[..count]).copied().collect();
    let count = largest(rest.len(), |count| fits(&with(count)));
    chosen = with(count);
    draw(&held, &chosen, form)
}

/// Preferred files first, then the others by path.
fn by_preference<'a>(shown: &BTreeSet<&'a str>, preferred: &[&'a str]) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let known = preferred.iter().filter(|path| shown.contains(*path));
    known.chain(shown).copied().filter(|path| seen.insert(*path)).collect()
}

/// The largest count up to `most` that passes, given that fewer pass when more do. Trying begins
/// small, so that of a large repository no more is drawn than twice what fits.
fn largest(most: usize, passes: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, most);
    let mut step = 1;
    while low < high {
        let next = (low + step).min(high);
        if !passes(next) {
            high = next - 1;
            break;
        }
        low = next;
        step *= 2;
    }
    while low < high {
        let middle = (low + high).div_ceil(2);
        if passes(middle) { low = middle } else { high = middle - 1 }
    }
    low
}

/// How many files each directory holds, those of directories below not counted.
struct Held<'a> {
    directories: BTreeMap<&'a str, usize>,
    files: usize,
}

impl<'a> Held<'a> {
    fn of(all: &[&'a str]) -> Self {
        let mut directories = BTreeMap::new();
        for path in all {
            *directories.entry(directory(path)).or_default() += 1;
        }
        Self { directories, files: all.len() }
    }
}

/// A path's directory; empty at the root.
fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

#[derive(Default)]
struct Node<'a> {
    directories: BTreeMap<&'a str, Node<'a>>,
    files: BTreeSet<&'a str>,
    hidden: usize,
}

fn draw(held: &Held<'_>, shown: &BTreeSet<&str>, form: Form) -> Rendered {
    let mut root = Node::default();
    let mut hidden = held.directories.clone();
    for path in shown {
        if let Some(left) = hidden.get_mut(directory(path)) {
            *left -= 1;
        }
        let mut node = &mut root;
        let mut rest = *path;
        while let Some((directory, inner)) = rest.split_once('/') {
            node = node.directories.entry(directory).or_default();
            rest = inner;
        }
        node.files.insert(rest);
    }
    for (path, count) in hidden.iter().filter(|(_, count)| **count > 0) {
        let mut node = &mut root;
        // The deepest directory that is shown counts them.
        for directory in path.split('/') {
            if !node.directories.contains_key(directory) {
                break;
            }
            node = node.directories.entry(directory).or_default();
        }
        node.hidden += count;
    }
    let mut lines = Vec::new();
    let mut open = vec![(entries(&root, form.shuffle), &root, form.shuffle)];
    while let Some((left, node, shuffle)) = open.last_mut() {
        let (node, shuffle) = (*node, *shuffle);
        let next = left.next();
        let indent = " ".repeat(form.indent * (open.len() - 1));
        match next {
            Some((name, Some(directory))) => {
                lines.push(format!("{indent}{name}/"));
                let shuffle = shuffle.map(|by| place(by, name));
                open.push((entries(directory, shuffle), directory, shuffle));
            }
            Some((name, None)) => lines.push(format!("{indent}{name}")),
            None => {
                if node.hidden > 0 {
                    let noun = if node.hidden == 1 { "file" } else { "files" };
                    lines.push(format!("{indent}... {} more {noun}", node.hidden));
                }
                open.pop();
            }
        }
    }
    Rendered { text: lines.join("\n"), hidden: held.files.saturating_sub(shown.len()) }
}

type Entries<'n, 'a> = std::vec::IntoIter<(&'a str, Option<&'n Node<'a>>)>;

/// Where an entry comes among those of its directory, and what its own entries are shuffled by.
/// Never to be changed: a prompt must be repeatable with a later version.
fn place(shuffle: u32, name: &str) -> u32 {
    let digest = Sha256::digest(format!("agent-tree-1 {shuffle} {name}"));
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn entries<'n, 'a>(node: &'n Node<'a>, shuffle: Option<u32>) -> Entries<'n, 'a> {
    let directories = node.directories.iter().map(|(name, inner)| (*name, Some(inner)));
    let files = node.files.iter().map(|name| (*name, None));
    let mut entries = directories.chain(files).collect::<Vec<_>>();
    entries.sort_by_key(|(name, _)| *name);
    if let Some(shuffle) = shuffle {
        entries.sort_by_cached_key(|(name, _)| place(shuffle, name));
    }
    entries.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], hide: &[&str], preferred: &[&str], tokens: usize) -> String {
        let shown = paths.iter().copied().filter(|path| !hide.contains(path)).collect();
        render(paths, &shown, preferred, tokens, Form::PLAIN).text
    }

    const PATHS: &[&str] = &[
        "setup.py",
        "pkg/__init__.py",
        "pkg/core/a.py",
        "pkg/core/b.py",
        "pkg/v1.2/old.py",
        "tests/test_a.py",
        "tests/deep/test_b.py",
    ];

    #[test]
    fn the_whole_tree_is_sorted_and_indented() {
        let expected = "\
pkg/
    __init__.py
    core/
        a.py
        b.py
    v1.2/
        old.py
setup.py
tests/
    deep/
        test_b.py
    test_a.py";
        assert_eq!(check(PATHS, &[], &[], 1000), expected);
        let mut shuffled = PATHS.to_vec();
        shuffled.reverse();
        assert_eq!(check(&shuffled, &[], &[], 1000), expected);
        assert_eq!(check(&[], &[], &[], 1000), "");
    }

    #[test]
    fn a_shuffled_tree_has_the_same_lines_in_their_directories() {
        let shown = PATHS.iter().copied().collect();
        let drawn = |indent, by| {
            let form = Form { indent, shuffle: Some(by) };
            render(PATHS, &shown, &[], 1000, form).text
        };
        let all = (0..40).map(|by| drawn(2, by)).collect::<BTreeSet<_>>();
        assert!(all.len() > 20, "{}", all.len());
        assert_eq!(drawn(2, 5), drawn(2, 5));
        let sorted = |text: &str| {
            let mut lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
            lines.sort();
            lines
        };
        let plain = check(PATHS, &[], &[], 1000);
        for text in &all {
            assert_eq!(sorted(&text.replace("  ", "    ")), sorted(&plain));
            // What is in a directory follows it.
            let at = |name: &str| text.lines().position(|line| line.trim() == name).unwrap();
            let between = at("core/") + 1..=at("core/") + 2;
            assert!(between.contains(&at("a.py")) && between.contains(&at("b.py")), "{text}");
        }
        assert_eq!(sorted(&drawn(4, 1)), sorted(&plain));
    }

    #[test]
    fn hidden_files_are_counted_once_in_the_deepest_directory_that_is_shown() {
        let hide = ["tests/test_a.py", "tests/deep/test_b.py", "pkg/core/b.py"];
        let expected = "\
pkg/
    __init__.py
    core/
        a.py
        ... 1 more file
    v1.2/
        old.py
setup.py
... 2 more files";
        assert_eq!(check(PATHS, &hide, &[], 1000), expected);
    }

    #[test]
    fn over_budget_the_preferred_directories_stay() {
        let expected =
            "pkg/\n    core/\n        a.py\n        b.py\n    ... 2 more files\n... 3 more files";
        assert_eq!(check(PATHS, &[], &["pkg/core/b.py"], expected.len().div_ceil(3)), expected);
        let nothing = render(PATHS, &PATHS.iter().copied().collect(), &[], 0, Form::PLAIN);
        assert_eq!((nothing.text.as_str(), nothing.hidden), ("... 7 more files", 7));
    }

    #[test]
    fn a_budget_is_kept_at_any_size() {
        let paths = (0..3000).map(|n| format!("p{}/q{}/file_{n}.py", n % 7, n % 40));
        let paths = paths.collect::<Vec<_>>();
        let all = paths.iter().map(String::as_str).collect::<Vec<_>>();
        let preferred = [all[2222], all[5]];
        for tokens in [50, 200, 1000, 5000, 20_000] {
            let rendered =
                render(&all, &all.iter().copied().collect(), &preferred, tokens, Form::PLAIN);
            assert!(rendered.text.len() <= tokens * BYTES_A_TOKEN, "{tokens}");
            assert!(rendered.text.contains("file_2222.py"), "{tokens}");
            let counted = rendered.text.lines().filter_map(|line| {
                line.trim().strip_prefix("... ")?.split(' ').next()?.parse::<usize>().ok()
            });
            assert_eq!(counted.sum::<usize>(), rendered.hidden);
            let drawn = rendered.text.lines().filter(|line| line.ends_with(".py")).count();
            assert_eq!(drawn + rendered.hidden, 3000);
        }
    }

    #[test]
    fn large_repositories_are_rendered_within_the_budget() {
        let paths =
            (0..20_000).map(|n| format!("src/p{}/q{}/r{}/file_{n}.py", n % 7, n % 90, n % 3));
        let paths = paths.collect::<Vec<_>>();
        let all = paths.iter().map(String::as_str).collect::<Vec<_>>();
        let preferred = (0..100).map(|n| all[n * 197]).collect::<Vec<_>>();
        let rendered =
            render(&all, &all.iter().copied().collect(), &preferred, 16_000, Form::PLAIN);
        assert!(rendered.text.len() <= 16_000 * BYTES_A_TOKEN);
        assert!(preferred.iter().take(20).all(|path| {
            let name = path.rsplit('/').next().unwrap();
            rendered.text.lines().any(|line| line.trim() == name)
        }));
        let drawn = rendered.text.lines().filter(|line| line.ends_with(".py")).count();
        assert_eq!(drawn + rendered.hidden, 20_000);
    }
}
