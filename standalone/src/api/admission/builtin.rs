//! The built-in kinds: decoded through their types, given the few defaults that matter here, checked lightly.

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, Event, Namespace, PersistentVolumeClaim, Pod, Secret},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::api::{
    field_error::FieldError,
    go_words,
    kinds::{Class, Kind},
};

/// Reads the value as its type and writes it back; returns the paths that the type does not know.
pub(crate) fn retype(kind: &Kind, value: &mut Value) -> Result<Vec<String>, String> {
    if let Some(why) = broken_bytes(value) {
        return Err(why);
    }
    let typed = match kind.class {
        Class::Pod => through::<Pod>(value),
        Class::Claim => through::<PersistentVolumeClaim>(value),
        Class::Namespace => through::<Namespace>(value),
        Class::Secret => through::<Secret>(value),
        Class::ConfigMap => through::<ConfigMap>(value),
        Class::Event | Class::EventView => through::<Event>(value),
        Class::Lease => through::<Lease>(value),
        Class::Custom(_) | Class::Definition => return Ok(vec![]),
    }
    .map_err(|error| format!("json: {error}"))?;
    let mut unknown = Vec::new();
    lost(value, &typed, "", &mut unknown);
    *value = typed;
    Ok(unknown)
}

/// Why a field of bytes of a Secret or `ConfigMap` cannot be read.
fn broken_bytes(value: &Value) -> Option<String> {
    let field = if value.get("kind") == Some(&json!("Secret")) { "data" } else { "binaryData" };
    let entries = value.get(field).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(_, text)| text.as_str()).find_map(go_words::bytes)
}

fn through<T: Serialize + DeserializeOwned>(value: &Value) -> Result<Value, serde_json::Error> {
    T::deserialize(value).and_then(serde_json::to_value)
}

