//! What the grader left of a prediction, copied into the package.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use flate2::{Compression, GzBuilder};

use crate::artifact::Prediction;
use crate::submission::{PackError, make_parent, write};

/// Copies `grades/<id>` to `logs/<id>`; without grades only the patch is there.
pub(super) fn copy(
    at: &Path,
    grades: Option<&Path>,
    prediction: &Prediction,
) -> Result<(), PackError> {
    let id = prediction.instance_id.as_str();
    let to = at.join("logs").join(id);
    let from = grades.map(|dir| dir.join(id));
    let read = |name: &str| -> Result<Option<Vec<u8>>, PackError> {
        let Some(path) = from.as_ref().map(|dir| dir.join(name)) else { return Ok(None) };
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PackError::io("read", &path)(error)),
        }
    };
    // The grader's own copy, so that a verdict about another patch is noticed.
    match read("patch.diff")? {
        Some(patch) => write(&to.join("patch.diff"), &patch)?,
        None if prediction.model_patch.is_empty() => {}
        None => write(&to.join("patch.diff"), prediction.model_patch.as_bytes())?,
    }
    for name in ["report.json", "run_instance.log"] {
        if let Some(bytes) = read(name)? {
            write(&to.join(name), &bytes)?;
        }
    }
    if let Some(log) = read("test_output.txt")? {
        let path = to.join("test_output.txt.gz");
        make_parent(&path)?;
        compress(&path, &log).map_err(PackError::io("write", &path))?;
    }
    Ok(())
}

/// Without a time, so that equal logs give equal files.
fn compress(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut out = GzBuilder::new().mtime(0).write(fs::File::create(path)?, Compression::default());
    out.write_all(bytes)?;
    out.finish()?;
    Ok(())
}
