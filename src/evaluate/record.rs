//! What became of one prediction, on disk: found again only for the same patch, row and rules.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::artifact::{InstanceId, Rules};
use crate::evaluate::InstanceReport;

/// Bumped when a verdict gains another meaning, so that older ones are not taken.
const SCHEMA: u32 = 1;

/// How the evaluation of one prediction ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Verdict {
    /// The tests ran to their end.
    Graded {
        /// By the harness's rules.
        report: Box<InstanceReport>,
    },
    /// There is no verdict about the prediction, or none can ever be.
    Error {
        /// Which step failed.
        kind: ErrorKind,
        /// For people.
        message: String,
    },
}

/// Which step of an evaluation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No command takes the prediction's patch. The harness counts it as an error too.
    PatchNotApplied,
    /// The gold test patch does not apply: nothing was judged.
    TestPatchNotApplied,
    /// The tests ran past their limit.
    TestsTimedOut,
    /// The tests wrote more than the limit.
    OutputLimit,
    /// The row does not say how it is graded.
    NotGradable,
    /// The official harness loses the instance by a mistake of its own; only by its rules.
    Lost,
    /// Engine, image, repository or disk: the prediction is not to blame.
    Infra,
}

impl ErrorKind {
    /// The name used in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PatchNotApplied => "patch_not_applied",
            Self::TestPatchNotApplied => "test_patch_not_applied",
            Self::TestsTimedOut => "tests_timed_out",
            Self::OutputLimit => "output_limit",
            Self::NotGradable => "not_gradable",
            Self::Lost => "lost",
            Self::Infra => "infra",
        }
    }
}

/// A verdict with what it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    schema: u32,
    #[serde(flatten)]
    question: Question,
    verdict: Verdict,
}

/// What a verdict is about, besides the patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Question {
    /// By whose rules.
    #[serde(default)]
    pub(super) rules: Rules,
    /// Digest of the row that was graded against.
    pub(super) row: String,
    /// Seconds that the tests had; 0 in records of older versions.
    #[serde(default)]
    pub(super) timeout: u64,
}

impl Question {
    /// Whether an earlier verdict answers this question. More time may end a timeout otherwise.
    fn is_answered_by(&self, record: &Record) -> bool {
        let earlier = &record.question;
        let timed_out =
            matches!(&record.verdict, Verdict::Error { kind: ErrorKind::TestsTimedOut, .. });
        earlier.rules == self.rules
            && earlier.row == self.row
            && !(timed_out && earlier.timeout < self.timeout)
    }
}

/// The files of one instance below the output folder.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    dir: PathBuf,
    id: InstanceId,
}

impl Folder {
    /// `out/<instance>`.
    pub(super) fn new(out: &Path, id: &InstanceId) -> Self {
        Self { dir: out.join(id.as_str()), id: id.clone() }
    }

    /// An earlier verdict about exactly this patch, row and rules.
    pub(super) fn earlier(&self, patch: &str, question: &Question) -> Option<Verdict> {
        let text = fs::read(self.dir.join("evaluation.json")).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        let same = record.schema == SCHEMA
            && question.is_answered_by(&record)
            && fs::read(self.dir.join("patch.diff")).is_ok_and(|kept| kept == patch.as_bytes());
        same.then_some(record.verdict)
    }

