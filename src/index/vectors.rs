//! Vectors of texts, by a digest of what they are of: asked for once, kept beside the index.
//!
//! A file of records that only grows: key (16 bytes), length of the vector in bytes (4), its numbers,
//! CRC-32 of all before (4); all little endian. What follows a record that is torn is cut off by the
//! next that writes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::event::Events;
use crate::index::cache::Home;

/// Digest of a text and of what makes its vector.
pub type VectorKey = [u8; 16];

/// Files of this format; another one gets another name.
pub(crate) const PREFIX: &str = "vectors-";
const VERSION: u32 = 1;

/// A longer vector is no vector.
const LONGEST: u32 = 1 << 20;

/// Vectors of one repository's texts. All vectors of one space come from one model.
#[derive(Debug, Default)]
pub(crate) struct VectorStore {
    spaces: Mutex<HashMap<String, Space>>,
}

#[derive(Debug, Default)]
struct Space {
    file: Option<File>,
    /// Where each vector lies in the file, and its bytes.
    kept: HashMap<VectorKey, (u64, u32)>,
    /// Those that are in no file.
    held: HashMap<VectorKey, Vec<f32>>,
    /// Where the last whole record ends.
    end: u64,
}

impl VectorStore {
    /// The vectors of `keys`, where there are any.
    pub(crate) fn get(
        &self,
        home: Option<&Home>,
        space: &str,
        keys: &[VectorKey],
    ) -> Vec<Option<Vec<f32>>> {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        let space = spaces.entry(space.to_owned()).or_insert_with(|| Space::open(home, space));
        keys.iter().map(|key| space.get(key)).collect()
    }

    /// Keeps vectors; in memory alone where they cannot be written, which is said.
    pub(crate) fn add(
        &self,
        home: Option<&Home>,
        name: &str,
        vectors: Vec<(VectorKey, Vec<f32>)>,
        events: &Events,
    ) {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        let space = spaces.entry(name.to_owned()).or_default();
        if let Some(home) = home {
            match space.append(home, name, &vectors, events) {
                Ok(()) => return,
                Err(error) => events.notice(format!(
                    "embeddings cannot be kept in {} ({error}); they stay in memory",
                    home.path.display()
                )),
            }
        }
        space.held.extend(vectors);
    }
}

fn name(space: &str) -> String {
    let digest = Sha256::digest(space.as_bytes());
    let digest = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{PREFIX}{VERSION}-{digest}.bin")
}

impl Space {
    fn open(home: Option<&Home>, space: &str) -> Self {
        let mut own = Self::default();
        if let Some(home) = home {
            // What cannot be read is asked for again.
            let _ = own.refresh(&home.join(&name(space)));
        }
        own
    }

    /// Reads what others have added.
    fn refresh(&mut self, path: &Path) -> std::io::Result<()> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Never there, or removed with all that it held.
                (self.file, self.end) = (None, 0);
                self.kept.clear();
                return Ok(());
            }
            other => other?,
        };
        if file.metadata()?.len() < self.end {
            self.end = 0;
            self.kept.clear();
        }
        file.seek(SeekFrom::Start(self.end))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut at = 0;
        while let Some((key, length, whole)) = record(&bytes[at..]) {
            self.kept.insert(key, (self.end + at as u64 + 20, length));
            at += whole;
        }
        self.end += at as u64;
        self.file = Some(file);
        Ok(())
    }

    fn get(&self, key: &VectorKey) -> Option<Vec<f32>> {
        if let Some(vector) = self.held.get(key) {
            return Some(vector.clone());
        }
        let (at, length) = self.kept.get(key)?;
        let mut bytes = vec![0; *length as usize];
        self.file.as_ref()?.read_exact_at(&mut bytes, *at).ok()?;
        Some(bytes.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)).collect())
    }

    fn append(
        &mut self,
        home: &Home,
        space: &str,
        vectors: &[(VectorKey, Vec<f32>)],
        events: &Events,
    ) -> std::io::Result<()> {
        let _lock =
            home.lock(events).ok_or_else(|| std::io::Error::other("it cannot be locked"))?;
        let path = home.join(&name(space));
        self.refresh(&path)?;
        let mut bytes = Vec::new();
        for (key, vector) in vectors.iter().filter(|(key, _)| !self.kept.contains_key(key)) {
            let start = bytes.len();
            bytes.extend_from_slice(key);
            let length = u32::try_from(vector.len() * 4).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_le_bytes());
            vector.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
            let sum = crc32fast::hash(&bytes[start..]);
            bytes.extend_from_slice(&sum.to_le_bytes());
        }
        let mut file = File::options().create(true).truncate(false).write(true).open(&path)?;
        file.set_len(self.end)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(&bytes)?;
        self.refresh(&path)
    }
}

/// Key, bytes of the vector, and bytes of the record at the start of `bytes`, if it is whole.
fn record(bytes: &[u8]) -> Option<(VectorKey, u32, usize)> {
    let (key, rest) = bytes.split_first_chunk::<16>()?;
    let (length, _) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length > LONGEST || !length.is_multiple_of(4) {
        return None;
    }
    let end = 20 + length as usize;
    let sum = bytes.get(end..end + 4)?;
    (crc32fast::hash(&bytes[..end]).to_le_bytes() == sum).then_some((*key, length, end + 4))
}
