//! The schemas of the built-in types, as the Kubernetes types themselves describe them.

use std::sync::LazyLock;

use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{ConfigMap, Event, Namespace, PersistentVolumeClaim, Pod, Secret},
        events::v1::Event as EventView,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use schemars::{
    JsonSchema,
    generate::{SchemaGenerator, SchemaSettings},
};
use serde_json::{Map, Value, json};

use crate::api::kinds::{Class, Kind};

static ALL: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut generator = SchemaSettings::openapi3().into_generator();
    let add: [fn(&mut SchemaGenerator); 9] = [
        add::<Namespace>,
        add::<Pod>,
        add::<PersistentVolumeClaim>,
        add::<Event>,
        add::<Secret>,
        add::<ConfigMap>,
        add::<EventView>,
        add::<Lease>,
        add::<CustomResourceDefinition>,
    ];
    for add in add {
        add(&mut generator);
    }
    let mut all = generator.take_definitions(true);
    all.values_mut().for_each(wrap_references);
    all
});

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// A reference cannot have a description beside it.
fn wrap_references(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(wrap_references),
        Value::Object(map) => {
            // A property may be called like that as well.
            if map.len() > 1 && map.get("$ref").is_some_and(Value::is_string) {
                let reference = map.remove("$ref");
                map.insert("allOf".to_owned(), json!([{"$ref": reference}]));
            }
            map.values_mut().for_each(wrap_references);
        }
        _ => {}
    }
}

/// Adds every type that the schemas refer to, directly or not.
pub(super) fn add_referred(schemas: &mut Map<String, Value>) {
    let mut open = Vec::new();
    schemas.values().for_each(|schema| references(schema, &mut open));
    while let Some(name) = open.pop() {
        if let Some(schema) = ALL.get(&name)
            && !schemas.contains_key(&name)
        {
            references(schema, &mut open);
            schemas.insert(name, schema.clone());
        }
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(map) => {
            let name = map.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            found.extend(name.map(str::to_owned));
            map.values().for_each(|value| references(value, found));
        }
        _ => {}
    }
}

/// The name of a built-in kind's schema.
pub(super) fn name(kind: &Kind) -> Option<String> {
    Some(match kind.class {
        Class::Custom(_) => return None,
        Class::EventView => format!("io.k8s.api.events.v1.{}", kind.kind),
        Class::Lease => format!("io.k8s.api.coordination.v1.{}", kind.kind),
        Class::Definition => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.{}", kind.kind)
        }
        _ => format!("io.k8s.api.core.v1.{}", kind.kind),
    })
}

/// The schema of a built-in kind.
pub(super) fn schema(name: &str) -> Option<&'static Value> {
    ALL.get(name)
}

/// What every kind says of `apiVersion`, `kind` and `metadata`.
pub(super) fn common(field: &str) -> Option<&'static Value> {
    ALL.get("io.k8s.api.core.v1.Pod")?.get("properties")?.get(field)
}
