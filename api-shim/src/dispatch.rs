//! Which dialect a body of `POST /v1/execute` speaks (contract, section 2.2). Pure.

use crate::{
    dialect::bee::{CHAT_FIELDS, SOURCE_CODE, is_tgpt},
    json::{Object, Value},
    validate::{Names, Place, Problems},
};

/// The header that forces a dialect.
pub const DIALECT_HEADER: &str = "x-carrel-dialect";

/// Which keys a bee/tgpt answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeeForm {
    /// bee's four.
    Bee,
    /// tgpt's six.
    Tgpt,
}

/// The dialect, and the value that is read as the body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dispatched<'a> {
    /// bee/tgpt.
    Bee(&'a Value, BeeForm),
    /// onyx.
    Onyx(&'a Value),
}

/// Why a body has no dialect.
#[derive(Debug, Clone, PartialEq)]
pub enum DispatchError {
    /// The header names no dialect.
    UnknownDialect,
    /// Nothing in the body says which one it is.
    Problems(Problems),
}

/// Decides the dialect; `forced` is the header's value.
pub fn dispatch<'a>(forced: Option<&[u8]>, body: &'a Value) -> Result<Dispatched<'a>, DispatchError> {
    match forced {
        None => by_content(body),
        Some(b"bee") => Ok(Dispatched::Bee(unwrapped(body), BeeForm::Bee)),
        Some(b"tgpt") => Ok(Dispatched::Bee(unwrapped(body), BeeForm::Tgpt)),
        Some(b"onyx") => Ok(Dispatched::Onyx(body)),
        Some(_) => Err(DispatchError::UnknownDialect),
    }
}

fn by_content(body: &Value) -> Result<Dispatched<'_>, DispatchError> {
    let inner = unwrapped(body);
    if !std::ptr::eq(inner, body) {
        return Ok(bee(inner));
    }
    let Value::Object(object) = body else {
        // Whatever the dialect, a body that is no object is refused with the same words.
        return Ok(Dispatched::Onyx(body));
    };
    if SOURCE.find(object).is_some()
        || matches!(object.get("files"), Some(Value::Object(_)))
        || CHAT_FIELDS.iter().chain([&ENV]).any(|names| names.find(object).is_some())
    {
        return Ok(bee(body));
    }
    if object.get("code").is_some() {
        return Ok(Dispatched::Onyx(body));
    }
    let mut problems = Problems::default();
    problems.missing(&Place::body().key(SOURCE_CODE.canonical), body);
    Err(DispatchError::Problems(problems))
}

/// `code` alone does not make a body bee/tgpt, so it is not among the spellings here.
const SOURCE: Names = Names { canonical: "source_code", also: &["sourceCode"] };
const ENV: Names = Names::only("env");

fn bee(body: &Value) -> Dispatched<'_> {
    let form = match body {
        Value::Object(object) if is_tgpt(object) => BeeForm::Tgpt,
        _ => BeeForm::Bee,
    };
    Dispatched::Bee(body, form)
}

/// The inner object when it is all there is.
fn unwrapped(body: &Value) -> &Value {
    let wrapper = |object: &'_ Object| object.len() == 1;
    match body {
        Value::Object(object) if wrapper(object) => match object.get("requestBody") {
            Some(inner @ Value::Object(_)) => inner,
            _ => body,
        },
        _ => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn outcome(forced: Option<&str>, body: &str) -> &'static str {
        let value = parse(body.as_bytes()).expect("JSON");
        match dispatch(forced.map(str::as_bytes), &value) {
            Ok(Dispatched::Bee(_, BeeForm::Bee)) => "bee",
            Ok(Dispatched::Bee(_, BeeForm::Tgpt)) => "tgpt",
            Ok(Dispatched::Onyx(_)) => "onyx",
            Err(DispatchError::UnknownDialect) => "unknown",
            Err(DispatchError::Problems(_)) => "422",
        }
    }

    #[test]
    fn the_body_decides() {
        for (body, dialect) in [
            (r#"{"source_code":"1"}"#, "bee"),
            (r#"{"sourceCode":"1"}"#, "bee"),
            (r#"{"SourceCode":"1"}"#, "bee"),
            (r#"{"requestBody":{"code":"1"}}"#, "bee"),
            (r#"{"requestBody":{"code":"1","chatId":"c"}}"#, "tgpt"),
            (r#"{"requestBody":{"code":"1"},"code":"2"}"#, "onyx"),
            (r#"{"requestBody":5}"#, "422"),
            (r#"{"code":"1","chat_id":"c"}"#, "tgpt"),
            (r#"{"code":"1","files":{}}"#, "bee"),
            (r#"{"code":"1","env":{}}"#, "bee"),
            (r#"{"code":"1","limitDownloads":2}"#, "tgpt"),
            (r#"{"code":"1"}"#, "onyx"),
            (r#"{"code":"1","files":[]}"#, "onyx"),
            (r#"{"code":"1","timeout_ms":5}"#, "onyx"),
            (r#"{"code":"1","timeout":5}"#, "onyx"),
            (r#"{"code":"1","limit":5}"#, "onyx"),
            (r#"{"source_code":"1","limit":5}"#, "tgpt"),
            (r#"{"source_code":"1","files":[]}"#, "bee"),
            (r#"{"source_code":"1","env":{},"timeout":2}"#, "bee"),
            (r#"{"source_code":"1","persistentWorkspace":null}"#, "tgpt"),
            ("{}", "422"),
            (r#"{"Code":"1"}"#, "422"),
        ] {
            assert_eq!(outcome(None, body), dialect, "{body}");
        }
    }

    #[test]
    fn the_header_forces_reading_and_form() {
        assert_eq!(outcome(Some("bee"), r#"{"code":"1","chat_id":"c"}"#), "bee");
        assert_eq!(outcome(Some("tgpt"), r#"{"source_code":"1"}"#), "tgpt");
        assert_eq!(outcome(Some("onyx"), r#"{"source_code":"1"}"#), "onyx");
        assert_eq!(outcome(Some("leezhu"), r#"{"code":"1"}"#), "unknown");
        assert_eq!(outcome(Some("Bee"), r#"{"code":"1"}"#), "unknown");
    }
}
