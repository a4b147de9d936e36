//! The bodies of requests as OpenAPI shows them. They are read by `validate` and the dialects, which say
//! far more than a schema can; nothing is ever deserialised into these.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{BeeAnswer, OnyxAnswer};

/// A bee/tgpt request. camelCase spellings are accepted too.
#[derive(Debug, Serialize, ToSchema)]
pub struct BeeBody {
    /// The program.
    pub source_code: String,
    /// Target path under `/workspace` → id of a stored file.
    #[schema(required = false)]
    pub files: BTreeMap<String, String>,
    /// Environment variables, passed exactly as given.
    #[schema(required = false)]
    pub env: BTreeMap<String, String>,
    /// The chat that results belong to.
    #[schema(required = false, default = "default", pattern = "^[0-9a-zA-Z_-]{1,255}$")]
    pub chat_id: String,
    /// How often each result may be downloaded; null and 0 = as often as wanted.
    #[schema(required = false, minimum = 0)]
    pub max_downloads: Option<i64>,
    /// When results end, e.g. `30m`, `12h`, `7d`.
    #[schema(required = false)]
    pub expires_in: Option<String>,
    /// When results end, in days.
    #[schema(required = false)]
    pub expires_days: Option<i64>,
    /// When results end, in seconds.
    #[schema(required = false)]
    pub expires_seconds: Option<i64>,
    /// Absent: results are kept. False: nothing is kept.
    #[schema(required = false)]
    pub persistent_workspace: bool,
    /// Deadline in seconds.
    #[schema(required = false, default = 60)]
    pub timeout: Option<f64>,
}

/// One input file of an onyx request.
#[derive(Debug, Serialize, ToSchema)]
pub struct OnyxFileBody {
    /// Relative to the workspace.
    pub path: String,
    /// A stored file.
    pub file_id: String,
}

/// An onyx request.
#[derive(Debug, Serialize, ToSchema)]
pub struct OnyxBody {
    /// The program.
    pub code: String,
    /// What it reads, then end of file.
    #[schema(required = false)]
    pub stdin: Option<String>,
    /// Deadline.
    #[schema(required = false, default = 2000, minimum = 1)]
    pub timeout_ms: i64,
    /// Show the value of a last expression.
    #[schema(required = false, default = true)]
    pub last_line_interactive: bool,
    /// Input files.
    #[schema(required = false)]
    pub files: Vec<OnyxFileBody>,
}

/// A request in either dialect; the body decides which it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ExecuteBody {
    /// onyx.
    Onyx(OnyxBody),
    /// bee/tgpt.
    Bee(BeeBody),
}

/// An answer in the dialect of its request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ExecuteAnswer {
    /// onyx.
    Onyx(OnyxAnswer),
    /// bee/tgpt.
    Bee(BeeAnswer),
}
