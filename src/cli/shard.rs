//! `--shard`: which part of a dataset, typed or found from what a scheduler says of this task.

use std::fmt;

/// One of several parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Which, from 1.
    pub(crate) k: u32,
    /// Of how many.
    pub(crate) n: u32,
    /// The variables that said so; empty if it was typed.
    from: String,
}

impl Shard {
    /// Whether the environment named it.
    pub(crate) fn is_found(&self) -> bool {
        !self.from.is_empty()
    }

    /// What named it.
    pub(crate) fn origin(&self) -> &str {
        if self.is_found() { &self.from } else { "--shard" }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.k, self.n)
    }
}

const EXPECTED: &str = "expected K/N with 1 <= K <= N, such as 2/8, or auto, slurm or kubernetes, \
                        each also with the number of parts, such as slurm/8";

/// What is typed, with the environment of this process where it names a scheduler.
///
/// # Errors
/// In words, with the variable and the way out.
pub(crate) fn parse(text: &str) -> Result<Shard, String> {
    read(text, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

fn read(text: &str, environment: Lookup<'_>) -> Result<Shard, String> {
    let (head, count) = match text.split_once('/') {
        Some((head, count)) => match count.parse::<u32>() {
            Ok(count) if count >= 1 => (head, Some(count)),
            _ => return Err(EXPECTED.to_owned()),
        },
        None => (text, None),
    };
    match head {
        "slurm" => slurm(count, environment),
        "kubernetes" => kubernetes(count, environment),
        "auto" => {
            let set = |name| environment(name).is_some();
            match (set(SLURM), set(KUBERNETES)) {
                (true, false) => slurm(count, environment),
                (false, true) => kubernetes(count, environment),
                (true, true) => Err(format!(
                    "both {SLURM} and {KUBERNETES} are set; say which with slurm or kubernetes"
                )),
                (false, false) => Err(format!(
                    "neither {SLURM} nor {KUBERNETES} is set, so this is no task of an array; \
                     name the part, such as 2/8"
                )),
            }
        }
        _ => match (head.parse::<u32>(), count) {
            (Ok(k), Some(n)) if k >= 1 && k <= n => Ok(Shard { k, n, from: String::new() }),
            _ => Err(EXPECTED.to_owned()),
        },
    }
}

const SLURM: &str = "SLURM_ARRAY_TASK_ID";
const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
const COMPLETIONS: &str = "JOB_COMPLETIONS";

/// A variable's number; `way` says what to do where it is missing.
fn number(name: &str, environment: Lookup<'_>, way: &str) -> Result<u32, String> {
    let value = environment(name).ok_or_else(|| format!("{name} is not set; {way}"))?;
    value.trim().parse().map_err(|_| format!("{name} is {value:?}, not a number; {way}"))
}

/// The `index`-th of `n` parts, counted from 0.
fn indexed(name: &str, index: u32, n: u32, way: &str) -> Result<Shard, String> {
    if index >= n {
        return Err(format!("{name} is {index}, but parts count from 0 to {}; {way}", n - 1));
    }
    Ok(Shard { k: index + 1, n, from: format!("{name}={index}") })
}

/// With a number of parts the tasks are 0 to N-1, so that some of them can be submitted again;
/// without one the position in the array counts, of which each task knows the shape.
fn slurm(count: Option<u32>, environment: Lookup<'_>) -> Result<Shard, String> {
    let way = "submit with `sbatch --array=0-7` for 8 parts, or name the part, such as 2/8";
    let id = number(SLURM, environment, way)?;
    if let Some(n) = count {
        let way = format!("submit with `sbatch --array=0-{}`", n - 1);
        return indexed(SLURM, id, n, &way);
    }
    let way = "say slurm/N for an array 0 to N-1";
    let rest = |part| number(&format!("SLURM_ARRAY_TASK_{part}"), environment, way);
    let (min, max, count) = (rest("MIN")?, rest("MAX")?, rest("COUNT")?);
    let step = match environment("SLURM_ARRAY_TASK_STEP") {
        Some(_) => rest("STEP")?,
        None => 1,
    };
    let shape = format!("an array of {count} tasks from {min} to {max} in steps of {step}");
    let is_whole = step >= 1
        && min <= id
        && id <= max
        && (id - min).is_multiple_of(step)
        && (max - min) / step + 1 == count;
    if !is_whole {
        return Err(format!(
            "{SLURM} is {id} in {shape}: it has holes, so the parts cannot be told; {way} \
             (`--array=2,5 ... --shard slurm/8` does two of eight parts again)"
        ));
    }
    // `--array=3` alone is most likely one of the tasks of an earlier array.
    if min > 1 {
        return Err(format!(
            "{SLURM} is {id} in {shape}: it looks like a part of a larger array; {way}"
        ));
    }
    let k = (id - min) / step + 1;
    Ok(Shard { k, n: count, from: format!("{SLURM}={id} of {min}-{max}") })
}

fn kubernetes(count: Option<u32>, environment: Lookup<'_>) -> Result<Shard, String> {
    let way = "it is set in the pods of a Job with `completionMode: Indexed`; or name the part, \
               such as 2/8";
    let index = number(KUBERNETES, environment, way)?;
    let way = format!(
        "say kubernetes/N, or set {COMPLETIONS} in the pod template to the Job's `completions`"
    );
    let n = match count {
        Some(n) => n,
        None => number(COMPLETIONS, environment, &way)?,
    };
    if n == 0 {
        return Err(format!("{COMPLETIONS} is 0; {way}"));
    }
    indexed(KUBERNETES, index, n, "N must be the Job's `completions`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, variables: &[(&str, &str)]) -> Result<Shard, String> {
        read(text, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn array(shape: [&str; 5]) -> [(&'static str, &str); 5] {
        let names = [
            SLURM,
            "SLURM_ARRAY_TASK_MIN",
            "SLURM_ARRAY_TASK_MAX",
            "SLURM_ARRAY_TASK_COUNT",
            "SLURM_ARRAY_TASK_STEP",
        ];
        std::array::from_fn(|place| (names[place], shape[place]))
    }

    fn part(shard: Result<Shard, String>) -> (u32, u32) {
        let shard = shard.unwrap();
        (shard.k, shard.n)
    }

    #[test]
    fn typed_parts_are_checked() {
        assert_eq!(part(with("2/8", &[])), (2, 8));
        for bad in ["0/8", "9/8", "1/0", "1", "a/b", "-1/2", "slurm/0", "auto/x", "", "/", "k8s"] {
            assert!(with(bad, &[(SLURM, "0"), (KUBERNETES, "0")]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_task_of_an_array_is_a_part_by_its_position() {
        for (shape, expected) in [
            (["0", "0", "7", "8", "1"], (1, 8)),
            (["7", "0", "7", "8", "1"], (8, 8)),
            (["8", "1", "8", "8", "1"], (8, 8)),
            (["4", "0", "6", "4", "2"], (3, 4)),
            (["0", "0", "0", "1", "1"], (1, 1)),
        ] {
            assert_eq!(part(with("slurm", &array(shape))), expected, "{shape:?}");
            assert_eq!(part(with("auto", &array(shape))), expected, "{shape:?}");
        }
        assert_eq!(part(with("slurm", &array(["2", "0", "3", "4", "1"])[..4])), (3, 4));
        // A single task again.
        assert_eq!(part(with("slurm/8", &array(["5", "5", "5", "1", "1"]))), (6, 8));
    }

    #[test]
    fn arrays_that_do_not_say_the_parts_are_refused_with_the_way_out() {
        for (text, shape, said) in [
            ("slurm", ["3", "1", "7", "3", "1"], "has holes"),
            ("slurm", ["3", "0", "6", "4", "2"], "has holes"),
            ("slurm", ["9", "0", "7", "8", "1"], "has holes"),
            ("slurm", ["0", "0", "7", "8", "0"], "has holes"),
            ("slurm", ["3", "3", "3", "1", "1"], "part of a larger array"),
            ("slurm/8", ["8", "1", "8", "8", "1"], "--array=0-7"),
            ("slurm", ["x", "0", "7", "8", "1"], "SLURM_ARRAY_TASK_ID is \"x\", not a number"),
        ] {
            let error = with(text, &array(shape)).unwrap_err();
            assert!(error.contains(said), "{shape:?}: {error}");
        }
        let error = with("slurm", &array(["0", "0", "7", "8", "1"])[..3]).unwrap_err();
        assert!(error.starts_with("SLURM_ARRAY_TASK_COUNT is not set; say slurm/N"), "{error}");
        assert!(with("slurm", &[]).unwrap_err().contains("sbatch --array"));
    }

    #[test]
    fn a_pod_of_an_indexed_job_is_a_part() {
        let index = (KUBERNETES, "3");
        assert_eq!(part(with("kubernetes", &[index, (COMPLETIONS, "4")])), (4, 4));
        assert_eq!(part(with("kubernetes/8", &[index])), (4, 8));
        // What is typed counts.
        assert_eq!(part(with("auto/8", &[index, (COMPLETIONS, "4")])), (4, 8));
        for (text, variables, said) in [
            ("kubernetes", vec![index], "JOB_COMPLETIONS is not set; say kubernetes/N"),
            ("kubernetes", vec![index, (COMPLETIONS, "0")], "JOB_COMPLETIONS is 0"),
            ("kubernetes/3", vec![index], "JOB_COMPLETION_INDEX is 3, but parts count from 0 to 2"),
            ("kubernetes/3", vec![], "completionMode: Indexed"),
            ("auto", vec![], "neither"),
            ("auto/2", vec![(SLURM, "0"), index], "both"),
        ] {
            let error = with(text, &variables).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
