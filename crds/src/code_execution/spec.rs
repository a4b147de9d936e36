//! The parts of a `CodeExecution` spec.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LocalReference, Quantity, limits, names, rules};

/// A path below the workspace: not absolute, not empty, no NUL. `..` is refused by the executor, which names it.
pub(crate) const RELATIVE_PATH: &str = r"^[^/\x00][^\x00]*$";
/// What may be an isolation key.
pub(crate) const ISOLATION_KEY: &str = r"^[0-9a-zA-Z_-]{1,255}$";
/// A SHA-256 in hex.
pub(crate) const DIGEST: &str = r"^[0-9a-f]{64}$";

/// What runs the code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Interpreter {
    /// `CPython`.
    #[default]
    Python,
    /// `CPython`, or xonsh when the source is shell rather than Python.
    PythonOrShell,
    /// `bash -c`.
    Bash,
}

/// Text that is kept in a file instead of in the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CodeSource {
    /// The `SandboxFile` that holds it, as UTF-8.
    pub file_ref: LocalReference,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentVariable {
    /// Its name: not empty, without `=` and NUL.
    #[schemars(length(min = 1, max = 4096), regex(pattern = r"^[^=\x00]+$"))]
    pub name: String,
    /// Its value, exactly as given.
    #[serde(default)]
    #[schemars(length(max = 131_072))]
    pub value: String,
}

/// A call of the source's last function: exactly one of these is its input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [rules::exactly_one(&["inputJSON", "inputFrom"])]))]
pub struct Tool {
    /// A JSON object (keyword arguments) or array (positional arguments).
    #[serde(rename = "inputJSON", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 262_144))]
    pub input_json: Option<String>,
    /// Where that JSON is, when it is too long for `inputJSON`.
    #[serde(rename = "inputFrom", default, skip_serializing_if = "Option::is_none")]
    pub input_from: Option<CodeSource>,
}

/// A file that is in the workspace when the program starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputFile {
    /// Where, relative to the workspace.
    #[schemars(length(min = 1, max = 4096), regex(pattern = RELATIVE_PATH))]
    pub path: String,
    /// What is in it.
    pub source: FileSource,
}

/// Where an input file's bytes come from: exactly one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rules::exactly_one(&["fileRef", "sha256", "inline"])]))]
pub struct FileSource {
    /// A `SandboxFile` by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_ref: Option<LocalReference>,
    /// A live `SandboxFile` of the same scope and isolation key, by its content hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DIGEST))]
    pub sha256: Option<String>,
    /// The text itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub inline: Option<String>,
}

/// What holds for the files that the program changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(default)]
pub struct Outputs {
    /// How often each may be downloaded; without it as often as wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = limits::MAX_INTEGER))]
    pub max_downloads: Option<i64>,
    /// How long each lives, in seconds; without it as long as the pool says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = limits::MAX_UNIX_SECONDS))]
    pub ttl_seconds: Option<i64>,
    /// Which family of clients lists and serves them, e.g. `onyx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,62}$"))]
    pub collection: Option<String>,
}

/// Bounds of the program and of what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Memory of the program; without it what the pool's pods have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// CPU time of the program, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 864_000_000))]
    pub cpu_milliseconds: Option<i64>,
    /// Processes and threads of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub processes: Option<i32>,
    /// Bytes of stdout, and of stderr, that are kept.
    #[schemars(range(min = 0, max = 67_108_864))]
    pub output_bytes: i64,
    /// Changed files that are kept.
    #[schemars(range(min = 0, max = 1000))]
    pub output_files: i32,
    /// Bytes of one changed file; a larger one is skipped.
    #[schemars(range(min = 0, max = limits::MAX_INTEGER))]
    pub output_file_bytes: i64,
    /// Bytes of all changed files together.
    #[schemars(range(min = 0, max = limits::MAX_INTEGER))]
    pub output_files_bytes: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: None,
            cpu_milliseconds: None,
            processes: None,
            output_bytes: limits::OUTPUT_BYTES,
            output_files: limits::OUTPUT_FILES,
            output_file_bytes: limits::OUTPUT_FILE_BYTES,
            output_files_bytes: limits::OUTPUT_FILES_BYTES,
        }
    }
}

/// Which packages may be installed for a program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PackagePolicy {
    /// None.
    #[default]
    Off,
    /// Those of a list.
    AllowList,
    /// Every package.
    Any,
}

/// Installation of packages that the program imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Packages {
    /// Which may be installed; the pool may allow less.
    pub policy: PackagePolicy,
    /// The list of `AllowList`.
    #[schemars(length(max = 256), inner(length(min = 1, max = 128)), extend("x-kubernetes-list-type" = "atomic"))]
    pub allowed: Vec<String>,
    /// How long the installation may take, in seconds; not counted as the program's time.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: i64,
}

impl Default for Packages {
    fn default() -> Self {
        Self { policy: PackagePolicy::Off, allowed: Vec::new(), timeout_seconds: 60 }
    }
}

pub(super) fn default_entry_path() -> String {
    "main.py".to_owned()
}

pub(super) fn default_true() -> bool {
    true
}

pub(super) fn default_timeout() -> i64 {
    limits::TIMEOUT_MILLISECONDS
}

pub(super) fn default_ttl() -> i64 {
    limits::TTL_SECONDS
}

pub(super) fn default_pool() -> LocalReference {
    LocalReference::new(names::DEFAULT_POOL)
}
