//! What to run: the first line of the body of a `PUT`.
//!
//! Types only. Which values are acceptable is decided by the executor, which answers `InvalidRequest`
//! with the path of the field.

use serde::{Deserialize, Serialize};

/// What reads the code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interpreter {
    /// Python and nothing else.
    #[default]
    Python,
    /// Python when it parses as Python, otherwise a shell inside Python.
    PythonOrShell,
    /// `bash -c`.
    Bash,
}

/// One program with its inputs.
///
/// The bytes of `inputs` follow the line in the same order. Fields unknown to an executor are refused
/// rather than ignored: a program must not run without something it was promised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecuteRequest {
    /// What reads the code.
    #[serde(default)]
    pub interpreter: Interpreter,
    /// The source.
    pub code: String,
    /// Show the last expression and allow top-level `await`.
    #[serde(default)]
    pub interactive: bool,
    /// What tracebacks call the source; relative to `/workspace`.
    pub entry_path: String,
    /// Arguments after the program's own name.
    #[serde(default)]
    pub args: Vec<String>,
    /// Standard input; end of file follows it.
    #[serde(default)]
    pub stdin: String,
    /// Environment of the program, over the executor's base environment.
    #[serde(default)]
    pub env: Vec<EnvVariable>,
    /// A JSON object as text: names bound before the code runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables_json: Option<String>,
    /// Any JSON as text: call the last function of the source with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_input_json: Option<String>,
    /// Files put into the workspace first.
    #[serde(default)]
    pub inputs: Vec<InputFile>,
    /// Whether changed files are looked for after the run.
    #[serde(default)]
    pub collect_files: bool,
    /// Whether `plt.show()` and `Image.show()` save a file.
    #[serde(default)]
    pub save_figures: bool,
    /// How long the program may run; starting and collecting do not count.
    pub timeout_milliseconds: u64,
    /// Bounds of the run.
    #[serde(default)]
    pub limits: RunLimits,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvVariable {
    /// Its name, exactly as given.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// One file that is staged before the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputFile {
    /// Where it goes, relative to the workspace.
    pub path: String,
    /// How many bytes of the body are its content.
    pub size_bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal; checked when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Bounds of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RunLimits {
    /// Private writable memory of each process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Processor time of each process; rounded up to seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_milliseconds: Option<u64>,
    /// How many processes may exist at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// How many bytes of each output stream are kept.
    pub output_bytes: u64,
    /// The largest changed file that is handed back.
    pub file_bytes: u64,
    /// How many changed files are handed back.
    pub files: u64,
    /// How many bytes of changed files are handed back in all.
    pub files_total_bytes: u64,
}

impl Default for RunLimits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            memory_bytes: None,
            cpu_milliseconds: None,
            processes: None,
            output_bytes: 1_000_000,
            file_bytes: GIB,
            files: 1000,
            files_total_bytes: GIB,
        }
    }
}