    /// Removes what an earlier evaluation left and writes the patch.
    pub(super) fn begin(&self, patch: &str) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        for stale in ["evaluation.json", "report.json", "test_output.txt", "run_instance.log"] {
            match fs::remove_file(self.dir.join(stale)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        write(&self.dir.join("patch.diff"), patch.as_bytes())
    }

    /// Writes the output of the steps before the tests.
    pub(super) fn steps(&self, log: &str) -> io::Result<()> {
        write(&self.dir.join("run_instance.log"), log.as_bytes())
    }

    /// The saved output of the tests. The harness also looks for signs in what came before and
    /// after them.
    pub(super) fn read_logs(&self, rules: Rules) -> Option<String> {
        let read = |name: &str| {
            let bytes = fs::read(self.dir.join(name)).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        let tests = read("test_output.txt");
        match (tests, read("run_instance.log").filter(|_| rules != Rules::Ours)) {
            (Some(tests), Some(steps)) => Some(tests + "\n" + &steps),
            (tests, steps) => tests.or(steps),
        }
    }

    /// Writes the output of the tests.
    pub(super) fn log(&self, log: &str) -> io::Result<()> {
        write(&self.dir.join("test_output.txt"), log.as_bytes())
    }

    /// Writes the verdict: `report.json` in the harness's shape if there is one, and last the
    /// record that makes it found again.
    pub(super) fn finish(&self, question: &Question, verdict: &Verdict) -> io::Result<()> {
        if let Verdict::Graded { report } = verdict {
            let report = serde_json::json!({ self.id.as_str(): report.written(question.rules) });
            write(&self.dir.join("report.json"), pretty(&report)?.as_bytes())?;
        }
        let (question, verdict) = (question.clone(), verdict.clone());
        let record = Record { schema: SCHEMA, question, verdict };
        write(&self.dir.join("evaluation.json"), pretty(&record)?.as_bytes())
    }
}

/// JSON as the harness writes it, with a final newline.
pub(super) fn pretty(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::LogFormat;
    use crate::dataset::{EvalType, Gold};
    use crate::evaluate::again::is_kept;
    use crate::evaluate::{Again, grade};

    fn gold() -> Gold {
        Gold {
            patch: String::new(),
            test_patch: String::new(),
            fail_to_pass: vec!["a".to_owned()],
            pass_to_pass: Vec::new(),
            eval_script: None,
            eval_type: EvalType::PassAndFail,
            log_parser: None,
            version: String::new(),
            test_directives: None,
        }
    }

    fn graded(log: &str) -> Verdict {
        let report = grade(Rules::Ours, LogFormat::Pytest, &gold(), log).unwrap();
        Verdict::Graded { report: Box::new(report) }
    }

    fn refused(kind: ErrorKind) -> Verdict {
        Verdict::Error { kind, message: "no".to_owned() }
    }

    fn question(rules: Rules, row: &str, timeout: u64) -> Question {
        Question { rules, row: row.to_owned(), timeout }
    }

    #[test]
    fn a_verdict_is_found_for_the_same_patch_row_and_rules_only() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path(), &InstanceId::new("o__n-1").unwrap());
        let asked = question(Rules::Ours, "row", 60);
        let applied = refused(ErrorKind::PatchNotApplied);
        assert_eq!(folder.earlier("patch", &asked), None);
        folder.begin("patch").unwrap();
        assert_eq!(folder.earlier("patch", &asked), None);
        folder.finish(&asked, &applied).unwrap();
        assert_eq!(folder.earlier("patch", &asked), Some(applied.clone()));
        assert_eq!(folder.earlier("other", &asked), None);
        assert_eq!(folder.earlier("patch", &question(Rules::Ours, "other", 60)), None);
        for rules in [Rules::Harness5, Rules::Harness4] {
            assert_eq!(folder.earlier("patch", &question(rules, "row", 60)), None, "{rules:?}");
        }
        assert!(folder.earlier("patch", &question(Rules::Ours, "row", 600)).is_some());

        folder.begin("patch").unwrap();
        assert_eq!(folder.earlier("patch", &asked), None, "an interrupted evaluation counted");
        folder.finish(&asked, &refused(ErrorKind::TestsTimedOut)).unwrap();
        assert!(folder.earlier("patch", &question(Rules::Ours, "row", 30)).is_some());
        assert_eq!(folder.earlier("patch", &question(Rules::Ours, "row", 600)), None);

        // Records of versions before rules were ours.
        let old = serde_json::json!({"schema": SCHEMA, "row": "row", "verdict": applied});
        fs::write(dir.path().join("o__n-1/evaluation.json"), old.to_string()).unwrap();
        assert!(folder.earlier("patch", &asked).is_some());
    }

    #[test]
    fn infrastructure_failures_alone_are_made_anew_unless_more_is_asked_for() {
        let marked = |parts: &str| {
            graded(&format!(">>>>> Start Test Output\n{parts}\n>>>>> End Test Output\n"))
        };
        let killed = graded("the log of a killed run\nKilled\n");
        let cases = [
            ("resolved", marked("PASSED a")),
            ("unresolved", marked("FAILED a")),
            ("killed", killed),
            ("infra", refused(ErrorKind::Infra)),
            ("timeout", refused(ErrorKind::TestsTimedOut)),
            ("no apply", refused(ErrorKind::PatchNotApplied)),
            ("flood", refused(ErrorKind::OutputLimit)),
            ("lost", refused(ErrorKind::Lost)),
            ("test patch", refused(ErrorKind::TestPatchNotApplied)),
            ("no row", refused(ErrorKind::NotGradable)),
        ];
        let made_anew = |again: &[Again]| -> Vec<&str> {
            let anew = cases.iter().filter(|(_, verdict)| !is_kept(verdict, again));
            anew.map(|(name, _)| *name).collect()
        };
        assert_eq!(made_anew(&[]), ["killed", "infra", "no row"]);
        assert_eq!(made_anew(&[Again::Infra]), ["killed", "infra", "no row"]);
        assert_eq!(made_anew(&[Again::Timeout]), ["killed", "infra", "timeout", "no row"]);
        assert_eq!(made_anew(&[Again::Harness]), ["killed", "infra", "test patch", "no row"]);
        assert_eq!(made_anew(&[Again::Error]).len(), 8);
        assert_eq!(made_anew(&[Again::Unresolved]), ["unresolved", "killed", "infra", "no row"]);
        assert_eq!(made_anew(&[Again::Resolved]), ["resolved", "killed", "infra", "no row"]);
        assert_eq!(made_anew(&[Again::All]).len(), cases.len());
    }
}