fn lost(sent: &Value, kept: &Value, path: &str, unknown: &mut Vec<String>) {
    match (sent, kept) {
        (Value::Object(sent), Value::Object(kept)) => {
            for (name, value) in sent.iter().filter(|(_, value)| !value.is_null()) {
                let path = super::fields::join(path, name);
                match kept.get(name) {
                    Some(kept) => lost(value, kept, &path, unknown),
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(sent), Value::Array(kept)) => {
            for (index, (sent, kept)) in sent.iter().zip(kept).enumerate() {
                lost(sent, kept, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Fills in what the API server would.
pub(crate) fn default(kind: &Kind, value: &mut Value) {
    match kind.class {
        Class::Pod => default_pod(value),
        Class::Claim => {
            set(value, &["spec"], "volumeMode", json!("Filesystem"));
            set(value, &["status"], "phase", json!("Pending"));
        }
        Class::Namespace => {
            let name = value.pointer("/metadata/name").cloned().unwrap_or_default();
            set(value, &["metadata", "labels"], "kubernetes.io/metadata.name", name);
            set(value, &["status"], "phase", json!("Active"));
            set(value, &["spec"], "finalizers", json!(["kubernetes"]));
        }
        Class::Event | Class::EventView => {
            for field in ["reportingComponent", "reportingInstance"] {
                set(value, &[], field, json!(""));
            }
            set(value, &[], "source", json!({}));
        }
        Class::Secret => default_secret(value),
        _ => {}
    }
}

fn default_pod(value: &mut Value) {
    let spec = [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("enableServiceLinks", json!(true)),
        ("securityContext", json!({})),
        // There is one node, so scheduling is a default.
        ("nodeName", json!("local")),
    ];
    for (name, default) in spec {
        set(value, &["spec"], name, default);
    }
    for list in ["containers", "initContainers"] {
        let containers = value.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let latest = container.get("image").and_then(Value::as_str).is_none_or(|image| {
                !image.contains('@')
                    && image
                        .rsplit('/')
                        .next()
                        .is_none_or(|last| !last.contains(':') || last.ends_with(":latest"))
            });
            set(container, &[], "imagePullPolicy", json!(if latest { "Always" } else { "IfNotPresent" }));
            set(container, &[], "terminationMessagePath", json!("/dev/termination-log"));
            set(container, &[], "terminationMessagePolicy", json!("File"));
            set(container, &[], "resources", json!({}));
        }
    }
    set(value, &["status"], "phase", json!("Pending"));
    set(value, &["status"], "qosClass", json!("BestEffort"));
}

/// Plain `stringData` becomes base64 `data`.
fn default_secret(value: &mut Value) {
    set(value, &[], "type", json!("Opaque"));
    let Some(map) = value.as_object_mut() else { return };
    if let Some(Value::Object(plain)) = map.remove("stringData") {
        let data = map.entry("data").or_insert_with(|| json!({}));
        if let Some(data) = data.as_object_mut() {
            for (name, text) in plain {
                data.insert(name, json!(STANDARD.encode(text.as_str().unwrap_or_default())));
            }
        }
    }
}

/// Sets a field below `path` unless it is there.
fn set(value: &mut Value, path: &[&str], name: &str, default: Value) {
    let mut node = value;
    for step in path {
        let Some(map) = node.as_object_mut() else { return };
        node = map.entry(*step).or_insert_with(|| Value::Object(Map::new()));
    }
    if let Some(map) = node.as_object_mut() {
        map.entry(name).or_insert(default);
    }
}

/// The rules that a client of this server can trip over.
pub(crate) fn validate(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    match kind.class {
        Class::Pod => validate_pod(new, old),
        Class::Claim => required(new, &["/spec/accessModes", "/spec/resources/requests/storage"]),
        Class::Lease => validate_lease(new),
        Class::Event => validate_event(new),
        Class::EventView => [validate_event(new), validate_event_view(new)].concat(),
        Class::Secret if old.is_some_and(|old| old.get("type") != new.get("type")) => {
            let shown = new.get("type").cloned().unwrap_or_default();
            vec![FieldError::invalid("type", shown, "field is immutable")]
        }
        _ => vec![],
    }
}

fn required(value: &Value, pointers: &[&str]) -> Vec<FieldError> {
    pointers
        .iter()
        .filter(|pointer| {
            value
                .pointer(pointer)
                .is_none_or(|found| found.is_null() || found.as_array().is_some_and(Vec::is_empty))
        })
        .map(|pointer| FieldError::required(&pointer.trim_start_matches('/').replace('/', "."), ""))
        .collect()
}

fn validate_lease(new: &Value) -> Vec<FieldError> {
    let positive = |field: &str, least: i64, why: &str| {
        let value = new.get("spec")?.get(field)?.as_i64()?;
        (value < least).then(|| FieldError::invalid(&format!("spec.{field}"), json!(value), why))
    };
    let all = [
        positive("leaseDurationSeconds", 1, "must be greater than 0"),
        positive("leaseTransitions", 0, "must be greater than or equal to 0"),
    ];
    all.into_iter().flatten().collect()
}

/// What only the newer form of events must have.
fn validate_event_view(new: &Value) -> Vec<FieldError> {
    let mut errors = required(new, &["/eventTime"]);
    let kind = new.get("type").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(FieldError::invalid("type", json!(kind), format!("has invalid value: {kind}")));
    }
    errors
}

/// An event is where its object is; those of objects without a namespace are in `default`.
fn validate_event(new: &Value) -> Vec<FieldError> {
    let text = |pointer| new.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (own, involved) = (text("/metadata/namespace"), text("/involvedObject/namespace"));
    if involved == own || (involved.is_empty() && own == "default") {
        return vec![];
    }
    vec![FieldError::invalid("involvedObject.namespace", json!(involved), "does not match event.namespace")]
}

fn validate_pod(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = required(new, &["/spec/containers"]);
    let containers = new.pointer("/spec/containers").and_then(Value::as_array);
    for (index, container) in containers.into_iter().flatten().enumerate() {
        for field in ["name", "image"] {
            if container.get(field).and_then(Value::as_str).unwrap_or_default().is_empty() {
                errors.push(FieldError::required(&format!("spec.containers[{index}].{field}"), ""));
            }
        }
    }
    if let Some(old) = old
        && frozen(new) != frozen(old)
    {
        errors.push(FieldError::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ));
    }
    errors
}

/// A pod's spec without what may change.
fn frozen(pod: &Value) -> Value {
    let mut spec = pod.get("spec").cloned().unwrap_or_default();
    if let Some(map) = spec.as_object_mut() {
        map.remove("activeDeadlineSeconds");
        map.remove("tolerations");
        for list in ["containers", "initContainers"] {
            for container in map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(container) = container.as_object_mut() {
                    container.remove("image");
                }
            }
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinds::builtin;

    fn kind(plural: &str) -> Kind {
        builtin::all().into_iter().find(|kind| kind.plural == plural).unwrap()
    }

    #[test]
    fn unknown_fields_of_a_pod_are_found_and_wrong_types_refused() {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "image": "i", "imge": "j"}], "nope": 1}});
        let mut unknown = retype(&kind("pods"), &mut pod).unwrap();
        unknown.sort();
        assert_eq!(unknown, ["spec.containers[0].imge", "spec.nope"]);
        let mut wrong = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": 3}});
        assert!(retype(&kind("pods"), &mut wrong).is_err());
    }

    #[test]
    fn a_pod_gets_its_node_and_phase() {
        let mut pod = json!({"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
        default(&kind("pods"), &mut pod);
        assert_eq!(pod["spec"]["nodeName"], "local");
        assert_eq!(pod["status"]["phase"], "Pending");
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
        let mut changed = pod.clone();
        changed["spec"]["containers"][0]["image"] = json!("i:2");
        assert!(validate(&kind("pods"), &changed, Some(&pod)).is_empty());
        changed["spec"]["restartPolicy"] = json!("Never");
        assert_eq!(validate(&kind("pods"), &changed, Some(&pod)).len(), 1);
    }

    #[test]
    fn string_data_of_a_secret_becomes_data() {
        let mut secret = json!({"metadata": {}, "stringData": {"k": "v"}});
        default(&kind("secrets"), &mut secret);
        assert_eq!(secret["data"], json!({"k": "dg=="}));
        assert!(secret.get("stringData").is_none());
    }
}
