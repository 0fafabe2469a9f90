//! What became of one prediction, on disk: found again only for the same patch and the same row.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::artifact::InstanceId;
use crate::evaluate::InstanceReport;
use crate::scratch;

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
            Self::Infra => "infra",
        }
    }

    /// Whether the same patch would surely end in the same way again.
    fn is_final(self) -> bool {
        matches!(self, Self::PatchNotApplied | Self::OutputLimit)
    }
}

/// A verdict with what it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    schema: u32,
    /// Digest of the row that was graded against.
    row: String,
    verdict: Verdict,
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

    /// An earlier verdict about exactly this patch and row, unless another try might end better.
    pub(super) fn earlier(&self, patch: &str, row: &str) -> Option<Verdict> {
        let text = fs::read(self.dir.join("evaluation.json")).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        let same = record.schema == SCHEMA
            && record.row == row
            && fs::read(self.dir.join("patch.diff")).is_ok_and(|kept| kept == patch.as_bytes());
        let settled = match &record.verdict {
            Verdict::Graded { report } => !report.infra_failure,
            Verdict::Error { kind, .. } => kind.is_final(),
        };
        (same && settled).then_some(record.verdict)
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

    /// The saved output of the tests.
    pub(super) fn read_log(&self) -> Option<String> {
        let bytes = fs::read(self.dir.join("test_output.txt")).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Writes the output of the tests.
    pub(super) fn log(&self, log: &str) -> io::Result<()> {
        write(&self.dir.join("test_output.txt"), log.as_bytes())
    }

    /// Writes the verdict: `report.json` in the harness's shape if there is one, and last the
    /// record that makes it found again.
    pub(super) fn finish(&self, row: &str, verdict: &Verdict) -> io::Result<()> {
        if let Verdict::Graded { report } = verdict {
            let report = serde_json::json!({ self.id.as_str(): report });
            write(&self.dir.join("report.json"), pretty(&report)?.as_bytes())?;
        }
        let record = Record { schema: SCHEMA, row: row.to_owned(), verdict: verdict.clone() };
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
    let mut file = scratch::File::below(dir, ".tmp-")?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::LogFormat;
    use crate::dataset::{EvalType, Gold};
    use crate::evaluate::grade;

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

    #[test]
    fn a_verdict_is_found_for_the_same_patch_and_row_only() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path(), &InstanceId::new("o__n-1").unwrap());
        let mut report = grade(LogFormat::Pytest, &gold(), "the log of a killed run\nKilled\n");
        let broken = Verdict::Graded { report: Box::new(report.clone()) };
        assert!(report.infra_failure);
        report.infra_failure = false;
        let refused = |kind| Verdict::Error { kind, message: "no".to_owned() };
        let applied = refused(ErrorKind::PatchNotApplied);
        assert_eq!(folder.earlier("patch", "row"), None);
        folder.begin("patch").unwrap();
        assert_eq!(folder.earlier("patch", "row"), None);
        folder.finish("row", &applied).unwrap();
        assert_eq!(folder.earlier("patch", "row"), Some(applied));
        assert_eq!(folder.earlier("other", "row"), None);
        assert_eq!(folder.earlier("patch", "other"), None);

        folder.begin("patch").unwrap();
        assert_eq!(folder.earlier("patch", "row"), None, "an interrupted evaluation counted");
        for kind in [ErrorKind::Infra, ErrorKind::TestsTimedOut, ErrorKind::TestPatchNotApplied] {
            folder.finish("row", &refused(kind)).unwrap();
            assert_eq!(folder.earlier("patch", "row"), None, "{kind:?} was not tried again");
        }
        folder.finish("row", &broken).unwrap();
        assert_eq!(folder.earlier("patch", "row"), None);
        folder.finish("row", &Verdict::Graded { report: Box::new(report) }).unwrap();
        assert!(folder.earlier("patch", "row").is_some());
    }
}
