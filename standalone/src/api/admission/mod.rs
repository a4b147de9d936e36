//! From what a client sent to what may be stored, in the API server's order: decode, prune, default, validate.
//! Not here: what a verb does before and after (`verbs`).

pub(crate) mod builtin;
pub(crate) mod cel;
mod defaults;
mod fields;
mod formats;
mod list_type;
mod meta;
mod names;
pub(crate) mod reflexive;
mod schema;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    decode::Decoded,
    field_error::{ErrorType, FieldError},
    kinds::{Class, Custom, Kind, events_view},
    status_error::{Result, StatusError},
};

/// What to do about unknown and duplicate fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// An object in its stored form, and the warnings its sender gets.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) value: Value,
    pub(crate) warnings: Vec<String>,
}

/// Brings a decoded object into the stored form: known fields only, defaults filled in.
pub(crate) fn settle(kind: &Kind, decoded: Decoded, validation: FieldValidation) -> Result<Settled> {
    let Decoded { mut value, duplicates } = decoded;
    check_type(kind, &mut value)?;
    check_metadata(kind, &value)?;
    if matches!(kind.class, Class::EventView) {
        value = events_view::to_stored(&value);
    }
    let unknown = match kind.custom() {
        Some(custom) => fields::prune(&custom.schema, &mut value),
        None => builtin::retype(kind, &mut value).map_err(|error| unreadable(kind, &error))?,
    };
    let texts: Vec<String> = duplicates
        .iter()
        .map(|path| format!("duplicate field \"{path}\""))
        .chain(unknown.iter().map(|path| format!("unknown field \"{path}\"")))
        .collect();
    if validation == FieldValidation::Strict && !texts.is_empty() {
        return Err(unreadable(kind, &format!("strict decoding error: {}", texts.join(", "))));
    }
    let warnings = if validation == FieldValidation::Warn { texts } else { vec![] };
    fill_defaults(kind, &mut value);
    Ok(Settled { value, warnings })
}

/// Fills in defaults; also done to what is read back from disk, and after a status was dropped.
pub(crate) fn fill_defaults(kind: &Kind, value: &mut Value) {
    match kind.custom() {
        Some(custom) => defaults::apply(&custom.schema, value),
        None => builtin::default(kind, value),
    }
}

/// 422 with every reason why `new` may not be stored.
pub(crate) fn validate(kind: &Kind, new: &Value, old: Option<&Value>) -> Result<()> {
    let mut errors = meta::check(kind, metadata(new));
    if let Some(old) = old {
        errors.extend(meta::check_update(metadata(new), metadata(old)));
    }
    match kind.custom() {
        Some(custom) => errors.extend(custom_errors(custom, new, old)),
        None => errors.extend(builtin::validate(kind, new, old)),
    }
    if errors.is_empty() {
        return Ok(());
    }
    let name = new.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    Err(StatusError::invalid(&kind.group, &kind.kind, name, &errors))
}

fn metadata(object: &Value) -> &Value {
    object.get("metadata").unwrap_or(&Value::Null)
}

fn custom_errors(custom: &Custom, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut structural = schema::Structural { patterns: &custom.patterns, errors: vec![] };
    structural.check(&custom.schema, new, "");
    let mut errors = structural.errors;
    list_type::check(&custom.schema, new, "", &mut errors);
    let blocking = |error: &FieldError| {
        use ErrorType::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
        matches!(error.kind, NotSupported | Required | TooLong | TooMany | TypeInvalid)
    };
    if errors.iter().any(blocking) {
        let why = "some validation rules were not checked because the object was invalid; correct the existing \
                   errors to complete validation";
        errors.push(FieldError::invalid("", Value::Null, why));
    } else {
        errors.extend(cel::check(custom, new, old));
    }
    errors
}

fn unreadable(kind: &Kind, why: &str) -> StatusError {
    let name = &kind.kind;
    StatusError::bad_request(format!(
        "{name} in version {:?} cannot be handled as a {name}: {why}",
        kind.version
    ))
}

/// The object must say what it is; kind and version are filled in where a patch left them out.
fn check_type(kind: &Kind, value: &mut Value) -> Result<()> {
    let Some(map) = value.as_object_mut() else {
        return Err(unreadable(kind, "json: cannot unmarshal into an object"));
    };
    let text = |field: &str| map.get(field).and_then(Value::as_str).unwrap_or_default();
    let (found_version, found_kind) = (text("apiVersion"), text("kind"));
    let expected = kind.api_version();
    if found_kind.is_empty() && kind.custom().is_some() {
        return Err(StatusError::bad_request("Object 'Kind' is missing in the request body"));
    }
    if !found_version.is_empty() && found_version != expected {
        return Err(StatusError::bad_request(format!(
            "the API version in the data ({found_version}) does not match the expected API version ({expected})"
        )));
    }
    if !found_kind.is_empty() && found_kind != kind.kind {
        return Err(StatusError::bad_request(format!(
            "{found_kind} in version {:?} cannot be handled as a {}: no kind {found_kind:?} is registered here",
            kind.version, kind.kind
        )));
    }
    map.insert("apiVersion".to_owned(), expected.into());
    map.insert("kind".to_owned(), kind.kind.clone().into());
    if map.get("metadata").is_none_or(Value::is_null) {
        map.insert("metadata".to_owned(), json!({}));
    }
    Ok(())
}

/// Metadata is decoded by type, so a label that is a number is a broken request and not an invalid object.
fn check_metadata(kind: &Kind, value: &Value) -> Result<()> {
    let metadata = value.get("metadata").unwrap_or(&Value::Null);
    ObjectMeta::deserialize(metadata)
        .map(|_| ())
        .map_err(|error| unreadable(kind, &format!("json: metadata: {error}")))
}
