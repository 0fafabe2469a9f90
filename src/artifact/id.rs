//! Names of instances, candidates and tests: newtypes that are validated once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {text:?}: {reason}")]
pub struct InvalidId {
    what: &'static str,
    text: String,
    reason: &'static str,
}

/// A benchmark instance's name, such as `django__django-11099`.
///
/// It names a directory of the run, a container label and a request header, so it holds 1 to 200
/// ASCII characters out of letters, digits, `.`, `_`, `-` and `+`, and does not start with a dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId(String);

impl InstanceId {
    /// Validates `text`.
    ///
    /// # Errors
    /// [`InvalidId`] says which rule `text` breaks.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        let invalid = |reason| InvalidId { what: "instance id", text: text.clone(), reason };
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if text.len() > 200 {
            return Err(invalid("it is longer than 200 characters"));
        }
        if text.starts_with('.') {
            return Err(invalid("it starts with a dot"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
        if !text.chars().all(allowed) {
            return Err(invalid("it may hold only ASCII letters, digits and . _ - +"));
        }
        Ok(Self(text))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for InstanceId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.0
    }
}

impl FromStr for InstanceId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

macro_rules! numbered_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:03}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .filter(|digits| digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit()))
                    .and_then(|digits| digits.parse().ok())
                    .map(Self)
                    .ok_or_else(|| InvalidId {
                        what: $what,
                        text: text.to_owned(),
                        reason: concat!("expected ", $prefix, " and at least three digits"),
                    })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

numbered_id!(
    /// A repair candidate, written `c000`; the number is the sample's index.
    CandidateId, "c", "candidate id"
);
numbered_id!(
    /// A reproduction test, written `t000`; the number is the sample's index.
    TestId, "t", "test id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_ids_cannot_escape_the_run_directory() {
        for bad in ["", "..", ".hidden", "a/b", "a\\b", "a b", "ä", &"x".repeat(201)] {
            assert!(InstanceId::new(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["django__django-11099", "scikit-learn__scikit-learn-13439", "c++_x.1"] {
            assert_eq!(InstanceId::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn numbered_ids_round_trip_and_order_by_number() {
        assert_eq!(CandidateId(7).to_string(), "c007");
        assert_eq!("c1234".parse::<CandidateId>().unwrap(), CandidateId(1234));
        assert!("c12".parse::<CandidateId>().is_err());
        assert!("t000".parse::<CandidateId>().is_err());
        assert!("c+12".parse::<CandidateId>().is_err());
        assert!(CandidateId(999) < CandidateId(1000));
    }
}
