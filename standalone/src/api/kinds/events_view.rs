//! Events as events.k8s.io/v1 shows them. They are stored once, in their core/v1 form.

use serde_json::Value;

/// (events.k8s.io field, core field) where the names differ.
const RENAMED: [(&str, &str); 6] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
];
const COUNT: (&str, &str) = ("deprecatedCount", "count");

/// The core form of an event that came in through events.k8s.io.
pub(crate) fn to_stored(value: &Value) -> Value {
    rename(value, "v1", |(view, core)| (view, core))
}

/// The events.k8s.io form of a stored event.
pub(crate) fn from_stored(value: &Value) -> Value {
    rename(value, "events.k8s.io/v1", |(view, core)| (core, view))
}

/// Where a selectable field of the view is stored.
pub(crate) fn stored_path(field: &str) -> String {
    for (view, core) in RENAMED {
        if let Some(rest) = field.strip_prefix(view) {
            return format!("{core}{rest}");
        }
    }
    field.to_owned()
}

type Pair = (&'static str, &'static str);

fn rename(value: &Value, api_version: &str, order: fn(Pair) -> Pair) -> Value {
    let mut renamed = value.clone();
    if let Some(map) = renamed.as_object_mut() {
        map.insert("apiVersion".to_owned(), api_version.into());
        for pair in RENAMED.into_iter().chain([COUNT]) {
            let (from, to) = order(pair);
            if let Some(moved) = map.remove(from) {
                map.insert(to.to_owned(), moved);
            }
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_survives_the_way_there_and_back() {
        let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "n", "reason": "r",
            "regarding": {"name": "x"}, "reportingController": "c", "deprecatedCount": 2});
        let stored = to_stored(&event);
        assert_eq!(stored["involvedObject"]["name"], "x");
        assert_eq!(stored["message"], "n");
        assert_eq!(from_stored(&stored), event);
        assert_eq!(stored_path("regarding.name"), "involvedObject.name");
    }
}
