//! `SandboxWorkspace`: state that executions share. A chat's volume and an interactive session are both one.

use chrono::{DateTime, Utc};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, LocalReference, Quantity, code_execution::IMMUTABLE_REMEDY, names, rules};

/// Executions can use it.
pub const CONDITION_READY: &str = "Ready";

/// Files, and perhaps processes, that executions share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "carrel.dev",
    version = "v1alpha1",
    kind = "SandboxWorkspace",
    namespaced,
    status = "SandboxWorkspaceStatus",
    shortname = "sbw",
    category = "carrel",
    derive = "PartialEq",
    doc = "State that executions share: a persistent volume, or a live session.",
    selectable = ".status.phase",
    selectable = ".spec.poolRef.name",
    selectable = ".spec.isolationKey",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Persistent", type_ = "boolean", json_path = ".spec.persistent"),
    printcolumn(name = "Size", type_ = "string", json_path = ".spec.sizeLimit"),
    printcolumn(name = "Last-Use", type_ = "date", json_path = ".status.lastUseTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    cel
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = spec_rules()))]
pub struct SandboxWorkspaceSpec {
    /// The pool whose pods use it.
    #[serde(default = "default_pool")]
    pub pool_ref: LocalReference,
    /// Its files are on a claim and outlive pods; otherwise it lives in one pod.
    #[serde(default)]
    pub persistent: bool,
    /// Its size; a write beyond it fails with `No space left on device`.
    #[serde(default = "default_size")]
    pub size_limit: Quantity,
    /// The storage class of its claim; without it the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
    /// Whether executions in it run one after another.
    #[serde(default)]
    pub concurrency: Concurrency,
    /// What becomes of processes that a program leaves behind.
    #[serde(default)]
    pub background_processes: BackgroundProcesses,
    /// Files that are in it from the start.
    #[serde(default)]
    #[schemars(
        length(max = 1000),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"])
    )]
    pub files: Vec<crate::code_execution::InputFile>,
    /// What may share it, for instance one chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-zA-Z_-]{1,255}$"))]
    pub isolation_key: Option<String>,
    /// The identity this belongs to where several share one namespace. Set by the shim only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scope: Option<String>,
    /// It is removed when unused for this long, in seconds.
    #[serde(rename = "idleTTLSeconds", default = "default_idle")]
    #[schemars(range(min = 1, max = 315_360_000))]
    pub idle_ttl_seconds: i64,
    /// It is removed then, used or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Whether executions in one workspace run one after another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Concurrency {
    /// One at a time, in order of arrival.
    #[default]
    Serial,
    /// All at once.
    Parallel,
}

/// What becomes of processes that a program leaves behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackgroundProcesses {
    /// They are killed when the program has ended.
    #[default]
    Kill,
    /// They live as long as the workspace.
    Keep,
}

/// Where in its life a workspace is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkspacePhase {
    /// It is being made.
    #[default]
    Pending,
    /// It can be used.
    Ready,
    /// It has ended.
    Expired,
    /// It could not be made.
    Failed,
}

/// What is known of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxWorkspaceStatus {
    /// Where in its life it is.
    #[serde(default)]
    pub phase: WorkspacePhase,
    /// When it was last used; written at most every tenth of the idle time, and not more than every 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_use_time: Option<DateTime<Utc>>,
    /// When it ends unless it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Its claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub claim_name: Option<String>,
    /// The pod that it lives in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod_name: Option<String>,
    /// That pod's uid.
    #[serde(rename = "podUID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub pod_uid: Option<String>,
    /// Which of its files was at fault when it could not be made, or what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<crate::code_execution::Failure>,
    /// `Ready`, and whether its size is enforced.
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

fn default_pool() -> LocalReference {
    LocalReference::new(names::DEFAULT_POOL)
}

fn default_size() -> Quantity {
    Quantity::new("1Gi")
}

fn default_idle() -> i64 {
    900
}

fn spec_rules() -> Vec<kube::core::Rule> {
    let fixed = [
        "poolRef",
        "persistent",
        "sizeLimit",
        "storageClassName",
        "concurrency",
        "backgroundProcesses",
        "files",
        "isolationKey",
        "scope",
    ];
    fixed.iter().map(|field| rules::immutable(field, IMMUTABLE_REMEDY)).collect()
}
