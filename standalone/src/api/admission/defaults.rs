//! Fills in the schema's defaults, in place, and drops the nulls that no field may hold.
//! As in the API server, a null in a field that is not nullable counts as absent.

use serde_json::{Map, Value};

/// Applies the defaults of `schema` to `value`.
pub(crate) fn apply(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = schema.get("properties") {
                fill(properties, map);
            }
            if let Some(additional @ Value::Object(_)) = schema.get("additionalProperties") {
                for entry in map.values_mut() {
                    apply(additional, entry);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    apply(schema, item);
                }
            }
        }
        _ => {}
    }
}

fn fill(properties: &Map<String, Value>, map: &mut Map<String, Value>) {
    for (name, schema) in properties {
        if map.get(name) == Some(&Value::Null) && schema.get("nullable") != Some(&Value::Bool(true)) {
            map.remove(name);
        }
        if let Some(default) = schema.get("default")
            && !map.contains_key(name)
        {
            map.insert(name.clone(), default.clone());
        }
        if let Some(child) = map.get_mut(name) {
            apply(schema, child);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_fill_what_is_absent_and_nothing_else() {
        let schema = json!({"properties": {
            "a": {"default": 1}, "b": {"default": 2}, "c": {"default": 3, "nullable": true}, "d": {"default": 4},
            "e": {"type": "string"}, "deep": {"properties": {"x": {"default": "y"}}},
            "status": {"default": {}, "properties": {"phase": {"default": "Pending"}}},
            "list": {"items": {"properties": {"k": {"default": true}}}},
            "map": {"additionalProperties": {"properties": {"k": {"default": 0}}}}}});
        let mut value = json!({"a": 9, "c": null, "d": null, "e": null, "list": [{}], "map": {"e": {}}});
        apply(&schema, &mut value);
        let expected = json!({"a": 9, "b": 2, "c": null, "d": 4, "list": [{"k": true}], "map": {"e": {"k": 0}},
            "status": {"phase": "Pending"}});
        assert_eq!(value, expected);
    }
}
