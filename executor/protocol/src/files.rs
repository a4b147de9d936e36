//! The manifest of changed files. The bytes are fetched one file at a time by index.

use serde::{Deserialize, Serialize};

/// One file whose content is not what it was before the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Relative to the workspace.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its content in lower-case hexadecimal.
    pub sha256: String,
}

/// One file that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkippedFile {
    /// Relative to the workspace; with replacement characters when the name is not UTF-8.
    pub path: String,
    /// Why it was left out.
    pub reason: SkipReason,
}

/// Why a changed file is not handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// It could not be opened or read, or has hard links outside the workspace.
    Unreadable,
    /// Its name is not UTF-8.
    NameNotUtf8,
    /// It is larger than `limits.fileBytes`.
    TooLarge,
    /// There were more than `limits.files`, or more than a walk looks at.
    TooManyFiles,
    /// With it the sum would be more than `limits.filesTotalBytes`.
    TotalTooLarge,
    /// It was not the same at the end of reading as at the start.
    ChangedWhileReading,
    /// The operator could not store it. Never said by an executor.
    StoreFailed,
}
