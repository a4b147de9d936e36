//! Names in the store, and nothing else: objects lie flat at `<root>/<sha256>`, bytes without a name yet
//! at `<root>/.staging/<random>`. No I/O.
//!
//! The root may be shared with clients who read objects there and put files of their own beside them. So
//! a name counts as ours only when it has exactly one of these two forms.

use std::{fmt, str::FromStr};

use object_store::path::Path;
use uuid::Uuid;

use crate::{Digest, digest::is_lower_hex};

/// The folder for staging keys. The leading dot keeps it out of the names that clients may use for files.
pub(crate) const STAGING: &str = ".staging";

/// What separates a staging key from the number that `object_store` adds while a file is being written.
const UNFINISHED: char = '#';

/// Where staged bytes wait: 32 lower-case hexadecimal digits, chosen at random.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StagingKey(String);

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a staging key is 32 lower-case hexadecimal digits")]
pub struct InvalidStagingKey;

impl StagingKey {
    const LENGTH: usize = 32;

    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }

    /// The written form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StagingKey {
    type Err = InvalidStagingKey;

    fn from_str(text: &str) -> Result<Self, InvalidStagingKey> {
        let valid = text.len() == Self::LENGTH && is_lower_hex(text);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidStagingKey) }
    }
}

impl fmt::Display for StagingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the object of this name lies.
pub(crate) fn object(digest: &Digest) -> Path {
    Path::from(digest.as_str())
}

/// Where the bytes of this key wait.
pub(crate) fn staged(key: &StagingKey) -> Path {
    Path::from_iter([STAGING, key.as_str()])
}

/// Whether a file in the staging folder is one of ours, finished or not.
pub(crate) fn is_staging_name(name: &str) -> bool {
    let (key, number) = name.split_once(UNFINISHED).unwrap_or((name, "0"));
    key.parse::<StagingKey>().is_ok() && number.parse::<u32>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_lie_flat_under_their_digest() {
        let digest = Digest::of(b"abc");
        assert_eq!(object(&digest).as_ref(), digest.as_str());
    }

    #[test]
    fn a_staging_key_survives_being_written_down() {
        let key = StagingKey::random();
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        assert_eq!(staged(&key).as_ref(), format!(".staging/{key}"));
    }

    #[test]
    fn only_names_we_make_count_as_ours() {
        let key = StagingKey::random();
        for ours in [key.to_string(), format!("{key}#1"), format!("{key}#27")] {
            assert!(is_staging_name(&ours), "{ours}");
        }
        let foreign =
            [format!("{key}#"), format!("{key}#x"), format!("{key}.txt"), key.to_string().to_uppercase()];
        for name in foreign.iter().map(String::as_str).chain(["", "note", "..", "#1"]) {
            assert!(!is_staging_name(name), "{name}");
        }
    }
}
