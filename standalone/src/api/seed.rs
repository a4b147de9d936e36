//! The objects that exist from the start: the namespaces, and the definitions that are served.

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use super::{
    clock::seconds,
    core::Core,
    kinds::custom::whole_numbers,
    status_error::{Result, StatusError},
    store::{Expect, ObjectName, Write},
};

const NAMESPACES: [&str; 4] = ["default", "carrel-system", "kube-system", "kube-public"];

/// Creates the namespaces that are missing.
pub(crate) async fn namespaces(core: &Core) -> Result<()> {
    for name in NAMESPACES {
        let value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(core, name),
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        put(core, "/namespaces", name, value, |_| true).await?;
    }
    Ok(())
}

/// Stores the served definitions, newly or over an older form.
pub(crate) async fn definitions(core: &Core, all: &[CustomResourceDefinition]) -> Result<()> {
    for definition in all {
        let mut value = serde_json::to_value(definition).map_err(StatusError::internal)?;
        whole_numbers(&mut value);
        let name = definition.metadata.name.clone().unwrap_or_default();
        let names = &definition.spec.names;
        let now = seconds(core.now());
        let condition = |kind: &str, reason: &str, message: &str| {
            json!({"type": kind, "status": "True", "reason": reason, "message": message,
                "lastTransitionTime": now})
        };
        let stored: Vec<&str> =
            definition.spec.versions.iter().filter(|one| one.storage).map(|one| one.name.as_str()).collect();
        let status = json!({"acceptedNames": names, "storedVersions": stored, "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted")]});
        if let Some(map) = value.as_object_mut() {
            map.insert("metadata".to_owned(), metadata(core, &name));
            map.insert("status".to_owned(), status);
        }
        let spec = value.get("spec").cloned();
        put(core, "apiextensions.k8s.io/customresourcedefinitions", &name, value, |old| {
            old.get("spec") == spec.as_ref()
        })
        .await?;
    }
    Ok(())
}

fn metadata(core: &Core, name: &str) -> Value {
    json!({"name": name, "uid": uuid::Uuid::new_v4().to_string(), "creationTimestamp": seconds(core.now()),
        "generation": 1, "labels": {"kubernetes.io/metadata.name": name}})
}

/// Stores the object unless what is there is good enough; its identity is kept.
async fn put(
    core: &Core,
    resource: &str,
    name: &str,
    mut value: Value,
    good_enough: impl Fn(&Value) -> bool,
) -> Result<()> {
    let Some(kind) = core.registry.stored(resource) else { return Ok(()) };
    let name = ObjectName::new("", name);
    let old = core.store.get(resource, &name);
    let expect = match &old {
        None => Expect::Absent,
        Some(old) if good_enough(&old.value) => return Ok(()),
        Some(old) => Expect::Version(old.version),
    };
    if let (Some(old), Some(map)) = (&old, value.as_object_mut()) {
        map.insert("metadata".to_owned(), old.value.get("metadata").cloned().unwrap_or_default());
    }
    let write = Write { resource: Arc::clone(&kind.resource), name, expect, value: Some(value) };
    core.commit(kind, write).await.map(|_| ()).map_err(|refused| refused.status)
}
