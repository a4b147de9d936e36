//! The paths and the schema of one kind.

use serde_json::{Map, Value, json};

use super::types;
use crate::api::kinds::Kind;

/// `dev.carrel.v1alpha1.CodeExecution`: the group backwards, the version, the kind.
pub(super) fn schema_name(kind: &Kind) -> String {
    types::name(kind).unwrap_or_else(|| {
        let reversed: Vec<&str> = kind.group.rsplit('.').collect();
        format!("{}.{}.{}", reversed.join("."), kind.version, kind.kind)
    })
}

fn group_version_kind(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

/// The definition's own schema, or that of the built-in type.
pub(super) fn schema(kind: &Kind) -> Value {
    let mut schema = match kind.custom() {
        Some(custom) => custom.schema.clone(),
        None => types::schema(&schema_name(kind)).cloned().unwrap_or_else(|| json!({"type": "object"})),
    };
    let Some(map) = schema.as_object_mut() else { return schema };
    map.insert("x-kubernetes-group-version-kind".to_owned(), json!([group_version_kind(kind)]));
    if kind.custom().is_none() {
        // The types' metadata is always there; that a client must send it is not meant.
        if let Some(required) = map.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|field| field != "metadata");
        }
        return schema;
    }
    let properties = map.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        for field in ["apiVersion", "kind", "metadata"] {
            properties.insert(field.to_owned(), types::common(field).cloned().unwrap_or_default());
        }
    }
    schema
}

/// The paths of a kind with their verbs and query parameters.
pub(super) fn paths(kind: &Kind) -> Map<String, Value> {
    let root = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    let collection = if kind.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        format!("{root}/{}", kind.plural)
    };
    let mut paths = Map::new();
    let mut own = vec![("get", "list")];
    let mut one = vec![("get", "get")];
    if !kind.read_only {
        own.extend([("post", "post"), ("delete", "deletecollection")]);
        one.extend([("put", "put"), ("patch", "patch"), ("delete", "delete")]);
    }
    paths.insert(collection.clone(), operations(kind, &own));
    paths.insert(format!("{collection}/{{name}}"), operations(kind, &one));
    if kind.has_status {
        let status = [("get", "get"), ("put", "put"), ("patch", "patch")];
        paths.insert(format!("{collection}/{{name}}/status"), operations(kind, &status));
    }
    paths
}

fn operations(kind: &Kind, methods: &[(&str, &str)]) -> Value {
    let operations: Map<String, Value> = methods
        .iter()
        .map(|(method, action)| {
            let writes = matches!(*method, "post" | "put" | "patch");
            let names: &[&str] = if writes { &["dryRun", "fieldManager", "fieldValidation"] } else { &[] };
            let parameters: Vec<Value> = names
                .iter()
                .map(|name| {
                    json!({"name": name, "in": "query", "uniqueItems": true, "schema": {"type": "string"}})
                })
                .collect();
            let operation = json!({"parameters": parameters, "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": group_version_kind(kind),
                "responses": {"200": {"description": "OK"}}});
            ((*method).to_owned(), operation)
        })
        .collect();
    Value::Object(operations)
}
