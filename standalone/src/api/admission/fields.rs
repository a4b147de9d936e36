//! Removes what the schema does not know, and says what that was.

use serde_json::{Map, Value};

/// The fields of `ObjectMeta`; the API server decodes metadata by type, not by schema.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Prunes a whole custom object; returns the paths that were removed.
pub(crate) fn prune(schema: &Value, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    let Some(map) = object.as_object_mut() else { return unknown };
    let metadata = map.remove("metadata");
    let kept: Vec<(String, Value)> =
        ["apiVersion", "kind"].iter().filter_map(|&name| map.remove_entry(name)).collect();
    prune_map(schema, map, "", &mut unknown);
    map.extend(kept);
    if let Some(mut metadata) = metadata {
        if let Some(fields) = metadata.as_object_mut() {
            fields.retain(|name, _| {
                let known = METADATA.contains(&name.as_str());
                if !known {
                    unknown.push(format!("metadata.{name}"));
                }
                known
            });
        }
        map.insert("metadata".to_owned(), metadata);
    }
    unknown
}

fn prune_value(schema: &Value, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => prune_map(schema, map, path, unknown),
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for (index, item) in items.iter_mut().enumerate() {
                // Scalars cannot hold unknown fields; this keeps long lists of them cheap.
                if item.is_object() || item.is_array() {
                    prune_value(schema, item, &format!("{path}[{index}]"), unknown);
                }
            }
        }
        _ => {}
    }
}

fn prune_map(schema: &Value, map: &mut Map<String, Value>, path: &str, unknown: &mut Vec<String>) {
    let preserve = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    let properties = schema.get("properties").and_then(Value::as_object);
    let additional = schema.get("additionalProperties");
    map.retain(|name, value| {
        let child = properties.and_then(|all| all.get(name)).or(match additional {
            Some(schema @ Value::Object(_)) => Some(schema),
            _ => None,
        });
        let known = child.is_some() || preserve || additional == Some(&Value::Bool(true));
        if !known {
            unknown.push(join(path, name));
        } else if let Some(schema) = child
            && (value.is_object() || value.is_array())
        {
            prune_value(schema, value, &join(path, name), unknown);
        }
        known
    });
}

/// A field below a path, without a leading dot.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_go_and_are_named() {
        let schema = json!({"properties": {"spec": {"properties": {
            "a": {"type": "string"},
            "list": {"items": {"properties": {"k": {}}}},
            "labels": {"additionalProperties": {"type": "string"}},
            "open": {"x-kubernetes-preserve-unknown-fields": true}}}}});
        let mut object = json!({"apiVersion": "v", "kind": "K", "metadata": {"name": "n", "nme": 1}, "extra": 1,
            "spec": {"a": "", "b": 1, "list": [{"k": 1}, {"z": 2}], "labels": {"any": "x"}, "open": {"q": 1}}});
        let mut unknown = prune(&schema, &mut object);
        unknown.sort();
        assert_eq!(unknown, ["extra", "metadata.nme", "spec.b", "spec.list[1].z"]);
        assert_eq!(
            object["spec"],
            json!({"a": "", "list": [{"k": 1}, {}], "labels": {"any": "x"}, "open": {"q": 1}})
        );
        assert_eq!(object["kind"], "K");
    }
}
