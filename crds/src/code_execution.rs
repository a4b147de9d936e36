//! `CodeExecution`: one program that runs once, and what came of it.
//!
//! Immutable but for `cancel`; a terminal status is final. Behaviour lives in `operator`.

use chrono::{DateTime, Utc};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod spec;
mod status;

pub use spec::{
    CodeSource, EnvironmentVariable, FileSource, InputFile, Interpreter, Limits, Outputs, PackagePolicy,
    Packages, Tool,
};
pub use status::{
    CONDITION_COMPLETE, CONDITION_FAILED, CONDITION_FINISHED, ExecutionPhase, Failure, OutputFile,
    OutputText, PackageResult, ResultPart, SkipReason, SkippedFile, Timings, Usage,
};

use crate::{Condition, LocalReference, Reason, rules};

/// What every refusal of a change says to do instead.
pub(crate) const IMMUTABLE_REMEDY: &str = "create a new object, or use generateName";

/// A program to run once in a sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "carrel.dev",
    version = "v1alpha1",
    kind = "CodeExecution",
    namespaced,
    status = "CodeExecutionStatus",
    shortname = "cex",
    category = "all",
    category = "carrel",
    derive = "PartialEq",
    doc = "A program that runs once in a sandbox, and its outcome.",
    selectable = ".status.phase",
    selectable = ".spec.poolRef.name",
    selectable = ".spec.isolationKey",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(name = "Exit", type_ = "integer", json_path = ".status.exitCode"),
    printcolumn(name = "Milliseconds", type_ = "integer", json_path = ".status.timings.runMilliseconds"),
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.poolRef.name", priority = 1),
    printcolumn(name = "Pod", type_ = "string", json_path = ".status.podName", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    cel,
    validation = rules::final_status(&FINAL_FIELDS)
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = spec_rules()))]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the API, named for itself")]
pub struct CodeExecutionSpec {
    /// What runs the code.
    #[serde(default)]
    pub interpreter: Interpreter,
    /// The program's source; this or `codeFrom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 524_288))]
    pub code: Option<String>,
    /// Where the program's source is; this or `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_from: Option<CodeSource>,
    /// Show the value of a last expression on stdout, and allow `await` at top level.
    #[serde(default)]
    pub interactive: bool,
    /// What tracebacks and `__file__` call the program, relative to `/workspace`.
    #[serde(default = "spec::default_entry_path")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = spec::RELATIVE_PATH))]
    pub entry_path: String,
    /// The program's arguments.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(max = 131_072)), extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// What the program reads from stdin, then end of file.
    #[serde(default)]
    #[schemars(length(max = 524_288))]
    pub stdin: String,
    /// Where the text for stdin is, when it is too long for `stdin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin_from: Option<CodeSource>,
    /// Environment variables of the program, each name once.
    #[serde(default)]
    #[schemars(
        length(max = 256),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvironmentVariable>,
    /// A JSON object whose members are bound as variables before the code runs.
    #[serde(rename = "variablesJSON", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub variables_json: Option<String>,
    /// Instead of a plain run: call the source's last function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Tool>,
    /// Files that are in the workspace when the program starts, each path once.
    #[serde(default)]
    #[schemars(
        length(max = 1000),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"])
    )]
    pub files: Vec<InputFile>,
    /// Keep the files that the program changed, as `SandboxFile` objects.
    #[serde(default = "spec::default_true")]
    pub collect_files: bool,
    /// `plt.show()` and `Image.show()` save a file.
    #[serde(default)]
    pub save_figures: bool,
    /// What holds for the files that the program changed.
    #[serde(default)]
    pub outputs: Outputs,
    /// How long the program may run, in milliseconds. Start and collection are not counted.
    #[serde(default = "spec::default_timeout")]
    #[schemars(range(min = 1, max = 86_400_000))]
    pub timeout_milliseconds: i64,
    /// How long to wait for a sandbox, in seconds; without it as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub start_deadline_seconds: Option<i64>,
    /// Bounds of the program and of what is kept of it.
    #[serde(default)]
    pub limits: Limits,
    /// Installation of packages that the program imports.
    #[serde(default)]
    pub packages: Packages,
    /// What may share a sandbox or a file with this execution, for instance one chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = spec::ISOLATION_KEY))]
    pub isolation_key: Option<String>,
    /// The identity this belongs to where several share one namespace. Set by the shim only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scope: Option<String>,
    /// The state to share with other executions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_ref: Option<LocalReference>,
    /// The pool whose pods run it.
    #[serde(default = "spec::default_pool")]
    pub pool_ref: LocalReference,
    /// How long the object lives once it has finished, in seconds.
    #[serde(default = "spec::default_ttl")]
    #[schemars(range(min = 0, max = 2_592_000))]
    pub ttl_seconds_after_finished: i64,
    /// End the run. It cannot be taken back.
    #[serde(default)]
    pub cancel: bool,
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
    /// The files that the program changed, in the order of their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1000),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"])
    )]
    pub files: Vec<OutputFile>,
    /// The hash of the stored list of all changed files, when it is too long for `files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = spec::DIGEST))]
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

/// Every field of the spec but `cancel`, as it is called in YAML.
pub const IMMUTABLE_FIELDS: [&str; 24] = [
    "interpreter",
    "code",
    "codeFrom",
    "interactive",
    "entryPath",
    "args",
    "stdin",
    "stdinFrom",
    "env",
    "variablesJSON",
    "tool",
    "files",
    "collectFiles",
    "saveFigures",
    "outputs",
    "timeoutMilliseconds",
    "startDeadlineSeconds",
    "limits",
    "packages",
    "isolationKey",
    "scope",
    "workspaceRef",
    "poolRef",
    "ttlSecondsAfterFinished",
];

/// What of a status does not change any more once its phase is terminal.
pub const FINAL_FIELDS: [&str; 14] = [
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
    "failure",
    "completionTime",
];

fn spec_rules() -> Vec<kube::core::Rule> {
    let cancel =
        kube::core::Rule::new("!oldSelf.cancel || self.cancel").message("cancel cannot be taken back");
    let stdin = kube::core::Rule::new("!(has(self.stdinFrom) && self.stdin != '')")
        .message("at most one of stdin, stdinFrom may be set");
    let mut all = vec![rules::exactly_one(&["code", "codeFrom"]), stdin, cancel];
    all.extend(IMMUTABLE_FIELDS.iter().map(|field| rules::immutable(field, IMMUTABLE_REMEDY)));
    all
}
