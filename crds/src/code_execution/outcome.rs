//! The parts of a `CodeExecution` status that tell what came of the program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::DIGEST;
use crate::LocalReference;

/// One output stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputText {
    /// The text, or its beginning when it is stored elsewhere.
    #[serde(default)]
    #[schemars(length(max = 65_536))]
    pub text: String,
    /// How many bytes the program wrote, whatever was kept.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
    /// Whether more was written than `limits.outputBytes`, so that text is missing.
    #[serde(default)]
    pub truncated: bool,
    /// The hash of the whole kept text in the store, when it is too long for `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DIGEST))]
    pub stored_as: Option<String>,
}

/// One typed part of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResultPart {
    /// What it is called, e.g. `tool_output`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its media type, e.g. `application/json`.
    #[schemars(length(min = 1, max = 253))]
    pub media_type: String,
    /// The part itself as text, or empty when it is stored.
    #[serde(default)]
    #[schemars(length(max = 65_536))]
    pub data: String,
    /// The hash of the part in the store, when it is too long for `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DIGEST))]
    pub stored_as: Option<String>,
}

/// A file that the program changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputFile {
    /// Its path relative to the workspace, exactly as the program called it.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,
    /// The `SandboxFile` that keeps it.
    pub file_ref: LocalReference,
    /// The hash of its content.
    #[schemars(regex(pattern = DIGEST))]
    pub sha256: String,
    /// Its size.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
}

/// A changed file that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedFile {
    /// Its path, with replacement characters where it is not UTF-8.
    #[schemars(length(max = 4096))]
    pub path: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why a changed file was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SkipReason {
    /// It could not be read.
    Unreadable,
    /// Its name is not UTF-8.
    NameNotUtf8,
    /// It is larger than `limits.outputFileBytes`.
    TooLarge,
    /// There are more files than `limits.outputFiles`.
    TooManyFiles,
    /// All files together are larger than `limits.outputFilesBytes`.
    TotalTooLarge,
    /// It changed while it was read.
    ChangedWhileReading,
    /// The store did not take it.
    StoreFailed,
}

/// A package that was to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageResult {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The version that was installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub version: Option<String>,
    /// Why it could not be installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub error: Option<String>,
    /// How long that took.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub install_milliseconds: i64,
}

/// What of the platform kept an execution from starting. A closed set: what a client is told depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailureCause {
    /// A quota of the namespace is used up.
    QuotaExceeded,
    /// No node takes the pod, or none had room in time.
    Unschedulable,
    /// The pod can never start, e.g. because its image cannot be had.
    CannotStart,
    /// The workspace's volume cannot be attached.
    VolumeUnavailable,
}

/// What was at fault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What of the platform was at fault, when it was the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<FailureCause>,
    /// The field of the spec, e.g. `files[0].source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub field: Option<String>,
    /// That field's value, when it is short and no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub value: Option<String>,
    /// The sentence for people.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// How long each stage took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// From seeing the object to having a sandbox.
    #[schemars(range(min = 0))]
    pub queued_milliseconds: i64,
    /// From having a sandbox to the program's start.
    #[schemars(range(min = 0))]
    pub start_milliseconds: i64,
    /// From the program's start to its end.
    #[schemars(range(min = 0))]
    pub run_milliseconds: i64,
    /// From the program's end to having its files.
    #[schemars(range(min = 0))]
    pub collect_milliseconds: i64,
}

/// What the program used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// CPU time of all its processes.
    #[schemars(range(min = 0))]
    pub cpu_milliseconds: i64,
    /// The largest resident memory of one of its processes.
    #[schemars(range(min = 0))]
    pub peak_memory_bytes: i64,
}
