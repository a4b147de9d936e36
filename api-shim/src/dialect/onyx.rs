//! The onyx body of `POST /v1/execute` and its stream (contract, section 9.1): fields, rules, their order.

use crate::{
    json::Value,
    paths::{OnyxPathError, Targets, onyx_path},
    validate::{self, Bounds, Fields, Names, Place, Problems},
};

/// `timeout_ms` when the request has none.
const DEFAULT_TIMEOUT_MILLISECONDS: i64 = 2000;
/// What one spec can hold; see `crds`.
const MAX_FILES: usize = 1000;

/// One staged input as sent; paths are checked after the ids (contract).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnyxInput {
    /// Where to.
    pub path: String,
    /// Which file.
    pub file_id: String,
}

/// A request whose body has the right form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnyxRequest {
    /// The program.
    pub code: String,
    /// What it reads.
    pub stdin: Option<String>,
    /// The deadline.
    pub timeout_milliseconds: i64,
    /// Show the last expression.
    pub interactive: bool,
    /// Its inputs.
    pub files: Vec<OnyxInput>,
}

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum OnyxRefusal {
    /// The list form.
    Problems(Problems),
    /// `timeout_ms` is above this maximum.
    TimeoutTooLong(i64),
}

/// Reads and checks a body. The `paths` of its files are checked by [`targets`], after their ids.
pub fn read_request(body: &Value, max_timeout_milliseconds: i64) -> Result<OnyxRequest, OnyxRefusal> {
    let mut problems = Problems::default();
    let request = validate::object_with_fields(body, &Place::body(), &mut problems, read_fields);
    let request = problems.verdict(request).map_err(OnyxRefusal::Problems)?;
    if request.timeout_milliseconds > max_timeout_milliseconds {
        return Err(OnyxRefusal::TimeoutTooLong(max_timeout_milliseconds));
    }
    Ok(request)
}

fn read_fields(fields: &mut Fields<'_>) -> Option<OnyxRequest> {
    let milliseconds = validate::strict_integer(Bounds::at_least(1));
    let code = fields.required(Names::only("code"), validate::text);
    let stdin = fields.optional(Names::only("stdin"), None, validate::nullable(validate::text));
    let timeout = fields.optional(Names::only("timeout_ms"), DEFAULT_TIMEOUT_MILLISECONDS, milliseconds);
    let interactive = fields.optional(Names::only("last_line_interactive"), true, validate::boolean);
    let files = fields.optional(Names::only("files"), Vec::new(), read_files);
    Some(OnyxRequest {
        code: code?,
        stdin: stdin?,
        timeout_milliseconds: timeout?,
        interactive: interactive?,
        files: files?,
    })
}

fn read_files(value: &Value, place: &Place, problems: &mut Problems) -> Option<Vec<OnyxInput>> {
    let files = validate::list(value, place, problems, read_input)?;
    if files.len() > MAX_FILES {
        problems.add_own(place, value, &format!("at most {MAX_FILES} files can be staged"));
    }
    Some(files)
}

fn read_input(value: &Value, place: &Place, problems: &mut Problems) -> Option<OnyxInput> {
    validate::object_with_fields(value, place, problems, |fields| {
        let path = fields.required(Names::only("path"), validate::text);
        let file_id = fields.required(Names::only("file_id"), validate::text);
        Some(OnyxInput { path: path?, file_id: file_id? })
    })
}

/// The normalised paths of the inputs with their ids, in order; of two entries with one path the last wins.
pub fn targets(files: &[OnyxInput]) -> Result<Vec<(String, String)>, OnyxPathError> {
    let mut taken = Targets::default();
    let mut kept: Vec<(String, String)> = Vec::with_capacity(files.len());
    for file in files {
        let path = onyx_path(&file.path)?;
        if !taken.take_again(&path) {
            return Err(OnyxPathError::Conflict);
        }
        kept.retain(|(earlier, _)| *earlier != path);
        kept.push((path, file.file_id.clone()));
    }
    Ok(kept)
}

#[cfg(test)]
#[path = "onyx_tests.rs"]
mod tests;
