//! Names that are checked once and then carried as types, and names that are derived.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The pool that an execution uses when it names none.
pub const DEFAULT_POOL: &str = "default";
/// The field manager and user agent of our writes.
pub const FIELD_MANAGER: &str = "carrel";

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not 64 lower-case hex digits.
    #[error("a content hash has 64 lower-case hex digits")]
    Digest,
}

/// The SHA-256 of some bytes, as 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct BlobDigest(#[schemars(regex(pattern = r"^[0-9a-f]{64}$"))] String);

impl BlobDigest {
    /// The hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BlobDigest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let valid = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Self(text.to_owned())).ok_or(NameError::Digest)
    }
}

impl TryFrom<String> for BlobDigest {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<BlobDigest> for String {
    fn from(digest: BlobDigest) -> Self {
        digest.0
    }
}

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of the `SandboxFile` for one changed file of one execution.
///
/// It is a UUID, because clients of one dialect address files by UUID, and it is derived, so that an operator
/// that collects the same file again after a restart finds the object it already made.
#[must_use]
pub fn produced_file(execution_uid: &str, path: &str) -> String {
    let space = Uuid::new_v5(&Uuid::NAMESPACE_OID, execution_uid.as_bytes());
    Uuid::new_v5(&space, path.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_lower_case_hex_digits() {
        assert!("0123456789abcdef".repeat(4).parse::<BlobDigest>().is_ok());
        for bad in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert_eq!(bad.parse::<BlobDigest>(), Err(NameError::Digest), "{bad:?}");
        }
    }

    #[test]
    fn a_produced_file_has_one_name_for_one_execution_and_path() {
        assert_eq!(produced_file("u1", "a.txt"), produced_file("u1", "a.txt"));
        assert_ne!(produced_file("u1", "a.txt"), produced_file("u1", "b.txt"));
        assert_ne!(produced_file("u1", "a.txt"), produced_file("u2", "a.txt"));
        assert!(Uuid::parse_str(&produced_file("u1", "a.txt")).is_ok());
    }
}
