//! The columns of the built-in kinds.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    age,
    columns::{Column, age_column, name_column},
};
use crate::api::kinds::Class;

/// The columns of a built-in kind.
pub(crate) fn of(class: &Class) -> Vec<Column> {
    let text = |name: &str, priority: i32, cell| Column::computed(name, "string", priority, cell);
    match class {
        Class::Pod => vec![
            name_column(),
            text("Ready", 0, ready),
            text("Status", 0, pod_status),
            Column::computed("Restarts", "string", 0, |pod, _| json!(restarts(pod).to_string())),
            age_column(),
            text("IP", 1, |pod, _| field(pod, "/status/podIP", "<none>")),
            text("Node", 1, |pod, _| field(pod, "/spec/nodeName", "<none>")),
        ],
        Class::Namespace => {
            vec![name_column(), text("Status", 0, |one, _| field(one, "/status/phase", "")), age_column()]
        }
        Class::Secret => vec![
            name_column(),
            text("Type", 0, |one, _| field(one, "/type", "Opaque")),
            Column::computed("Data", "integer", 0, data_count),
            age_column(),
        ],
        Class::ConfigMap => {
            vec![name_column(), Column::computed("Data", "integer", 0, data_count), age_column()]
        }
        Class::Lease => vec![
            name_column(),
            text("Holder", 0, |one, _| field(one, "/spec/holderIdentity", "")),
            age_column(),
        ],
        Class::Claim => vec![
            name_column(),
            text("Status", 0, |one, _| field(one, "/status/phase", "")),
            text("Volume", 0, |one, _| field(one, "/spec/volumeName", "")),
            text("Capacity", 0, |one, _| field(one, "/status/capacity/storage", "")),
            text("StorageClass", 0, |one, _| field(one, "/spec/storageClassName", "")),
            age_column(),
        ],
        Class::Event | Class::EventView => event_columns(),
        Class::Definition => vec![
            name_column(),
            Column::computed("Created At", "date", 0, |one, _| field(one, "/metadata/creationTimestamp", "")),
        ],
        Class::Custom(_) => vec![],
    }
}

fn event_columns() -> Vec<Column> {
    let text = |name: &str, priority: i32, cell| Column::computed(name, "string", priority, cell);
    vec![
        text("Last Seen", 0, |event, now| {
            json!(last_seen(event).map_or_else(|| "<unknown>".to_owned(), |time| age::since(time, now)))
        }),
        text("Type", 0, |event, _| field(event, "/type", "")),
        text("Reason", 0, |event, _| field(event, "/reason", "")),
        text("Object", 0, |event, _| {
            let part = |path| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
            json!(format!("{}/{}", part("/involvedObject/kind").to_lowercase(), part("/involvedObject/name")))
        }),
        text("Message", 0, |event, _| field(event, "/message", "")),
        Column::computed("Name", "string", 1, |event, _| field(event, "/metadata/name", "")),
    ]
}

fn last_seen(event: &Value) -> Option<&str> {
    ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
        .iter()
        .find_map(|path| event.pointer(path).and_then(Value::as_str))
}

fn field(object: &Value, path: &str, missing: &str) -> Value {
    object.pointer(path).filter(|value| !value.is_null()).cloned().unwrap_or_else(|| json!(missing))
}

fn data_count(object: &Value, _: DateTime<Utc>) -> Value {
    json!(object.get("data").and_then(Value::as_object).map_or(0, serde_json::Map::len))
}

fn container_statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    pod.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten()
}

fn ready(pod: &Value, _: DateTime<Utc>) -> Value {
    let ready = container_statuses(pod).filter(|one| one.get("ready") == Some(&Value::Bool(true))).count();
    let all = pod.pointer("/spec/containers").and_then(Value::as_array).map_or(0, Vec::len);
    json!(format!("{ready}/{all}"))
}

fn restarts(pod: &Value) -> i64 {
    container_statuses(pod).filter_map(|one| one.get("restartCount").and_then(Value::as_i64)).sum()
}

/// The phase, or the most telling reason a container gives.
fn pod_status(pod: &Value, _: DateTime<Utc>) -> Value {
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return json!("Terminating");
    }
    let reasons = ["/state/waiting/reason", "/state/terminated/reason"];
    container_statuses(pod)
        .find_map(|one| reasons.iter().find_map(|path| one.pointer(path)))
        .or_else(|| pod.pointer("/status/reason"))
        .cloned()
        .unwrap_or_else(|| field(pod, "/status/phase", "Unknown"))
}
