//! What every object's metadata must obey, on create and on update.

use serde_json::{Map, Value, json};

use super::names;
use crate::api::{field_error::FieldError, kinds::Kind};

const MAX_ANNOTATION_BYTES: usize = 256 * 1024;
/// Finalizers that need no prefix.
const STANDARD_FINALIZERS: [&str; 3] = ["foregroundDeletion", "orphan", "kubernetes"];

/// Checks an object: names, labels, annotations, finalizers and owners.
pub(crate) fn check(kind: &Kind, metadata: &Value) -> Vec<FieldError> {
    let mut errors = name_errors(kind, metadata);
    check_texts(metadata, &mut errors);
    finalizer_errors(kind, metadata, &mut errors);
    errors
}

/// What is looked at on every write.
fn check_texts(metadata: &Value, errors: &mut Vec<FieldError>) {
    label_errors(metadata, errors);
    annotation_errors(metadata, errors);
    owner_errors(metadata, errors);
}

fn text<'a>(metadata: &'a Value, field: &str) -> &'a str {
    metadata.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn entries<'a>(metadata: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a str)> {
    let map: Option<&Map<String, Value>> = metadata.get(field).and_then(Value::as_object);
    map.into_iter().flatten().map(|(key, value)| (key, value.as_str().unwrap_or_default()))
}

fn name_errors(kind: &Kind, metadata: &Value) -> Vec<FieldError> {
    let name = text(metadata, "name");
    if name.is_empty() {
        return vec![FieldError::required("metadata.name", "name or generateName is required")];
    }
    let wrong = if kind.plural == "namespaces" { names::label(name) } else { names::subdomain(name) };
    wrong.into_iter().map(|detail| FieldError::invalid("metadata.name", json!(name), detail)).collect()
}

fn label_errors(metadata: &Value, errors: &mut Vec<FieldError>) {
    let field = "metadata.labels";
    for (key, value) in entries(metadata, "labels") {
        errors
            .extend(names::qualified(key).into_iter().map(|why| FieldError::invalid(field, json!(key), why)));
        errors.extend(
            names::label_value(value).into_iter().map(|why| FieldError::invalid(field, json!(value), why)),
        );
    }
}

fn annotation_errors(metadata: &Value, errors: &mut Vec<FieldError>) {
    let field = "metadata.annotations";
    let mut bytes = 0;
    for (key, value) in entries(metadata, "annotations") {
        bytes += key.len() + value.len();
        let wrong = names::qualified(&key.to_lowercase());
        errors.extend(wrong.into_iter().map(|why| FieldError::invalid(field, json!(key), why)));
    }
    if bytes > MAX_ANNOTATION_BYTES {
        errors.push(FieldError::too_long(field, MAX_ANNOTATION_BYTES as u64));
    }
}

fn finalizer_errors(kind: &Kind, metadata: &Value, errors: &mut Vec<FieldError>) {
    for finalizer in metadata.get("finalizers").and_then(Value::as_array).into_iter().flatten() {
        let name = finalizer.as_str().unwrap_or_default();
        let field = "metadata.finalizers";
        for why in names::qualified(name) {
            errors.push(FieldError::invalid(field, json!(name), why));
        }
        // Custom kinds are only warned about.
        if kind.custom().is_none() && !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(field, json!(name), why));
        }
    }
}

fn owner_errors(metadata: &Value, errors: &mut Vec<FieldError>) {
    let path = "metadata.ownerReferences";
    let owners = metadata.get("ownerReferences").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut controller: Option<String> = None;
    for owner in owners {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                errors.push(FieldError::invalid(&format!("{path}.{field}"), json!(""), "must not be empty"));
            }
        }
        if owner.get("controller") != Some(&Value::Bool(true)) {
            continue;
        }
        let named = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
        if let Some(first) = &controller {
            let why = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {first} and \
                 {named}"
            );
            errors.push(FieldError::invalid_shown(path, shown(owners), why));
        } else {
            controller = Some(named);
        }
    }
}

/// References in the API server's order of fields.
fn shown(owners: &[Value]) -> String {
    let fields = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let one = |owner: &Value| {
        let found = fields.iter().filter_map(|field| Some(format!("\"{field}\":{}", owner.get(field)?)));
        format!("{{{}}}", found.collect::<Vec<_>>().join(","))
    };
    format!("[{}]", owners.iter().map(one).collect::<Vec<_>>().join(","))
}

/// Checks a change: what stays as it is, and that an object that is going away takes no new finalizers.
pub(crate) fn check_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = new_finalizers(new, old);
    for field in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if new.get(field) != old.get(field) {
            let value = new.get(field).cloned().unwrap_or_default();
            errors.push(FieldError::invalid(&format!("metadata.{field}"), value, "field is immutable"));
        }
    }
    check_texts(new, &mut errors);
    errors
}

fn new_finalizers(new: &Value, old: &Value) -> Vec<FieldError> {
    if old.get("deletionTimestamp").is_none() {
        return vec![];
    }
    let list = |metadata: &Value| -> Vec<String> {
        let all = metadata.get("finalizers").and_then(Value::as_array);
        all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let known = list(old);
    let added: Vec<String> = list(new).into_iter().filter(|one| !known.contains(one)).collect();
    if added.is_empty() {
        return vec![];
    }
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(", ")
    );
    vec![FieldError::forbidden("metadata.finalizers", detail)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinds::builtin;

    fn texts(metadata: &Value) -> Vec<String> {
        let kind = builtin::all().into_iter().find(|kind| kind.plural == "pods").unwrap();
        check(&kind, metadata).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn wrong_metadata_is_refused_field_by_field() {
        let metadata = json!({"name": "Up", "labels": {"a b": "c d"}, "finalizers": ["x"],
            "annotations": {"k": "v".repeat(262_144)}, "ownerReferences": [{"uid": "u", "kind": "K", "name": "n"}]});
        let fields: Vec<String> =
            texts(&metadata).iter().map(|text| text.split(':').next().unwrap().to_owned()).collect();
        assert_eq!(
            fields,
            [
                "metadata.name",
                "metadata.labels",
                "metadata.labels",
                "metadata.annotations",
                "metadata.ownerReferences.apiVersion",
                "metadata.finalizers"
            ]
        );
        assert!(
            texts(&json!({"name": "ok", "labels": {"a": "b"}, "finalizers": ["carrel.dev/x"]})).is_empty()
        );
        assert_eq!(texts(&json!({})), ["metadata.name: Required value: name or generateName is required"]);
    }

    #[test]
    fn an_object_going_away_takes_no_new_finalizer() {
        let old = json!({"deletionTimestamp": "t", "finalizers": ["a/b"]});
        let next = |finalizers: Value| json!({"deletionTimestamp": "t", "finalizers": finalizers});
        assert!(check_update(&next(json!([])), &old).is_empty());
        assert_eq!(check_update(&next(json!(["a/b", "a/c"])), &old).len(), 1);
        assert_eq!(check_update(&json!({"deletionTimestamp": "u"}), &old).len(), 1);
    }
}
