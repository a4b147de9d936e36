//! Strategic merge patch for the built-in kinds: like a merge patch, but lists with a merge key are merged by it.
//! The keys are those of the built-in types that are served; other lists are replaced, as the API server does for
//! atomic ones. Understood directives: `$patch: delete|replace|merge`, `$deleteFromPrimitiveList/…`,
//! `$setElementOrder/…` (accepted; order is kept as stored) and `$retainKeys`.

use serde_json::{Map, Value};

/// How a list is merged.
#[derive(Clone, Copy)]
enum Merge {
    /// By the value of this key.
    By(&'static str),
    /// As a set of plain values.
    Set,
}

/// How the list in a field is merged; other lists are replaced.
fn merge_rule(field: &str) -> Option<Merge> {
    use Merge::{By, Set};
    Some(match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "resourceClaims" => By("name"),
        "volumeMounts" => By("mountPath"),
        "volumeDevices" => By("devicePath"),
        "hostAliases" | "podIPs" | "hostIPs" => By("ip"),
        "ports" => By("containerPort"),
        "ownerReferences" => By("uid"),
        "conditions" => By("type"),
        "topologySpreadConstraints" => By("topologyKey"),
        "finalizers" => Set,
        _ => return None,
    })
}

/// Merges `patch` into `target`.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *target = Value::Object(without_directives(patch));
            return;
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return;
        }
        _ => {}
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else { return };
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        map.retain(|name, _| kept.iter().any(|one| one.as_str() == Some(name)));
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            delete_values(map, list, value);
        } else if !name.starts_with('$') {
            merge_field(map, name, value);
        }
    }
}

fn merge_field(map: &mut Map<String, Value>, name: &str, value: &Value) {
    match (value, merge_rule(name)) {
        (Value::Null, _) => {
            map.remove(name);
        }
        (Value::Array(items), Some(rule)) => {
            let list = map.entry(name).or_insert_with(|| Value::Array(vec![]));
            match list.as_array_mut() {
                Some(list) => merge_list(list, items, rule),
                None => *list = value.clone(),
            }
        }
        (Value::Object(_), _) => {
            merge(map.entry(name).or_insert_with(|| Value::Object(Map::new())), value);
        }
        _ => {
            map.insert(name.to_owned(), value.clone());
        }
    }
}

fn merge_list(list: &mut Vec<Value>, items: &[Value], rule: Merge) {
    let directive = |item: &Value| item.get("$patch").and_then(Value::as_str).map(str::to_owned);
    if items.iter().any(|item| directive(item).as_deref() == Some("replace")) {
        *list = items.iter().filter(|item| item.get("$patch").is_none()).cloned().collect();
        return;
    }
    for item in items {
        let Merge::By(key) = rule else {
            if !list.contains(item) {
                list.push(item.clone());
            }
            continue;
        };
        let same = |own: &&mut Value| own.get(key).is_some() && own.get(key) == item.get(key);
        if directive(item).as_deref() == Some("delete") {
            list.retain(|own| own.get(key) != item.get(key));
        } else if let Some(own) = list.iter_mut().find(same) {
            merge(own, item);
        } else {
            let mut fresh = Value::Object(Map::new());
            merge(&mut fresh, item);
            list.push(fresh);
        }
    }
}

fn delete_values(map: &mut Map<String, Value>, name: &str, values: &Value) {
    if let (Some(list), Some(values)) = (map.get_mut(name).and_then(Value::as_array_mut), values.as_array()) {
        list.retain(|one| !values.contains(one));
    }
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    patch.iter().filter(|(name, _)| !name.starts_with('$')).map(|(n, v)| (n.clone(), v.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut target: Value, patch: &Value) -> Value {
        merge(&mut target, patch);
        target
    }

    #[test]
    fn lists_with_a_key_are_merged_by_it() {
        let pod =
            json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "tolerations": [1]}});
        let patch = json!({"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "c"}], "tolerations": [2],
            "$setElementOrder/containers": []}});
        let expected = json!({"spec": {"containers": [{"name": "a", "image": "2"}, {"name": "b"}, {"name": "c"}],
            "tolerations": [2]}});
        assert_eq!(merged(pod, &patch), expected);
    }

    #[test]
    fn directives_delete_and_replace() {
        let object = json!({"metadata": {"finalizers": ["x", "y"], "labels": {"a": "1", "b": "2"}},
            "spec": {"volumes": [{"name": "v"}, {"name": "w"}]}});
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"], "labels": {"a": null}},
            "spec": {"volumes": [{"name": "v", "$patch": "delete"}]}});
        let expected = json!({"metadata": {"finalizers": ["y"], "labels": {"b": "2"}},
            "spec": {"volumes": [{"name": "w"}]}});
        assert_eq!(merged(object, &patch), expected);
        let replaced = merged(json!({"data": {"a": 1}}), &json!({"data": {"$patch": "replace", "b": 2}}));
        assert_eq!(replaced, json!({"data": {"b": 2}}));
    }
}
