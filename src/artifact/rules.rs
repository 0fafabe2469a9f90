//! By whose rules a prediction is judged. Every difference between them is a method here, and a
//! row of the table in `evaluation/grading.md`.

use serde::{Deserialize, Serialize};

/// Whose rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rules {
    /// Those of SWE-bench's harness 5.0.2 where it is right, and its mistakes mended.
    #[default]
    #[serde(rename = "agent")]
    Ours,
    /// Those of the harness 5.0.2, mistakes included.
    #[serde(rename = "harness-5.0.2")]
    Harness5,
    /// Those of the harness 4.1.0, mistakes included.
    #[serde(rename = "harness-4.1")]
    Harness4,
}

/// Which line that tells the test command's exit status counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatusLine {
    /// The last one behind the graded text: a test could print an earlier one.
    Last,
    /// The first one of the log.
    First,
    /// None; the status is never looked at.
    Ignored,
}

impl Rules {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ours, Self::Harness5, Self::Harness4];

    /// The name in files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "agent",
            Self::Harness5 => "harness-5.0.2",
            Self::Harness4 => "harness-4.1",
        }
    }

    /// Whether a prediction is run as the harness runs it: bare commands in the image's own
    /// environment, the row's evaluation script without additions, repository and history as the
    /// image has them. Ours activates the environment, runs offline and without hooks, keeps GNU
    /// `patch` out of `.git`, strips later history, and wants to see that the gold tests are in
    /// place.
    #[must_use]
    pub fn runs_bare(self) -> bool {
        self != Self::Ours
    }

    /// Whether the tree is put back between the commands that try a patch, `--3way` is one of
    /// them, `patch` never reverses, and a patch that is there already counts as applied.
    #[must_use]
    pub fn resets_between_attempts(self) -> bool {
        self != Self::Harness4
    }

    /// Whether the script is made to tell the test command's exit status.
    #[must_use]
    pub fn records_exit_status(self) -> bool {
        self.exit_status_line() != ExitStatusLine::Ignored
    }

    /// Which exit status counts.
    #[must_use]
    pub fn exit_status_line(self) -> ExitStatusLine {
        match self {
            Self::Ours => ExitStatusLine::Last,
            Self::Harness5 => ExitStatusLine::First,
            Self::Harness4 => ExitStatusLine::Ignored,
        }
    }

    /// Whether a log without any result and without a sign that a runner ran is invalid.
    #[must_use]
    pub fn wants_a_result(self) -> bool {
        self != Self::Harness4
    }

    /// Whether skipping counts: as a failure of a test that must be fixed, as a success of one
    /// that must go on passing. Otherwise such a test is in no list.
    #[must_use]
    pub fn counts_skips(self) -> bool {
        self != Self::Harness4
    }

    /// Whether a test whose last word is no status (`FAILEDx a::t` overwrites `FAILED a::t`)
    /// counts as failed. In the harness it is in no list, so that it cannot fail any more.
    #[must_use]
    pub fn counts_unknown_words(self) -> bool {
        self == Self::Ours
    }

    /// Whether an expected id that was cut inside its brackets stands for those that begin so.
    #[must_use]
    pub fn completes_cut_ids(self) -> bool {
        self != Self::Harness4
    }

    /// Whether readers keep blanks in ids and leave out `SKIPPED [n]`, as 5.x does.
    #[must_use]
    pub fn reads_whole_ids(self) -> bool {
        self != Self::Harness4
    }

    /// Whether a line that breaks the harness's own reader loses the instance.
    #[must_use]
    pub fn readers_break(self) -> bool {
        self != Self::Ours
    }

    /// Whether bytes of the tests' output that are no UTF-8 lose the instance.
    #[must_use]
    pub fn wants_utf8(self) -> bool {
        self == Self::Harness4
    }

    /// Whether reports say what looks like a failure of the infrastructure.
    #[must_use]
    pub fn reports_infra(self) -> bool {
        self != Self::Harness4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_serde_writes() {
        for rules in Rules::ALL {
            assert_eq!(serde_json::to_value(rules).unwrap(), rules.name());
        }
        assert_eq!(Rules::default(), Rules::Ours);
    }
}
