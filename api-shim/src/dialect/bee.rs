//! The bee/tgpt body of `POST /v1/execute` (contract, section 6.1): fields, rules, their order.

use chrono::{DateTime, Utc};

use crate::{
    duration::{UnsupportedDuration, earliest, parse_duration, seconds},
    json::{Object, Value},
    paths::{TargetError, Targets, bee_target},
    validate::{self, Bounds, Checked, Context, Fields, Names, Place, Problems},
};

/// The program's source; `code` is one more spelling once the dialect is known.
pub const SOURCE_CODE: Names = Names { canonical: "source_code", also: &["sourceCode", "code"] };
const CHAT_ID: Names = Names { canonical: "chat_id", also: &["chatId"] };
const MAX_DOWNLOADS: Names =
    Names { canonical: "max_downloads", also: &["maxDownloads", "limitDownloads", "limit"] };
const EXPIRES_IN: Names = Names { canonical: "expires_in", also: &["expiresIn"] };
const EXPIRES_DAYS: Names = Names { canonical: "expires_days", also: &["expiresDays"] };
const EXPIRES_SECONDS: Names = Names { canonical: "expires_seconds", also: &["expiresSeconds"] };
const PERSISTENT: Names = Names { canonical: "persistent_workspace", also: &["persistentWorkspace"] };
const TIMEOUT: Names = Names { canonical: "timeout", also: &["timeoutSeconds"] };

/// Fields that only tgpt has, under the spellings that say so by themselves (`limit` says nothing).
pub const CHAT_FIELDS: [Names; 6] = [
    CHAT_ID,
    PERSISTENT,
    Names { canonical: "max_downloads", also: &["maxDownloads", "limitDownloads"] },
    EXPIRES_IN,
    EXPIRES_DAYS,
    EXPIRES_SECONDS,
];

/// The chat of those who name none.
pub const DEFAULT_CHAT: &str = crds::code_execution::SHARED_KEY;
const ID_PATTERN: &str = "^[0-9a-zA-Z_-]{1,255}$";
const PATH_PATTERN: &str = "^/[^/].*$";
/// What one spec can hold; see `crds`.
const MAX_VARIABLES: usize = 256;
/// `NAME=VALUE` with its final NUL: the kernel's limit of one string of an environment, in bytes.
const MAX_VARIABLE_BYTES: usize = 131_072;
const MAX_NAME_CHARACTERS: usize = 4096;
const MAX_FILES: usize = 1000;

/// Whether the answer has tgpt's six keys: any of tgpt's fields in any spelling.
#[must_use]
pub fn is_tgpt(object: &Object) -> bool {
    CHAT_FIELDS.iter().chain([&MAX_DOWNLOADS]).any(|names| names.find(object).is_some())
}

/// What the configuration says about this dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeeRules {
    /// `timeout` when the request has none.
    pub default_timeout_seconds: u32,
    /// The highest `timeout`.
    pub max_timeout_seconds: u32,
    /// `max_downloads` when the request has none; 0 = unlimited.
    pub default_max_downloads: i64,
    /// An explicit empty `chat_id` is refused.
    pub require_chat_id: bool,
}

/// One staged input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeeInput {
    /// The key as sent, for the 404.
    pub key: String,
    /// The target relative to the workspace.
    pub path: String,
    /// The id.
    pub id: String,
}

/// A checked request.
#[derive(Debug, Clone, PartialEq)]
pub struct BeeRequest {
    /// The program.
    pub source_code: String,
    /// Its inputs.
    pub files: Vec<BeeInput>,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// The chat.
    pub chat_id: String,
    /// How often each result may be downloaded; none = unlimited.
    pub max_downloads: Option<i64>,
    /// When each result ends, in seconds from now; none = never.
    pub expires_seconds: Option<i64>,
    /// The flag as sent.
    pub persistent_workspace: Option<bool>,
    /// The deadline.
    pub timeout_milliseconds: i64,
}

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum BeeRefusal {
    /// The list form.
    Problems(Problems),
    /// `chat_id` is empty.
    ChatIdMissing,
}

