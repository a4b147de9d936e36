//! `SandboxFile`: bytes with a name, limits and an end. The bytes themselves are in the store.

use chrono::{DateTime, Utc};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, code_execution::IMMUTABLE_REMEDY, limits, rules};

/// The bytes are durable and their hash is known.
pub const CONDITION_READY: &str = "Ready";
/// The file may no longer be used.
pub const CONDITION_EXPIRED: &str = "Expired";

/// A stored file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "carrel.dev",
    version = "v1alpha1",
    kind = "SandboxFile",
    namespaced,
    status = "SandboxFileStatus",
    shortname = "sbf",
    category = "carrel",
    derive = "PartialEq",
    doc = "A stored file: bytes by content, with limits and an expiry.",
    selectable = ".status.phase",
    selectable = ".spec.isolationKey",
    printcolumn(name = "File", type_ = "string", json_path = ".spec.fileName"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Bytes", type_ = "integer", json_path = ".status.sizeBytes"),
    printcolumn(name = "Downloads-Left", type_ = "integer", json_path = ".status.remainingDownloads"),
    printcolumn(name = "Expires", type_ = "date", json_path = ".spec.expiresAt", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    cel
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = spec_rules()))]
pub struct SandboxFileSpec {
    /// What the file is called for people who download it; any text, never used as a path.
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"^[^\x00]+$"))]
    pub file_name: String,
    /// What may share this file, for instance one chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-zA-Z_-]{1,255}$"))]
    pub isolation_key: Option<String>,
    /// The identity this belongs to where several share one namespace. Set by the shim only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scope: Option<String>,
    /// Which family of clients lists and serves it, e.g. `onyx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,62}$"))]
    pub collection: Option<String>,
    /// Where the bytes come from.
    pub source: ByteSource,
    /// How often it may be downloaded; without it as often as wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = limits::MAX_INTEGER))]
    pub max_downloads: Option<i64>,
    /// When it ends for everybody who uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// How long it is kept when it has no `expiresAt`, in seconds from its last registration. A produced file has
    /// that of its pool.
    #[serde(default = "default_retention")]
    #[schemars(range(min = 60, max = 315_360_000))]
    pub retention_seconds: i64,
    /// Raised by one when the same file is registered again, which resets its limits.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub registration: i64,
}

/// Where a file's bytes come from: exactly one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::exactly_one(&["inline", "staged", "produced"])]))]
pub struct ByteSource {
    /// The text itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub inline: Option<String>,
    /// Bytes that the shim has put into the store's staging area.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<StagedBytes>,
    /// A file that an execution changed; only the operator makes these Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produced: Option<ProducedBytes>,
}

/// Bytes in the store's staging area. The key is random and unguessable, so naming it proves having put them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StagedBytes {
    /// The staging key.
    #[schemars(regex(pattern = r"^[0-9a-f-]{32,64}$"))]
    pub key: String,
    /// The hash of the bytes.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: String,
    /// Their number.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
}

/// Which execution produced a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProducedBytes {
    /// The execution's uid. Produced files are not owned by their execution and outlive it.
    #[serde(rename = "executionUID")]
    #[schemars(length(min = 1, max = 64))]
    pub execution_uid: String,
    /// The path in its workspace.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,
}

/// Where in its life a file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FilePhase {
    /// The bytes are not durable yet.
    #[default]
    Pending,
    /// It can be used.
    Ready,
    /// It was used up, has expired or was ended; its record is kept for a day.
    Expired,
    /// The bytes could not be had.
    Failed,
}

/// What is known of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxFileStatus {
    /// Where in its life it is.
    #[serde(default)]
    pub phase: FilePhase,
    /// The hash of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// The number of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub size_bytes: Option<i64>,
    /// How many downloads are left; absent when they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub remaining_downloads: Option<i64>,
    /// Downloads under way, so that those of a server that died can be given back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"])
    )]
    pub active_downloads: Vec<ActiveDownload>,
    /// How often a download was continued without being counted again.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub continuations: i32,
    /// When the download that may be continued began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_download_time: Option<DateTime<Utc>>,
    /// The `spec.registration` that the counts belong to.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub observed_registration: i64,
    /// When that registration was made. `spec.retentionSeconds` counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_time: Option<DateTime<Utc>>,
    /// `Ready` and `Expired`.
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

/// A download that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveDownload {
    /// The request id.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// The replica that serves it.
    #[schemars(length(min = 1, max = 253))]
    pub holder: String,
    /// When it began.
    pub start_time: DateTime<Utc>,
}

fn default_retention() -> i64 {
    limits::FILE_RETENTION_SECONDS
}

fn spec_rules() -> Vec<kube::core::Rule> {
    let registration = kube::core::Rule::new("self.registration >= oldSelf.registration")
        .message("registration may only be raised");
    let mut all = vec![registration];
    let fixed = ["fileName", "isolationKey", "scope", "collection", "source"];
    all.extend(fixed.iter().map(|field| rules::immutable(field, IMMUTABLE_REMEDY)));
    all
}
