//! `SandboxPool`: warm pods that wait for programs, and the template they are made from.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod template;

pub use template::{Amount, AnyObject, ImagePullPolicy, PodTemplate, Resources};

use crate::{Condition, Quantity, code_execution::PackagePolicy, limits};

/// As many warm pods are usable as are wanted.
pub const CONDITION_READY: &str = "Ready";
/// Pods are being made or replaced.
pub const CONDITION_PROGRESSING: &str = "Progressing";
/// Pods cannot be made; the message says why.
pub const CONDITION_DEGRADED: &str = "Degraded";
/// The storage of workspaces keeps their size limit.
pub const CONDITION_SIZE_ENFORCED: &str = "SizeEnforced";
/// The cluster keeps the pool's network policy.
pub const CONDITION_EGRESS_ENFORCED: &str = "EgressEnforced";
/// The definitions in the cluster are older than the operator; there only once that was so.
pub const CONDITION_CRD_OUTDATED: &str = "CRDOutdated";

/// A pool of sandboxes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "carrel.dev",
    version = "v1alpha1",
    kind = "SandboxPool",
    namespaced,
    status = "SandboxPoolStatus",
    shortname = "sbp",
    category = "carrel",
    derive = "PartialEq",
    doc = "Warm pods that wait for programs, and the template they are made from.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Wanted", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Busy", type_ = "integer", json_path = ".status.busy"),
    printcolumn(name = "Queued", type_ = "integer", json_path = ".status.queued"),
    printcolumn(name = "Isolation", type_ = "string", json_path = ".spec.isolation"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    cel
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = spec_rules()))]
pub struct SandboxPoolSpec {
    /// How many idle pods wait; running ones come on top.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// How many pods there may be in all, idle and running.
    #[serde(default = "default_max_pods")]
    #[schemars(range(min = 1, max = 5000))]
    pub max_pods: i32,
    /// The shape of the pods.
    #[serde(default)]
    pub isolation: Isolation,
    /// Whether a pod may run more than one program.
    #[serde(default)]
    pub reuse_policy: ReusePolicy,
    /// Python modules that are imported before a program starts.
    #[serde(default)]
    #[schemars(
        length(max = 64),
        inner(length(max = 253), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub preload: Vec<String>,
    /// The workspace of each program.
    #[serde(default)]
    pub workspace: WorkspaceLimits,
    /// The queue of executions that wait for a pod.
    #[serde(default)]
    pub queue: Queue,
    /// Idle pods older than this are replaced, in seconds.
    #[serde(default = "default_max_pod_age")]
    #[schemars(range(min = 60, max = 2_592_000))]
    pub max_pod_age_seconds: i64,
    /// How long a produced file without an expiry of its own lives, in seconds.
    #[serde(default = "default_file_retention")]
    #[schemars(range(min = 60, max = 315_360_000))]
    pub file_retention_seconds: i64,
    /// What programs may reach.
    #[serde(default)]
    pub egress: Egress,
    /// The most that an execution's `packages` may ask for.
    #[serde(default)]
    pub packages: PoolPackages,
    /// What the pods are made from.
    #[serde(default)]
    pub template: PodTemplate,
}

/// The shape of a pool's pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Isolation {
    /// Pod Security `restricted`, one uid.
    #[default]
    Restricted,
    /// A user namespace with capabilities inside it, for full inner walls.
    Nested,
}

/// Whether a pod may run more than one program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReusePolicy {
    /// One program, then the pod is thrown away.
    #[default]
    Never,
    /// Programs of one scope and one explicit isolation key.
    SameKey,
    /// Any, after proof that nothing of the last one survived.
    Verified,
}

/// What programs may reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Egress {
    /// Nothing, DNS included.
    #[default]
    Denied,
    /// What the namespace's network policies let through.
    Allowed,
}

/// The most that executions may install. Of two lists, only what both allow may be installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolPackages {
    /// Which packages may be installed.
    pub policy: PackagePolicy,
    /// The list of `AllowList`.
    #[schemars(length(max = 256), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "atomic"))]
    pub allowed: Vec<String>,
}

/// The workspace of each program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkspaceLimits {
    /// Its size; a write beyond it fails with `No space left on device`.
    pub size_limit: Quantity,
}

impl Default for WorkspaceLimits {
    fn default() -> Self {
        Self { size_limit: Quantity::new("1Gi") }
    }
}

/// The queue of executions that wait for a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    /// How many the shim lets wait before it refuses.
    #[schemars(range(min = 0, max = 100_000))]
    pub depth: i32,
}

impl Default for Queue {
    fn default() -> Self {
        Self { depth: 64 }
    }
}

/// What is known of a pool. Written at most once a second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxPoolStatus {
    /// Idle pods, ready or not.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Idle pods that can take a program now.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub ready_replicas: i32,
    /// Pods that run a program.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub busy: i32,
    /// Executions that wait for a pod.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub queued: i32,
    /// How many more executions the pool takes before the shim refuses.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub room: i32,
    /// The selector of the pool's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
    /// The layers of isolation really in force, outermost first.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(max = 64)), extend("x-kubernetes-list-type" = "atomic"))]
    pub isolation: Vec<String>,
    /// `Ready`, `Progressing`, `Degraded` and what the environment enforces.
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

fn default_replicas() -> i32 {
    5
}

fn default_max_pods() -> i32 {
    20
}

fn default_max_pod_age() -> i64 {
    3600
}

fn default_file_retention() -> i64 {
    limits::FILE_RETENTION_SECONDS
}

fn spec_rules() -> Vec<kube::core::Rule> {
    vec![
        kube::core::Rule::new("self.replicas <= self.maxPods").message("replicas must not be greater than maxPods"),
        kube::core::Rule::new("self.reusePolicy != 'Verified' || self.isolation == 'Nested'")
            .message("reusePolicy Verified needs isolation Nested: only its inner walls can prove that nothing survived"),
    ]
}
