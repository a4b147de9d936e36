//! The status of a `CodeExecution`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    outcome::{Failure, OutputFile, OutputText, PackageResult, ResultPart, SkippedFile, Timings, Usage},
    spec::DIGEST,
};
use crate::{Condition, Reason};

/// The execution has ended, either way. What `kubectl wait` should wait for.
pub const CONDITION_FINISHED: &str = "Finished";
/// The program ended with 0.
pub const CONDITION_COMPLETE: &str = "Complete";
/// The execution ended in any other way.
pub const CONDITION_FAILED: &str = "Failed";

/// Where in its life an execution is.
///
/// `Pending` → `Queued` → `Running` → `Succeeded` or `Failed`. Only the operator moves it; `Queued` and
/// `Running` are skipped when they last too short to be worth a write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExecutionPhase {
    /// Nobody has looked at it yet.
    #[default]
    Pending,
    /// It waits for a sandbox.
    Queued,
    /// The program runs.
    Running,
    /// The program ended with 0. Final.
    Succeeded,
    /// It ended in any other way. Final.
    Failed,
}

impl ExecutionPhase {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// What is known of an execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodeExecutionStatus {
    /// Where in its life it is; `conditions` say the same for machines.
    #[serde(default)]
    pub phase: ExecutionPhase,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The program's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 255))]
    pub exit_code: Option<i32>,
    /// The signal that ended the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub signal: Option<i32>,
    /// What the program wrote to stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<OutputText>,
    /// What the program wrote to stderr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<OutputText>,
    /// Typed parts of the result; a tool's output is one, as JSON text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub results: Vec<ResultPart>,
    /// Whether the program gave more results than are here: too many or too large ones, or the store did not take one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub results_truncated: bool,
    /// The files that the program changed, in the order of their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1000),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"])
    )]
    pub files: Vec<OutputFile>,
    /// The hash of the stored list of all changed files, when it is too long for `files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DIGEST))]
    pub files_stored_as: Option<String>,
    /// How many files the program changed and we kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub files_count: Option<i32>,
    /// Changed files that were not kept, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub files_skipped: Vec<SkippedFile>,
    /// How many changed files were not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub files_skipped_count: Option<i32>,
    /// What was installed for the program, or could not be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub packages: Vec<PackageResult>,
    /// Which input was at fault, when one was, or what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When the program was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<DateTime<Utc>>,
    /// When the outcome was known. `ttlSecondsAfterFinished` counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<DateTime<Utc>>,
    /// How long each stage took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// What the program used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The pod that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod_name: Option<String>,
    /// That pod's uid.
    #[serde(rename = "podUID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub pod_uid: Option<String>,
    /// The node of that pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node_name: Option<String>,
    /// The image that pod ran.
    #[serde(rename = "imageID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image_id: Option<String>,
    /// The layers of isolation that this run really had, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 64)), extend("x-kubernetes-list-type" = "atomic"))]
    pub isolation: Vec<String>,
    /// `Finished`, `Complete` and `Failed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What of a status does not change any more once its phase is terminal.
pub const FINAL_FIELDS: [&str; 15] = [
    "phase",
    "reason",
    "exitCode",
    "signal",
    "stdout",
    "stderr",
    "files",
    "filesStoredAs",
    "filesCount",
    "filesSkipped",
    "filesSkippedCount",
    "results",
    "resultsTruncated",
    "failure",
    "completionTime",
];
