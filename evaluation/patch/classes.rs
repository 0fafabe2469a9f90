//! Times the classing of many candidates of one file against the reference's method in the same
//! run; README.md in this folder says what to type and what came out.

#![allow(
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a program whose output is its result"
)]

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use agent::patch::{Class, Classifier, FileChange, FileMode, FileState, check_syntax, classify};
use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Debug, Parser)]
#[command(name = "classes", about = "Times the classing of candidates of one file")]
struct Arguments {
    /// A Python file; with --git, its path in the repository.
    file: PathBuf,
    /// Repository to read it from.
    #[arg(long, requires = "commit")]
    git: Option<PathBuf>,
    /// Commit to read it at.
    #[arg(long)]
    commit: Option<String>,
    /// Candidates made.
    #[arg(long, default_value_t = 10_000)]
    candidates: usize,
    /// Candidates that the reference's method gets too; 0 leaves it out.
    #[arg(long, default_value_t = 20)]
    sample: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let base = read(&arguments)?;
    let path = arguments.file.to_string_lossy().into_owned();
    let made = generate(&base, arguments.candidates, arguments.seed);
    println!("{path}: {} lines, {} bytes", base.lines().count(), base.len());
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for candidate in &made {
        *kinds.entry(candidate.kind).or_default() += 1;
    }
    println!("{} candidates: {kinds:?}", made.len());

    let state = |text: &str| Some(FileState { content: text.into(), mode: FileMode::Regular });
    let changes: Vec<[FileChange; 1]> = made
        .iter()
        .map(|one| [FileChange { path: path.clone(), old: state(&base), new: state(&one.text) }])
        .collect();

    let clock = Clock::start();
    let classifier = Classifier::new(std::slice::from_ref(&path), None);
    let classes: Vec<Option<Class>> =
        changes.iter().map(|change| classifier.judge(change).ok()).collect();
    let ours = clock.each(changes.len());
    let distinct: HashSet<&Class> = classes.iter().flatten().collect();
    let invalid = classes.iter().filter(|class| class.is_none()).count();
    println!("classifier:   {ours}; {} classes, {invalid} syntax errors", distinct.len());

    let few = &changes[..changes.len().min(200)];
    let clock = Clock::start();
    for change in few {
        if check_syntax(change, None).is_ok() {
            std::hint::black_box(classify(change));
        }
    }
    println!("whole files:  {} (first {})", clock.each(few.len()), few.len());
    let mut kinds: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for (change, one) in changes.iter().zip(&made) {
        let start = Instant::now();
        std::hint::black_box(classifier.judge(change).is_ok());
        kinds.entry(one.kind).or_default().push(start.elapsed());
    }
    for (kind, times) in &mut kinds {
        times.sort();
        let at = |part: usize| times[(times.len() - 1) * part / 100];
        println!("  {kind:<12} median {:?}, 99 % {:?}", at(50), at(99));
    }
    if arguments.sample > 0 {
        compare(&arguments, &base, &made, &classes, &ours)?;
    }
    Ok(())
}

fn read(arguments: &Arguments) -> Result<String> {
    let (Some(git), Some(commit)) = (&arguments.git, &arguments.commit) else {
        return Ok(std::fs::read_to_string(&arguments.file)?);
    };
    let blob = format!("{commit}:{}", arguments.file.display());
    let output = Command::new("git").arg("-C").arg(git).args(["show", &blob]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Wall and processor time from one moment on.
struct Clock {
    wall: Instant,
    used: f64,
}

/// Seconds for one candidate.
struct Each {
    wall: f64,
    used: f64,
}

impl std::fmt::Display for Each {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.4} ms wall, {:.4} ms processor each", self.wall * 1e3, self.used * 1e3)
    }
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), used: used() }
    }

    #[allow(clippy::cast_precision_loss, reason = "counts are small")]
    fn each(&self, count: usize) -> Each {
        let count = count.max(1) as f64;
        Each { wall: self.wall.elapsed().as_secs_f64() / count, used: (used() - self.used) / count }
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds of a short run")]
fn used() -> f64 {
    let seconds =
        |value: nix::sys::time::TimeVal| value.tv_sec() as f64 + value.tv_usec() as f64 / 1e6;
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Gives the reference's method pairs of neighbours spread over all candidates.
fn compare(
    arguments: &Arguments,
    base: &str,
    made: &[Candidate],
    classes: &[Option<Class>],
    ours: &Each,
) -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("base"), base)?;
    let pairs = (arguments.sample / 2).max(1);
    let step = (made.len() / pairs / 2 * 2).max(2);
    let sample: Vec<usize> = (0..pairs)
        .flat_map(|pair| [pair * step, pair * step + 1])
        .filter(|&index| index < made.len() && classes[index].is_some())
        .collect();
    for (name, &index) in sample.iter().enumerate() {
        std::fs::write(dir.path().join(name.to_string()), &made[index].text)?;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation/patch/reference.py");
    let output =
        Command::new("python3").arg(script).arg(dir.path()).arg(&arguments.file).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)?;
    let median = |field: &str| {
        let mut all: Vec<f64> = rows.iter().filter_map(|row| row[field].as_f64()).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    let theirs = Each { wall: median("wall"), used: median("cpu") };
    println!("reference:    {theirs} (median of {})", rows.len());
    println!(
        "ratio:        {:.0} wall, {:.0} processor",
        theirs.wall / ours.wall,
        theirs.used / ours.used
    );
    let (mut agreed, mut total) = (0, 0);
    for one in 0..rows.len() {
        for two in 0..one {
            let (a, b) = (sample[one], sample[two]);
            let equal = classes[a] == classes[b];
            let same = rows[one]["key"] == rows[two]["key"];
            total += 1;
            if equal == same {
                agreed += 1;
            } else {
                let empty = rows[one]["key"] == "";
                let (a, b) = (made[a].kind, made[b].kind);
                println!("  differ: {a} / {b}: ours equal {equal}, theirs {same}, empty {empty}");
            }
        }
    }
    println!("agreement:    {agreed} of {total} pairs");
    Ok(())
}

struct Candidate {
    kind: &'static str,
    text: String,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap_or_default()
    }
}

