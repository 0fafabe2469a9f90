//! What can be wrong with a dataset, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::dataset::{HubError, ParquetFault};

/// Where in a dataset something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Line of a `.jsonl` file, from 1.
    Line(usize),
    /// Entry of a `.json` file, from 1.
    Entry(usize),
    /// Row of a `.parquet` file, from 1.
    Row(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Entry(entry) => write!(f, "entry {entry}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// Why a dataset cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file cannot be read.
    #[error("cannot read dataset {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The name ends in something else than those of files with rows.
    #[error(
        "dataset {path} is {found}, but rows are read from .jsonl, .json and .parquet files and \
         from folders of .parquet files"
    )]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// A compressed file that cannot be unpacked.
    #[error("dataset {path} cannot be unpacked")]
    Unpack {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        #[source]
        source: io::Error,
    },
    /// A parquet file that cannot be read.
    #[error("cannot read dataset {path}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ParquetFault,
    },
    /// A folder whose parquet files do not say which are meant.
    #[error("dataset {path} {why}")]
    Split {
        /// The folder.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// A dataset of the hub that cannot be had.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// Not UTF-8.
    #[error("dataset {path}, {place}: the text is not UTF-8")]
    Encoding {
        /// The file.
        path: PathBuf,
        /// Where.
        place: Place,
    },
    /// Not JSON.
    #[error("dataset {path}, {place}: invalid JSON")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where.
        place: Place,
        /// The parser's words; its line counts from the row's first line.
        #[source]
        source: serde_json::Error,
    },
    /// A `.json` file that is not JSON.
    #[error("dataset {path}: invalid JSON")]
    JsonFile {
        /// The file.
        path: PathBuf,
        /// The parser's words, with line and column of the file.
        #[source]
        source: serde_json::Error,
    },
    /// A `.json` file that holds neither a list nor an object of rows.
    #[error("dataset {path}: expected a list of rows or an object of rows by id, found {found}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: &'static str,
    },
    /// A row that is not an object.
    #[error("dataset {path}, {place}: expected an object, found {found}")]
    NotAnObject {
        /// The file.
        path: PathBuf,
        /// Where.
        place: Place,
        /// What the row is.
        found: &'static str,
    },
    /// A field is missing or wrong.
    #[error("dataset {path}, {place}: field `{field}` {problem}")]
    Field {
        /// The file.
        path: PathBuf,
        /// Where.
        place: Place,
        /// Its name.
        field: &'static str,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// Two rows of one id.
    #[error("dataset {path}, {place}: instance_id {id:?} is already taken by {first}")]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The later row.
        place: Place,
        /// The id.
        id: String,
        /// The earlier row, with its file if that is another.
        first: String,
    },
    /// No rows.
    #[error("dataset {path} holds no rows")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A name that stands for nothing, and no such file.
    #[error("there is no dataset {name:?}: neither a known name ({known}) nor a file")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The known names.
        known: String,
    },
    /// A dataset that must be built first.
    #[error("dataset {name} has not been built: {path} is missing")]
    NotBuilt {
        /// Its name.
        name: &'static str,
        /// The file that should be there.
        path: PathBuf,
    },
}

impl DatasetError {
    /// Whether the surroundings are at fault and not what was asked for.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        matches!(self, Self::Hub(error) if error.is_environment())
    }

    /// What the user can do about it, where one thing mends it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotBuilt { name, .. } => {
                Some(format!("build it with `agent images build {name}`"))
            }
            Self::Hub(error) => error.hint(),
            Self::Split { .. } => Some("give the path of one of its files".to_owned()),
            _ => None,
        }
    }
}
