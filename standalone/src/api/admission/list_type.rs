//! Uniqueness in lists that the schema declares as sets or as maps.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::fields::join;
use crate::api::field_error::FieldError;

/// Reports every duplicate below `value`.
pub(crate) fn check(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let additional = schema.get("additionalProperties").filter(|one| one.is_object());
            for (name, child) in map.iter().filter(|(_, child)| child.is_object() || child.is_array()) {
                if let Some(schema) = properties.and_then(|all| all.get(name)).or(additional) {
                    check(schema, child, &join(path, name), errors);
                }
            }
        }
        Value::Array(items) => {
            duplicates(schema, items, path, errors);
            let Some(schema) = schema.get("items") else { return };
            for (index, item) in
                items.iter().enumerate().filter(|(_, item)| item.is_object() || item.is_array())
            {
                check(schema, item, &format!("{path}[{index}]"), errors);
            }
        }
        _ => {}
    }
}

fn duplicates(schema: &Value, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let keys: Option<Vec<&str>> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => None,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            Some(keys.into_iter().flatten().filter_map(Value::as_str).collect())
        }
        _ => return,
    };
    let mut seen = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let identity =
            match &keys {
                None => item.clone(),
                Some(keys) => Value::Object(
                    keys.iter()
                        .filter_map(|&key| Some((key.to_owned(), item.get(key)?.clone())))
                        .collect::<Map<String, Value>>(),
                ),
            };
        if !seen.insert(identity.to_string()) {
            errors.push(FieldError::duplicate(&format!("{path}[{index}]"), identity));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicates_are_named_with_their_key() {
        let schema = json!({"properties": {
            "env": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {}},
            "tags": {"x-kubernetes-list-type": "set", "items": {}}, "args": {"items": {}}}});
        let value = json!({"env": [{"name": "A", "v": 1}, {"name": "A", "v": 2}], "tags": ["x", "x"],
            "args": ["y", "y"]});
        let mut errors = vec![];
        check(&schema, &value, "", &mut errors);
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [r#"env[1]: Duplicate value: {"name":"A"}"#, r#"tags[1]: Duplicate value: "x""#]);
    }
}
