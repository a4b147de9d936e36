//! From what a client sent to what may be stored, in the API server's order: decode, prune, default, validate.
//! Not here: what a verb does before and after (`verbs`).

pub(crate) mod builtin;
pub(crate) mod cel;
mod defaults;
mod fields;
mod formats;
mod list_type;
mod meta;
pub(crate) mod names;
pub(crate) mod reflexive;
mod schema;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    decode::Decoded,
    field_error::{ErrorType, FieldError},
    kinds::{Class, Custom, Kind, ScalePaths, events_view},
    status_error::{Result, StatusError},
};

/// The part of an object that a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Main,
    Status,
}

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
    let mut settled = settle_leniently(kind, decoded)?;
    if validation == FieldValidation::Strict && !settled.warnings.is_empty() {
        return Err(unreadable(kind, &strictly(&settled.warnings)));
    }
    if validation != FieldValidation::Warn {
        settled.warnings.clear();
    }
    Ok(settled)
}

/// What is refused where it would have been warned of.
pub(crate) fn strictly(warnings: &[String]) -> String {
    format!("strict decoding error: {}", warnings.join(", "))
}

/// The same, warning of unknown and duplicate fields.
pub(crate) fn settle_leniently(kind: &Kind, decoded: Decoded) -> Result<Settled> {
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
    let warnings = duplicates
        .iter()
        .map(|path| format!("duplicate field \"{path}\""))
        .chain(unknown.iter().map(|path| format!("unknown field \"{path}\"")))
        .collect();
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

/// 422 with every reason why `new` may not be stored. `part` is what the request can change.
pub(crate) fn validate(kind: &Kind, new: &Value, old: Option<&Value>, part: Part) -> Result<()> {
    let mut errors = meta::check(kind, metadata(new));
    if let Some(old) = old {
        let found = meta::check_update(metadata(new), metadata(old));
        // The API server looks twice: for every kind alike, and for this kind.
        errors.extend([found.clone(), found].concat());
    }
    let own_kind = new.get("kind").and_then(Value::as_str).unwrap_or_default();
    if own_kind != kind.kind {
        errors.push(FieldError::invalid("kind", json!(own_kind), format!("must be {}", kind.kind)));
    }
    match kind.custom() {
        Some(custom) => custom_errors(custom, new, old, part, &mut errors),
        None => errors.extend(builtin::validate(kind, new, old)),
    }
    if errors.is_empty() {
        return Ok(());
    }
    let name = new.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    Err(StatusError::invalid(kind.stored_group(), own_kind, name, &errors))
}

fn metadata(object: &Value) -> &Value {
    object.get("metadata").unwrap_or(&Value::Null)
}

fn custom_errors(
    custom: &Custom,
    new: &Value,
    old: Option<&Value>,
    part: Part,
    errors: &mut Vec<FieldError>,
) {
    errors.extend(schema_errors(custom, new, part));
    errors.extend(custom.scale.iter().flat_map(|paths| scale_errors(paths, new)));
    list_type::check(&custom.schema, new, "", errors);
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
}

/// What the schema says of an object, or of its status alone where nothing else can change.
fn schema_errors(custom: &Custom, new: &Value, part: Part) -> Vec<FieldError> {
    let mut structural = schema::Structural { patterns: &custom.patterns, root: "", errors: vec![] };
    match (part, custom.schema.pointer("/properties/status")) {
        (Part::Status, Some(schema)) => {
            structural.root = "status";
            structural.check(schema, new.get("status").unwrap_or(&Value::Null), "");
        }
        _ => structural.check(&custom.schema, new, ""),
    }
    structural.errors
}

/// Replicas are counted, whatever the schema says of them.
fn scale_errors(paths: &ScalePaths, new: &Value) -> Vec<FieldError> {
    let wrong = |path: &Vec<String>| {
        let count = path.iter().try_fold(new, |value, step| value.get(step))?.as_i64()?;
        let field = format!(".{}", path.join("."));
        let most = i32::MAX;
        if count < 0 {
            Some(FieldError::invalid(&field, json!(count), "should be a non-negative integer"))
        } else if count > i64::from(most) {
            let why = format!("should be less than or equal to {most}");
            Some(FieldError::invalid(&field, json!(count), why))
        } else {
            None
        }
    };
    [&paths.spec_replicas, &paths.status_replicas].into_iter().filter_map(wrong).collect()
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
        let shown = value.to_string();
        return Err(StatusError::bad_request(format!("Object 'Kind' is missing in '{shown}'")));
    }
    if !found_version.is_empty() && found_version != expected {
        return Err(StatusError::bad_request(format!(
            "the API version in the data ({found_version}) does not match the expected API version ({expected})"
        )));
    }
    // Another kind than the custom one is an invalid object, not a broken request (`validate`).
    let other_kind = !found_kind.is_empty() && found_kind != kind.kind;
    if other_kind && kind.custom().is_none() {
        return Err(StatusError::bad_request(format!(
            "{found_kind} in version {:?} cannot be handled as a {}: no kind {found_kind:?} is registered here",
            kind.version, kind.kind
        )));
    }
    map.insert("apiVersion".to_owned(), expected.into());
    if !other_kind {
        map.insert("kind".to_owned(), kind.kind.clone().into());
    }
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
