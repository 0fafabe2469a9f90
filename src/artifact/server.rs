//! Which program serves a model.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A model server, as far as it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The program; empty if it does not say.
    pub name: String,
    /// Its version; empty if it does not say.
    pub version: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.version.as_str()) {
            ("", "") => f.write_str("unknown"),
            (name, "") => f.write_str(name),
            ("", version) => write!(f, "unknown, version {version}"),
            (name, version) => write!(f, "{name} {version}"),
        }
    }
}