/// Reads and checks a body.
pub fn read_request(body: &Value, rules: BeeRules, now: DateTime<Utc>) -> Result<BeeRequest, BeeRefusal> {
    let mut problems = Problems::default();
    let place = Place::body();
    let request =
        validate::object_with_fields(body, &place, &mut problems, |fields| read_fields(fields, rules, now));
    let mut request = problems.verdict(request).map_err(BeeRefusal::Problems)?;
    if request.chat_id.is_empty() {
        if rules.require_chat_id {
            return Err(BeeRefusal::ChatIdMissing);
        }
        DEFAULT_CHAT.clone_into(&mut request.chat_id);
    }
    Ok(request)
}

/// All fields are read before the first `?`, so that all problems are told.
fn read_fields(fields: &mut Fields<'_>, rules: BeeRules, now: DateTime<Utc>) -> Option<BeeRequest> {
    let downloads = validate::nullable(validate::lax_integer(Bounds::at_least(0)));
    let limit = Bounds { at_most: Some(rules.max_timeout_seconds.into()), at_least: None, above: Some(0) };
    let source_code = fields.required(SOURCE_CODE, validate::text);
    let files = fields.optional(Names::only("files"), Vec::new(), read_files);
    let env = fields.optional(Names::only("env"), Vec::new(), read_env);
    let chat_id = fields.optional(CHAT_ID, DEFAULT_CHAT.to_owned(), read_chat_id);
    let max_downloads = fields.optional(MAX_DOWNLOADS, Some(rules.default_max_downloads), downloads);
    let expires_in =
        fields.optional(EXPIRES_IN, None, |value, place, problems| read_expiry(value, place, problems, now));
    let days = fields.optional(EXPIRES_DAYS, None, |value, place, problems| {
        read_older_expiry(value, place, problems, (86_400, now))
    });
    let second = fields.optional(EXPIRES_SECONDS, None, |value, place, problems| {
        read_older_expiry(value, place, problems, (1, now))
    });
    let persistent = fields.optional(PERSISTENT, None, |value, place, problems| {
        validate::boolean(value, place, problems).map(Some)
    });
    let timeout = fields.optional(TIMEOUT, None, validate::nullable(validate::number(limit)));
    Some(BeeRequest {
        source_code: source_code?,
        files: files?,
        env: env?,
        chat_id: chat_id?,
        max_downloads: max_downloads?.filter(|count| *count > 0),
        expires_seconds: earliest([expires_in?, days?, second?]),
        persistent_workspace: persistent?,
        timeout_milliseconds: milliseconds(timeout?, rules.default_timeout_seconds),
    })
}

/// Seconds as whole milliseconds, rounded up: a deadline is never 0. The bound on seconds keeps it small.
fn milliseconds(seconds: Option<f64>, default_seconds: u32) -> i64 {
    let default = i64::from(default_seconds) * 1000;
    let Some(seconds) = seconds else { return default };
    let rounded = format!("{:.0}", (seconds * 1000.0).ceil());
    rounded.parse().unwrap_or(default).max(1)
}

fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn pattern(value: &Value, place: &Place, problems: &mut Problems, pattern: &'static str) {
    let message = format!("String should match pattern '{pattern}'");
    problems.add_with("string_pattern_mismatch", place, value, message, Context::Pattern(pattern));
}

fn read_id(value: &Value, place: &Place, problems: &mut Problems) -> Option<String> {
    let text = validate::text(value, place, problems)?;
    if is_id(&text) {
        return Some(text);
    }
    pattern(value, place, problems, ID_PATTERN);
    None
}

/// An empty one passes here: what it means depends on the configuration.
fn read_chat_id(value: &Value, place: &Place, problems: &mut Problems) -> Option<String> {
    match value {
        Value::Text(text) if text.is_empty() => Some(String::new()),
        other => read_id(other, place, problems),
    }
}