/// Distinct candidates: an edit of one of six kinds at a random place, and after each the same edit
/// once more with a comment or a blank line elsewhere.
fn generate(base: &str, count: usize, seed: u64) -> Vec<Candidate> {
    let lines: Vec<&str> = base.split_inclusive('\n').collect();
    let mut random = Random(seed);
    let mut seen = HashSet::new();
    let mut made = Vec::with_capacity(count);
    let mut turn = 0;
    while made.len() < count && turn < count * 100 {
        turn += 1;
        let Some((kind, edited)) = edit(&lines, turn, &mut random) else { continue };
        let dressed = dress(&edited, turn, &mut random);
        for lines in [edited, dressed] {
            let text = lines.concat();
            if text != base && made.len() < count && seen.insert(text.clone()) {
                made.push(Candidate { kind, text });
            }
        }
    }
    made
}

fn edit(lines: &[&str], turn: usize, random: &mut Random) -> Option<(&'static str, Vec<String>)> {
    let mut new: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
    let at = random.below(lines.len());
    let line = lines[at];
    let indent = &line[..line.len() - line.trim_start().len()];
    let kind = match turn % 6 {
        0 => {
            let swaps = [
                (" is None", " is not None"),
                (" and ", " or "),
                ("True", "False"),
                ("False", "None"),
                ("return ", "return not "),
                (" = self.", " = other."),
                ("(self, ", "(self, extra, "),
            ];
            let (from, to) = swaps[random.below(swaps.len())];
            line.contains(from).then(|| new[at] = line.replacen(from, to, 1))?;
            "expression"
        }
        1 => {
            starts_statement(lines, at).then(|| {
                new.insert(at, format!("{indent}extra_{turn} = {turn}\n"));
            })?;
            "insert"
        }
        2 => {
            starts_statement(lines, at).then(|| {
                new.insert(at, format!("{indent}# Note {turn}.\n"));
            })?;
            "comment"
        }
        3 => {
            rename(&mut new, lines, at, turn)?;
            "rename"
        }
        4 => {
            let rest = line.trim_start().strip_prefix("return ")?.trim_end();
            let open = |text: &str| text.ends_with(['(', '[', '{', ',', '\\']);
            (!open(rest))
                .then(|| new[at] = format!("{indent}return (\n{indent}    {rest}\n{indent})\n"))?;
            "reformat"
        }
        _ => {
            starts_statement(lines, at).then(|| new.remove(at))?;
            "delete"
        }
    };
    Some((kind, new))
}

/// Whether a line is, by its looks, a short statement inside of a function.
fn starts_statement(lines: &[&str], at: usize) -> bool {
    let text = lines[at].trim_start();
    let starts = text.starts_with("self.")
        || text.starts_with("return ")
        || text.split_once(" = ").is_some_and(|(name, _)| is_name(name));
    let closed = |line: &str| !line.trim_end().ends_with(['(', '[', '{', ',', '\\']);
    at > 0
        && lines[at].starts_with("        ")
        && starts
        && closed(lines[at])
        && closed(lines[at - 1])
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Gives the variable that line `at` assigns another name, from there to the function's end.
fn rename(new: &mut [String], lines: &[&str], at: usize, turn: usize) -> Option<()> {
    let (name, _) = lines[at].trim_start().split_once(" = ")?;
    if !starts_statement(lines, at) || !is_name(name) {
        return None;
    }
    let defines = |line: &str| line.trim_start().starts_with("def ");
    let end = lines[at..].iter().position(|line| defines(line)).map_or(lines.len(), |to| at + to);
    let start = lines[..at].iter().rposition(|line| defines(line))?;
    for line in &mut new[start..end] {
        *line = replace_word(line, name, &format!("{name}_{turn}"));
    }
    Some(())
}

fn replace_word(line: &str, from: &str, to: &str) -> String {
    let mut out = String::new();
    let mut last = 0;
    let word =
        |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"_.".contains(b));
    for (at, _) in line.match_indices(from) {
        let before = at.checked_sub(1).and_then(|index| line.as_bytes().get(index));
        let after = line.as_bytes().get(at + from.len());
        let ends = word(after) && after != Some(&b'.');
        if at >= last && !word(before) && !ends {
            out.push_str(&line[last..at]);
            out.push_str(to);
            last = at + from.len();
        }
    }
    out.push_str(&line[last..]);
    out
}

/// The same with a comment, or with a blank line, before some statement.
fn dress(lines: &[String], turn: usize, random: &mut Random) -> Vec<String> {
    let mut new = lines.to_vec();
    let views: Vec<&str> = lines.iter().map(String::as_str).collect();
    for _ in 0..1_000 {
        let at = random.below(lines.len());
        if starts_statement(&views, at) {
            let line = if random.below(2) == 0 { format!("# Turn {turn}.\n") } else { "\n".into() };
            new.insert(at, line);
            break;
        }
    }
    new
}
