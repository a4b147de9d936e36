//! POST: decode, name, default, validate, store.

use std::sync::Arc;

use getrandom::fill;
use serde_json::{Map, Value, json};

use crate::api::{
    admission,
    clock::seconds,
    core::Core,
    decode::object,
    kinds::Kind,
    respond::{Answer, Reply},
    status_error::{Result, StatusError},
    store::{Expect, ObjectName, Write},
    verbs::{Part, Request},
};

/// What the API server calls the options of this verb.
const OPTIONS: &str = "CreateOptions";
/// How long a generated name may be before its random end.
const MAX_GENERATED_BASE: usize = 58;
/// Letters and digits that make no words.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

pub(super) async fn run(core: &Arc<Core>, request: &Request) -> Result<Answer> {
    let kind = &request.target.kind;
    if kind.namespaced && request.target.namespace.is_none() {
        return Err(StatusError::method_not_allowed());
    }
    let dry_run = request.params.dry_run(OPTIONS)?;
    let decoded = object(kind, &request.body, &request.content_type)?;
    let settled = admission::settle(kind, decoded, request.params.field_validation(OPTIONS)?)?;
    let mut value = settled.value;
    prepare(core, kind, request.target.namespace.as_deref(), &mut value)?;
    check_namespace(core, kind, &value)?;
    admission::validate(kind, &value, None, Part::Main)?;
    let name = name_of(&value);
    let reply = if dry_run {
        if core.store.get(&kind.resource, &name).is_some() {
            return Err(StatusError::already_exists(kind, &name.name));
        }
        Reply::Unstored(value)
    } else {
        let write =
            Write { resource: Arc::clone(&kind.resource), name, expect: Expect::Absent, value: Some(value) };
        Reply::Object(core.commit(kind, write).await.map_err(|refused| refused.status)?)
    };
    Ok(Answer { reply, code: 201, warnings: settled.warnings })
}

/// Gives the object what only the server may give.
fn prepare(core: &Core, kind: &Kind, namespace: Option<&str>, value: &mut Value) -> Result<()> {
    let created = seconds(core.now());
    let Some(map) = value.as_object_mut() else { return Err(StatusError::bad_request("not an object")) };
    if kind.has_status {
        map.remove("status");
    }
    let metadata = map.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else {
        return Err(StatusError::bad_request("metadata is not an object"));
    };
    let text = |metadata: &Map<String, Value>, field: &str| {
        metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if !matches!(text(metadata, "resourceVersion").as_str(), "" | "0") {
        return Err(StatusError::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    place(namespace, metadata)?;
    let base = text(metadata, "generateName");
    if text(metadata, "name").is_empty() && !base.is_empty() {
        metadata.insert("name".to_owned(), json!(generated(&base)?));
    }
    for field in
        ["resourceVersion", "selfLink", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
    metadata.insert("creationTimestamp".to_owned(), json!(created));
    metadata.remove("generation");
    if kind.custom().is_some() {
        metadata.insert("generation".to_owned(), json!(1));
    }
    // Once more, for what hangs below a status that was dropped or a name that was made.
    admission::fill_defaults(kind, value);
    Ok(())
}

/// Puts the object into the namespace of the path.
fn place(namespace: Option<&str>, metadata: &mut Map<String, Value>) -> Result<()> {
    let own = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    match namespace {
        Some(namespace) if own.is_empty() || own == namespace => {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        None if own.is_empty() => {
            metadata.remove("namespace");
        }
        _ => {
            return Err(StatusError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    }
    Ok(())
}

fn generated(base: &str) -> Result<String> {
    let mut random = [0_u8; 5];
    fill(&mut random).map_err(StatusError::internal)?;
    let mut name: String = base.chars().take(MAX_GENERATED_BASE).collect();
    name.extend(random.iter().filter_map(|byte| {
        ALPHABET.get(usize::from(*byte) % ALPHABET.len()).map(|letter| char::from(*letter))
    }));
    Ok(name)
}

fn name_of(value: &Value) -> ObjectName {
    let text = |path| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    ObjectName::new(text("/metadata/namespace"), text("/metadata/name"))
}

/// Objects can only be put into a namespace that is there and stays.
fn check_namespace(core: &Core, kind: &Kind, value: &Value) -> Result<()> {
    if !kind.namespaced {
        return Ok(());
    }
    let name = name_of(value);
    let namespace = core
        .store
        .get("/namespaces", &ObjectName::new("", name.namespace.as_str()))
        .ok_or_else(|| StatusError::namespace_not_found(&name.namespace))?;
    if namespace.is_deleting() {
        return Err(StatusError::terminating(kind, &name.name, &name.namespace));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_keep_their_base_within_the_limit() {
        let name = generated("run-").unwrap();
        assert_eq!(name.len(), 9);
        assert!(name.starts_with("run-"));
        assert_eq!(generated(&"x".repeat(100)).unwrap().len(), 63);
        assert_ne!(generated("a").unwrap(), generated("a").unwrap());
    }
}
