//! What came of a run. The output itself travels in frames, the files by index.

use serde::{Deserialize, Serialize};

use crate::{FileEntry, SkippedFile};

/// Everything the executor knows about a run that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// What was written to standard output.
    pub stdout: StreamSummary,
    /// What was written to standard error.
    pub stderr: StreamSummary,
    /// Changed files, sorted by path.
    #[serde(default)]
    pub files: Vec<FileEntry>,
    /// Files left out, at most [`crate::MAX_SKIPPED_LISTED`].
    #[serde(default)]
    pub files_skipped: Vec<SkippedFile>,
    /// How many were left out in all.
    #[serde(default)]
    pub files_skipped_count: u64,
    /// Typed results.
    #[serde(default)]
    pub results: Vec<ResultPart>,
    /// Whether results beyond [`crate::MAX_RESULTS_BYTES`] were dropped.
    #[serde(default)]
    pub results_truncated: bool,
    /// How long each part took.
    pub timings: Timings,
    /// What it used.
    pub usage: Usage,
    /// The isolation layers this run really had.
    #[serde(default)]
    pub isolation: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum End {
    /// By itself.
    Exited {
        /// 0 to 255.
        code: i32,
    },
    /// By a signal that was not the executor's.
    Signalled {
        /// Its number.
        signal: i32,
    },
    /// Killed at the deadline.
    TimedOut,
    /// Killed by the kernel for the memory it used.
    OutOfMemory,
    /// Killed because it was cancelled, or cancelled before it started.
    Cancelled,
    /// The program was not started and will not be.
    NeverStarted {
        /// What kind of thing went wrong.
        #[serde(default)]
        cause: StartFailure,
        /// The field of the request at fault, when one was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
        /// What went wrong.
        message: String,
    },
}

/// Why a program was not started: a closed set, so that nobody needs to read the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StartFailure {
    /// An input is not what the request says, or cannot be where it shall be.
    InvalidInput,
    /// There is no room for the inputs or for what a run needs.
    DiskFull,
    /// This executor does not have the interpreter that the request names.
    InterpreterMissing,
    /// The interpreter could not be started.
    Interpreter,
    /// The request did not come to its end.
    Transfer,
    /// The executor failed.
    #[default]
    Internal,
}

/// How much was written to one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamSummary {
    /// Bytes the program wrote in all.
    pub size_bytes: u64,
    /// Whether more than the limit was written.
    pub truncated: bool,
}

/// One typed result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultPart {
    /// Which result; `tool_output` is what a tool returned.
    pub name: String,
    /// What `data` is.
    pub media_type: String,
    /// The value as text.
    pub data: String,
}

/// How long each part of a run took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// Staging inputs and starting the process.
    pub start_milliseconds: u64,
    /// From the start of the process to its end.
    pub run_milliseconds: u64,
    /// Killing what was left and looking for changed files.
    pub collect_milliseconds: u64,
}

/// What a run used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Processor time of all its processes.
    pub cpu_milliseconds: u64,
    /// Largest resident size of one of its processes.
    pub peak_memory_bytes: u64,
}
