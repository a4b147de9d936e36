//! Finished executions → answers of the dialects (contract, sections 6.2, 9.1 and 9.2). Pure.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use crds::{
    CodeExecutionStatus,
    code_execution::{OutputFile, OutputText, SkipReason, SkippedFile},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    output::{limited, with_timeout_line},
    reasons::Ending,
};

/// A finished execution with everything that was stored elsewhere fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// How it ended.
    pub ending: Ending,
    /// The terminal status.
    pub status: CodeExecutionStatus,
    /// The kept stdout, whole.
    pub stdout: String,
    /// The kept stderr, whole.
    pub stderr: String,
    /// All changed files.
    pub files: Vec<OutputFile>,
}

impl Finished {
    fn shown(text: &str, stream: Option<&OutputText>, limit: usize) -> String {
        limited(text, stream.is_some_and(|stream| stream.truncated), limit)
    }

    /// Whether a stream was longer than what was kept.
    #[must_use]
    pub fn truncated(&self) -> bool {
        [&self.status.stdout, &self.status.stderr].into_iter().flatten().any(|stream| stream.truncated)
    }

    /// Time of the run and of the collection of its files.
    #[must_use]
    pub fn duration_milliseconds(&self) -> i64 {
        let timings = self.status.timings.unwrap_or_default();
        timings.run_milliseconds.saturating_add(timings.collect_milliseconds).max(0)
    }
}

/// A changed file that is not returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Skipped {
    /// Its path.
    pub path: String,
    /// Why, one word.
    pub reason: &'static str,
}

/// The limits of one returned file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FileMetadata {
    /// How often it can still be downloaded; null = as often as wanted.
    pub remaining_downloads: Option<i64>,
    /// When it ends, naive local time with microseconds; null = never.
    pub expires_at: Option<String>,
}

/// The answer of a bee/tgpt execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BeeAnswer {
    /// What the program wrote.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// Its exit code; -1 when it was killed or timed out.
    pub exit_code: i32,
    /// Changed files: path → SHA-256 of the content.
    pub files: BTreeMap<String, String>,
    /// Only in a tgpt answer: the limits of each file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_metadata: Option<BTreeMap<String, FileMetadata>>,
    /// Only in a tgpt answer: the chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// Changed files that are not returned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files_skipped: Vec<Skipped>,
}

/// What only a tgpt answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TgptExtras {
    /// The chat.
    pub chat_id: String,
    /// The limit of every file.
    pub max_downloads: Option<i64>,
    /// The end of every file in local time.
    pub expires_at: Option<NaiveDateTime>,
}

/// The bee/tgpt answer; `extras` when it has six keys.
#[must_use]
pub fn bee_answer(finished: &Finished, limit: usize, extras: Option<TgptExtras>) -> BeeAnswer {
    let stderr = Finished::shown(&finished.stderr, finished.status.stderr.as_ref(), limit);
    let timed_out = finished.ending == Ending::TimedOut;
    let key = |file: &OutputFile| format!("/workspace/{}", file.path);
    let files: BTreeMap<_, _> = finished.files.iter().map(|file| (key(file), file.sha256.clone())).collect();
    let metadata = extras
        .as_ref()
        .map(|extras| files.keys().map(|path| (path.clone(), file_metadata(extras))).collect());
    BeeAnswer {
        stdout: Finished::shown(&finished.stdout, finished.status.stdout.as_ref(), limit),
        stderr: if timed_out { with_timeout_line(stderr) } else { stderr },
        exit_code: finished.ending.bee_code(),
        files,
        files_metadata: metadata,
        chat_id: extras.map(|extras| extras.chat_id),
        files_skipped: skipped(&finished.status.files_skipped, "/workspace/"),
    }
}

fn file_metadata(extras: &TgptExtras) -> FileMetadata {
    FileMetadata {
        remaining_downloads: extras.max_downloads,
        // Clients subtract a naive now() from it, so it has no offset.
        expires_at: extras.expires_at.map(|end| end.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()),
    }
}

/// A file of an onyx answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OnyxFile {
    /// Its path relative to the workspace.
    pub path: String,
    /// Always `file`.
    pub kind: &'static str,
    /// What it is fetched by.
    pub file_id: String,
}

/// The answer of an onyx execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OnyxAnswer {
    /// What the program wrote.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// Its exit code; 128 + n after signal n, null when it timed out.
    pub exit_code: Option<i32>,
    /// Whether it ran into its deadline.
    pub timed_out: bool,
    /// Time of the run and of the collection of its files.
    pub duration_ms: i64,
    /// Changed files.
    pub files: Vec<OnyxFile>,
    /// Changed files that are not returned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files_skipped: Vec<Skipped>,
}

/// The onyx answer.
#[must_use]
pub fn onyx_answer(finished: &Finished, limit: usize) -> OnyxAnswer {
    OnyxAnswer {
        stdout: Finished::shown(&finished.stdout, finished.status.stdout.as_ref(), limit),
        stderr: Finished::shown(&finished.stderr, finished.status.stderr.as_ref(), limit),
        exit_code: finished.ending.onyx_code(),
        timed_out: finished.ending == Ending::TimedOut,
        duration_ms: finished.duration_milliseconds(),
        files: onyx_files(&finished.files),
        files_skipped: skipped(&finished.status.files_skipped, ""),
    }
}

/// The last event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StreamResult {
    /// As in [`OnyxAnswer`].
    pub exit_code: Option<i32>,
    /// As in [`OnyxAnswer`].
    pub timed_out: bool,
    /// As in [`OnyxAnswer`].
    pub duration_ms: i64,
    /// As in [`OnyxAnswer`].
    pub files: Vec<OnyxFile>,
    /// Present and true when the output was cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Changed files that are not returned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files_skipped: Vec<Skipped>,
}

/// The `result` event.
#[must_use]
pub fn stream_result(finished: &Finished) -> StreamResult {
    StreamResult {
        exit_code: finished.ending.onyx_code(),
        timed_out: finished.ending == Ending::TimedOut,
        duration_ms: finished.duration_milliseconds(),
        files: onyx_files(&finished.files),
        truncated: finished.truncated(),
        files_skipped: skipped(&finished.status.files_skipped, ""),
    }
}

fn onyx_files(files: &[OutputFile]) -> Vec<OnyxFile> {
    let file = |file: &OutputFile| OnyxFile {
        path: file.path.clone(),
        kind: "file",
        file_id: file.file_ref.name.clone(),
    };
    files.iter().map(file).collect()
}

fn skipped(files: &[SkippedFile], prefix: &str) -> Vec<Skipped> {
    files
        .iter()
        .map(|file| Skipped { path: format!("{prefix}{}", file.path), reason: word(file.reason) })
        .collect()
}

const fn word(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Unreadable => "unreadable",
        SkipReason::NameNotUtf8 => "name_not_utf8",
        SkipReason::TooLarge => "too_large",
        SkipReason::TooManyFiles => "too_many_files",
        SkipReason::TotalTooLarge => "total_too_large",
        SkipReason::ChangedWhileReading => "changed_while_reading",
        SkipReason::StoreFailed => "store_failed",
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
