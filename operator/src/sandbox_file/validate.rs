//! A file as it is → where its bytes come from: pure.

use crds::sandbox_file::{ByteSource, StagedBytes};

/// Where the bytes come from, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValidSource {
    /// The text itself.
    Inline(String),
    /// Staged bytes of that hash and size.
    Staged(blobs::Staged),
    /// The execution controller sees to it.
    Produced,
}

/// Checks a source. The error is a sentence for people.
pub(crate) fn validate(source: &ByteSource) -> Result<ValidSource, String> {
    let ByteSource { inline, staged, produced } = source;
    match (inline, staged, produced) {
        (Some(text), None, None) => Ok(ValidSource::Inline(text.clone())),
        (None, Some(staged), None) => self::staged(staged),
        (None, None, Some(_)) => Ok(ValidSource::Produced),
        _ => Err("exactly one of inline, staged, produced must be set".to_owned()),
    }
}

fn staged(staged: &StagedBytes) -> Result<ValidSource, String> {
    let key = staged.key.parse().map_err(|error| format!("spec.source.staged.key: {error}"))?;
    let digest = staged.sha256.parse().map_err(|error| format!("spec.source.staged.sha256: {error}"))?;
    let size_bytes = u64::try_from(staged.size_bytes)
        .map_err(|_| "spec.source.staged.sizeBytes must not be negative".to_owned())?;
    Ok(ValidSource::Staged(blobs::Staged { key, digest, size_bytes }))
}