/// `^/[^/].*$`, where `.` is anything but a line feed.
fn is_absolute(key: &str) -> bool {
    let mut characters = key.chars();
    characters.next() == Some('/')
        && characters.next().is_some_and(|second| second != '/')
        && !characters.as_str().contains('\n')
}

fn read_files(value: &Value, place: &Place, problems: &mut Problems) -> Option<Vec<BeeInput>> {
    let mut targets = Targets::default();
    let files = validate::each_member(value, place, problems, |key, id, place, problems| {
        let path = read_target(key, &mut targets, place, problems);
        let id = read_id(id, &place.key(key), problems);
        Some(BeeInput { key: key.to_owned(), path: path?, id: id? })
    })?;
    if files.len() > MAX_FILES {
        problems.add_own(place, value, &format!("at most {MAX_FILES} files can be staged"));
    }
    Some(files)
}

fn read_target(key: &str, targets: &mut Targets, place: &Place, problems: &mut Problems) -> Option<String> {
    let (place, input) = (place.map_key(key), Value::Text(key.to_owned()));
    if !is_absolute(key) {
        pattern(&input, &place, problems, PATH_PATTERN);
        return None;
    }
    let target = bee_target(key)
        .and_then(|path| if targets.take(&path) { Ok(path) } else { Err(TargetError::Conflict) });
    target.map_err(|error| problems.add_own(&place, &input, &error.to_string())).ok()
}

fn read_env(value: &Value, place: &Place, problems: &mut Problems) -> Option<Vec<(String, String)>> {
    let env = validate::each_member(value, place, problems, |name, value, place, problems| {
        let name_fault = variable_name_fault(name);
        if let Some(text) = name_fault {
            problems.add_own(&place.map_key(name), &Value::Text(name.to_owned()), text);
        }
        let text = read_variable(name, value, &place.key(name), problems);
        text.filter(|_| name_fault.is_none()).map(|text| (name.to_owned(), text))
    })?;
    if env.len() > MAX_VARIABLES {
        problems.add_own(place, value, &format!("at most {MAX_VARIABLES} environment variables can be set"));
    }
    Some(env)
}

fn variable_name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("environment variable name must not be empty")
    } else if name.contains('=') {
        Some("environment variable name must not contain '='")
    } else if name.contains('\0') {
        Some("environment variable name must not contain NUL")
    } else {
        (name.chars().count() > MAX_NAME_CHARACTERS).then_some("environment variable name is too long")
    }
}

fn read_variable(name: &str, value: &Value, place: &Place, problems: &mut Problems) -> Option<String> {
    let text = validate::text(value, place, problems)?;
    let fault = if text.contains('\0') {
        "environment variable value must not contain NUL"
    } else if name.len() + "=\0".len() + text.len() > MAX_VARIABLE_BYTES {
        "environment variable is too long: name and value may have 131070 bytes together"
    } else {
        return Some(text);
    };
    problems.add_own(place, value, fault);
    None
}

fn read_expiry(
    value: &Value,
    place: &Place,
    problems: &mut Problems,
    now: DateTime<Utc>,
) -> Checked<Option<i64>> {
    let Some(text) = validate::nullable(validate::text)(value, place, problems)? else { return Some(None) };
    duration(parse_duration(&text, now), &text, value, place, problems)
}

fn read_older_expiry(
    value: &Value,
    place: &Place,
    problems: &mut Problems,
    (unit, now): (i64, DateTime<Utc>),
) -> Checked<Option<i64>> {
    let integer = validate::nullable(validate::lax_integer(Bounds::none()));
    let Some(count) = integer(value, place, problems)? else { return Some(None) };
    duration(seconds(count, unit, now), &count.to_string(), value, place, problems)
}

fn duration(
    read: Result<Option<i64>, UnsupportedDuration>,
    literal: &str,
    value: &Value,
    place: &Place,
    problems: &mut Problems,
) -> Checked<Option<i64>> {
    let refused = format!("Unsupported duration literal: '{literal}'");
    read.map_err(|_| problems.add_own(place, value, &refused)).ok()
}

#[cfg(test)]
#[path = "bee_tests.rs"]
mod tests;
