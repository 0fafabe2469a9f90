//! The source releases of a package: fetched once by pip inside a build container, kept in the
//! cache.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::images::ImageError;
use crate::images::environment::Layer;
use crate::images::packages::Package;
use crate::images::packages::cache::write_atomically;
use crate::images::workshop::{Workshop, step};

/// Largest sum of a package's archives.
const MAX_BYTES: usize = 256 << 20;

/// Fetches without asking an index for build tools: the environment has the package's own.
const FETCH: &str = r#"
set -eu
mkdir -p /agent-build/out
cd /agent-build/out
for version in "$AGENT_BASE" "$AGENT_FIX"; do
    python -m pip download --no-cache-dir --disable-pip-version-check --no-deps \
        --no-build-isolation --no-binary :all: "$AGENT_PACKAGE==$version"
done
"#;

/// The two archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) base: PathBuf,
    pub(crate) fix: PathBuf,
}

impl Sources {
    /// Those of `package` in `dir`, if both are there.
    pub(crate) fn cached(package: &Package, dir: &Path) -> Option<Self> {
        let find = |version: &str| {
            let entries = fs::read_dir(dir).ok()?;
            entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                name.is_some_and(|name| is_archive_of(&name, &package.package, version))
            })
        };
        Some(Self { base: find(&package.base)?, fix: find(&package.fix)? })
    }

    /// Takes them from `dir`, or fetches them into it.
    ///
    /// # Errors
    /// [`ImageError`] with pip's own words if the index does not serve them.
    pub(crate) async fn ready(
        package: &Package,
        dir: &Path,
        layer: &Layer,
        workshop: &Workshop<'_>,
    ) -> Result<Self, ImageError> {
        if let Some(cached) = Self::cached(package, dir) {
            return Ok(cached);
        }
        let fetch = async |container: &crate::sandbox::docker::Container| {
            workshop.trust(container).await?;
            let script = workshop
                .script(FETCH)
                .env("AGENT_PACKAGE", &package.package)
                .env("AGENT_BASE", &package.base)
                .env("AGENT_FIX", &package.fix);
            step(container, &script, "fetching the source releases", &layer.image).await?;
            Ok(container.download_tar("/agent-build/out", MAX_BYTES).await?)
        };
        let tar = workshop.with(&layer.image, &package.instance_id, fetch).await?;
        save(&tar, dir)?;
        Self::cached(package, dir).ok_or_else(|| ImageError::Step {
            step: "fetching the source releases",
            image: layer.image.clone(),
            log: format!(
                "pip fetched no archive of {} {} and {}",
                package.package, package.base, package.fix
            ),
        })
    }
}

/// Writes the files of a tar archive into `dir`, each under its last name.
fn save(tar: &[u8], dir: &Path) -> Result<(), ImageError> {
    let failed = |source| ImageError::Io {
        action: format!("keep the source releases in {}", dir.display()),
        source,
    };
    fs::create_dir_all(dir).map_err(failed)?;
    for entry in tar::Archive::new(tar).entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(failed)?.into_owned();
        let Some(name) = path.file_name() else { continue };
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(failed)?;
        write_atomically(&dir.join(name), &content).map_err(failed)?;
    }
    Ok(())
}

/// Whether `file` is named as a source archive of that release; index servers differ in how they
/// write a package's name.
fn is_archive_of(file: &str, package: &str, version: &str) -> bool {
    let Some(stem) = [".tar.gz", ".tgz", ".zip"].iter().find_map(|end| file.strip_suffix(end))
    else {
        return false;
    };
    let name = stem.strip_suffix(version).and_then(|rest| rest.strip_suffix('-'));
    name.is_some_and(|name| plain(name) == plain(package))
}

/// A package's name in its normal form.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_found_however_the_index_writes_the_name() {
        assert!(is_archive_of("python-dotenv-0.19.1.tar.gz", "python-dotenv", "0.19.1"));
        assert!(is_archive_of("python_dotenv-0.19.1.zip", "python-dotenv", "0.19.1"));
        assert!(is_archive_of("pyjwt-2.10.0.tar.gz", "PyJWT", "2.10.0"));
        assert!(!is_archive_of("pyjwt-2.10.0.tar.gz", "PyJWT", "10.0"));
        assert!(!is_archive_of("pyjwt-2.10.1.tar.gz", "PyJWT", "2.10.0"));
        assert!(!is_archive_of("pyjwt-2.10.0-py3-none-any.whl", "PyJWT", "2.10.0"));
    }
}
