//! `CodeExecution`: one program that runs once, and what came of it.
//!
//! Immutable but for `cancel`; a terminal status is final. Behaviour lives in `operator`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod outcome;
mod spec;
mod status;

pub use outcome::{
    Failure, FailureCause, OutputFile, OutputText, PackageResult, ResultPart, SkipReason, SkippedFile,
    Timings, Usage,
};
pub use spec::{
    CodeSource, EnvironmentVariable, FileSource, InputFile, Interpreter, Limits, Outputs, PackagePolicy,
    Packages, Tool,
};
pub use status::{
    CONDITION_COMPLETE, CONDITION_FAILED, CONDITION_FINISHED, CodeExecutionStatus, ExecutionPhase,
    FINAL_FIELDS,
};

use crate::{LocalReference, limits, names, rules};

/// The isolation key of the chat that everybody shares who names none. It tells files apart as any key does, and never
/// makes two executions share a sandbox.
pub const SHARED_KEY: &str = "default";

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
    /// Where that JSON object is, when it is too long for `variablesJSON`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables_from: Option<CodeSource>,
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

/// What an object that sets nothing has. It names no source, so it is no valid spec by itself.
impl Default for CodeExecutionSpec {
    fn default() -> Self {
        Self {
            interpreter: Interpreter::default(),
            code: None,
            code_from: None,
            interactive: false,
            entry_path: spec::default_entry_path(),
            args: Vec::new(),
            stdin: String::new(),
            stdin_from: None,
            env: Vec::new(),
            variables_json: None,
            variables_from: None,
            tool: None,
            files: Vec::new(),
            collect_files: true,
            save_figures: false,
            outputs: Outputs::default(),
            timeout_milliseconds: limits::TIMEOUT_MILLISECONDS,
            start_deadline_seconds: None,
            limits: Limits::default(),
            packages: Packages::default(),
            isolation_key: None,
            scope: None,
            workspace_ref: None,
            pool_ref: LocalReference::new(names::DEFAULT_POOL),
            ttl_seconds_after_finished: limits::TTL_SECONDS,
            cancel: false,
        }
    }
}

/// Every field of the spec but `cancel`, as it is called in YAML.
pub const IMMUTABLE_FIELDS: [&str; 25] = [
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
    "variablesFrom",
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

fn spec_rules() -> Vec<kube::core::Rule> {
    let cancel =
        kube::core::Rule::new("!oldSelf.cancel || self.cancel").message("cancel cannot be taken back");
    let stdin = kube::core::Rule::new("!(has(self.stdinFrom) && self.stdin != '')")
        .message("at most one of stdin, stdinFrom may be set");
    let variables = kube::core::Rule::new("!(has(self.variablesFrom) && has(self.variablesJSON))")
        .message("at most one of variablesJSON, variablesFrom may be set");
    let mut all = vec![rules::exactly_one(&["code", "codeFrom"]), stdin, variables, cancel];
    all.extend(IMMUTABLE_FIELDS.iter().map(|field| rules::immutable(field, IMMUTABLE_REMEDY)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_an_empty_object_means() {
        let empty: CodeExecutionSpec = serde_json::from_str("{}").unwrap();
        assert_eq!(CodeExecutionSpec::default(), empty);
    }
}
