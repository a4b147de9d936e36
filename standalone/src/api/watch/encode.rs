//! Events as lines of JSON. The text of an object is made once, when it is stored, and copied here.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::api::{
    kinds::Kind,
    respond::Format,
    selectors::Selector,
    store::{Change, Event, Object},
    table::{self, IncludeObject},
};

/// How one watch shows its events.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) kind: Arc<Kind>,
    pub(super) format: Format,
}

impl Encoder {
    /// Writes the event as the selector sees it, or nothing.
    pub(super) fn event(&self, now: DateTime<Utc>, selector: &Selector, event: &Event, out: &mut BytesMut) {
        let matches = |object: &Object| selector.matches(&object.value);
        let is = event.change != Change::Deleted && matches(&event.object);
        let was = match &event.previous {
            Some(previous) if selector.is_narrow() => matches(previous),
            Some(_) => matches(&event.object),
            None => false,
        };
        match (was, is) {
            (false, true) => self.object(now, "ADDED", &event.object, out),
            (true, true) => self.object(now, "MODIFIED", &event.object, out),
            (true, false) if event.change == Change::Deleted => {
                self.object(now, "DELETED", &event.object, out);
            }
            (true, false) => {
                // It left the view: what was last in view, with the version at which it left.
                let last = event.previous.as_ref().map(|one| one.value.clone()).unwrap_or_default();
                self.object(now, "DELETED", &Object::stamp(last, event.version()), out);
            }
            (false, false) => {}
        }
    }

    pub(super) fn object(&self, now: DateTime<Utc>, change: &str, object: &Object, out: &mut BytesMut) {
        match self.format {
            Format::Table(include) => {
                let text = self.table(now, &object.value, object.version, include).to_string();
                line(change, text.as_bytes(), out);
            }
            Format::Partial => {
                let partial = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                    "metadata": object.value.get("metadata")});
                line(change, partial.to_string().as_bytes(), out);
            }
            Format::Json | Format::Yaml => match self.kind.view(&object.value) {
                Some(view) => line(change, view.to_string().as_bytes(), out),
                None => line(change, &object.json, out),
            },
        }
    }

    pub(super) fn bookmark(&self, version: u64, ends_initial: bool, out: &mut BytesMut) {
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if ends_initial && let Some(map) = metadata.as_object_mut() {
            map.insert("annotations".to_owned(), json!({"k8s.io/initial-events-end": "true"}));
        }
        let object = match self.format {
            Format::Table(_) => json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": version.to_string()}, "columnDefinitions": null, "rows": []}),
            _ => json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata}),
        };
        line("BOOKMARK", object.to_string().as_bytes(), out);
    }

    fn table(&self, now: DateTime<Utc>, object: &Value, version: u64, include: IncludeObject) -> Value {
        let metadata = json!({"resourceVersion": version.to_string()});
        table::table(&self.kind, std::iter::once(object), &metadata, include, now)
    }
}

/// One event as a line.
pub(super) fn line(change: &str, object: &[u8], out: &mut BytesMut) {
    out.reserve(object.len() + change.len() + 24);
    out.put_slice(b"{\"type\":\"");
    out.put_slice(change.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(object);
    out.put_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinds::builtin;

    fn pod(phase: &str, version: u64) -> Arc<Object> {
        let value = json!({"metadata": {"name": "p", "namespace": "n"}, "status": {"phase": phase}});
        Arc::new(Object::stamp(value, version))
    }

    fn seen(selector: &str, change: Change, previous: Option<Arc<Object>>, object: Arc<Object>) -> String {
        let kind = Arc::new(builtin::all().into_iter().find(|kind| kind.plural == "pods").unwrap());
        let selector = Selector::parse(&kind, Some("n"), "", selector).unwrap();
        let encoder = Encoder { kind, format: Format::Json };
        let mut out = BytesMut::new();
        encoder.event(Utc::now(), &selector, &Event { change, object, previous }, &mut out);
        if out.is_empty() {
            return String::new();
        }
        let event: Value = serde_json::from_slice(&out).unwrap();
        format!("{} {}", event["type"].as_str().unwrap(), event["object"]["metadata"]["resourceVersion"])
    }

    #[test]
    fn objects_come_into_view_and_leave_it() {
        let (pending, running) = (pod("Pending", 1), pod("Running", 2));
        let only_running = "status.phase=Running";
        let step = |was: &Arc<Object>, is: &Arc<Object>| {
            seen(only_running, Change::Modified, Some(Arc::clone(was)), Arc::clone(is))
        };
        assert_eq!(step(&pending, &running), "ADDED \"2\"");
        assert_eq!(step(&running, &running), "MODIFIED \"2\"");
        assert_eq!(step(&running, &pod("Failed", 3)), "DELETED \"3\"");
        assert_eq!(step(&pending, &pending), "");
        assert_eq!(seen(only_running, Change::Deleted, Some(pending), pod("Pending", 4)), "");
        assert_eq!(seen("", Change::Deleted, Some(running), pod("Running", 5)), "DELETED \"5\"");
    }
}
