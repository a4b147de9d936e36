//! What PUT and PATCH share: from a candidate to a stored version.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::{
    admission,
    core::{Core, Refused},
    field_error::FieldError,
    kinds::{Class, Kind},
    status_error::{Result, StatusError},
    store::{Expect, Object, Write},
    verbs::Part,
};

/// How often a write without a resourceVersion of its own is tried again after a lost race.
pub(super) const ATTEMPTS: usize = 10;

/// Fields of the metadata that stay what they are, whatever the client sends.
const KEPT: [&str; 5] = ["name", "namespace", "creationTimestamp", "generation", "resourceVersion"];
/// Fields that a client may leave out. Another value is refused (`admission`).
const IMMUTABLE: [&str; 3] = ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// How a candidate came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Replace,
    Patch,
    Scale,
}

/// Checks that the candidate speaks of `old`, in the version it claims to know.
/// Returns whether it claimed one: then a lost race is a conflict and not a reason to try again.
pub(super) fn check_identity(kind: &Kind, old: &Object, candidate: &Value, change: Change) -> Result<bool> {
    let text = |field: &str| {
        candidate.get("metadata").and_then(|meta| meta.get(field)).and_then(Value::as_str).unwrap_or_default()
    };
    let name = text("name");
    if name != old.name() {
        return Err(StatusError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            old.name()
        )));
    }
    if !text("namespace").is_empty() && text("namespace") != old.namespace() {
        return Err(StatusError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let uid = text("uid");
    if change != Change::Patch && !uid.is_empty() && uid != old.uid() {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", old.uid());
        return Err(StatusError::conflict_because(kind, name, &why));
    }
    match text("resourceVersion") {
        "" | "0" if change != Change::Scale && needs_version(kind) => {
            let error =
                FieldError::invalid("metadata.resourceVersion", json!(0), "must be specified for an update");
            // The API server names the resource here, and not the kind.
            Err(StatusError::invalid(&kind.group, &kind.plural, name, &[error]))
        }
        "" | "0" => Ok(false),
        version if version == old.version.to_string() => Ok(true),
        _ => Err(StatusError::conflict(kind, name)),
    }
}

/// Whether an update must say which version it is of.
fn needs_version(kind: &Kind) -> bool {
    matches!(kind.class, Class::Custom(_) | Class::Lease)
}

/// The next version of `old` that the candidate asks for, without what it may not change.
pub(super) fn merge(kind: &Kind, old: &Value, candidate: Value, part: Part) -> Value {
    let mut next = match part {
        Part::Main => main_part(kind, old, candidate),
        Part::Status => {
            let mut next = old.clone();
            put(&mut next, "status", candidate.get("status").cloned());
            // Of the rest, built-in kinds check who is meant; custom ones do not look at it.
            let uid = candidate.pointer("/metadata/uid").filter(|uid| uid.is_string());
            if let (Some(uid), Some(own), None) = (uid, next.pointer_mut("/metadata/uid"), kind.custom()) {
                *own = uid.clone();
            }
            next
        }
    };
    admission::fill_defaults(kind, &mut next);
    if kind.custom().is_some() && part == Part::Main && desired(kind, &next) != desired(kind, old) {
        let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
        if let Some(metadata) = next.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("generation".to_owned(), json!(generation + 1));
        }
    }
    next
}

fn main_part(kind: &Kind, old: &Value, mut next: Value) -> Value {
    if kind.has_status {
        put(&mut next, "status", old.get("status").cloned());
    }
    let kept = old.get("metadata").and_then(Value::as_object);
    if let Some(metadata) = next.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        metadata.remove("selfLink");
        for field in KEPT {
            match kept.and_then(|old| old.get(field)) {
                Some(value) => metadata.insert(field.to_owned(), value.clone()),
                None => metadata.remove(field),
            };
        }
        for field in IMMUTABLE {
            let value = kept.and_then(|old| old.get(field));
            if let Some(value) = value.filter(|_| metadata.get(field).is_none_or(Value::is_null)) {
                metadata.insert(field.to_owned(), value.clone());
            }
        }
        metadata.retain(|_, value| !is_empty(value));
    }
    next
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn put(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(map) = object.as_object_mut() else { return };
    match value {
        Some(value) => map.insert(field.to_owned(), value),
        None => map.remove(field),
    };
}

/// What the generation counts: everything but metadata and a separate status.
fn desired<'a>(kind: &Kind, object: &'a Value) -> Vec<(&'a str, &'a Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields
        .filter(|(name, _)| name.as_str() != "metadata" && !(kind.has_status && name.as_str() == "status"))
        .map(|(name, value)| (name.as_str(), value))
        .collect()
}

/// Stores `next` over `old`. Nothing is written when nothing changed; the last finalizer takes the object along.
pub(super) async fn store(
    core: &Core,
    kind: &Kind,
    old: &Arc<Object>,
    next: Value,
) -> Result<Arc<Object>, Refused> {
    if next == old.value {
        return Ok(Arc::clone(old));
    }
    let write = |value| Write {
        resource: Arc::clone(&kind.resource),
        name: old.object_name(),
        expect: Expect::Version(old.version),
        value,
    };
    if is_finished(&next) {
        let gone = core.commit(kind, write(None)).await?;
        return Ok(Arc::new(Object::stamp(next, gone.version)));
    }
    core.commit(kind, write(Some(next))).await
}

/// Whether an object waited only for its finalizers and has none left.
fn is_finished(value: &Value) -> bool {
    let metadata = |field: &str| value.get("metadata").and_then(|meta| meta.get(field));
    metadata("deletionTimestamp").is_some()
        && metadata("finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty)
        && metadata("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0) == 0
        && value.get("kind").and_then(Value::as_str) != Some("Namespace")
}
