//! One stored object: its value, and its JSON text made once and shared by disk, answers and watchers.

use bytes::Bytes;
use serde_json::Value;

/// Where an object lives inside its resource. Ordered as lists are: by namespace, then by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectName {
    /// Empty for cluster-scoped kinds.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ObjectName {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// An immutable version of an object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) value: Value,
    pub(crate) json: Bytes,
    pub(crate) version: u64,
    /// About how many bytes of memory this is.
    pub(crate) weight: usize,
}

impl Object {
    /// Stamps `version` into the metadata and makes the text.
    pub(crate) fn stamp(mut value: Value, version: u64) -> Self {
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), Value::String(version.to_string()));
        }
        Self::new(value, version)
    }

    fn new(value: Value, version: u64) -> Self {
        let json = Bytes::from(value.to_string());
        let weight = json.len() + tree(&value);
        Self { value, json, version, weight }
    }

    /// An object as it was read back from disk.
    pub(crate) fn restored(value: Value) -> Option<Self> {
        let version = value.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()?;
        Some(Self::new(value, version))
    }

    fn metadata(&self, field: &str) -> &str {
        self.value
            .get("metadata")
            .and_then(|meta| meta.get(field))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.metadata("name")
    }

    pub(crate) fn namespace(&self) -> &str {
        self.metadata("namespace")
    }

    pub(crate) fn uid(&self) -> &str {
        self.metadata("uid")
    }

    pub(crate) fn object_name(&self) -> ObjectName {
        ObjectName::new(self.namespace(), self.name())
    }

    pub(crate) fn is_deleting(&self) -> bool {
        !self.metadata("deletionTimestamp").is_empty()
    }

    /// The uids of the owners.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &str> {
        self.value
            .pointer("/metadata/ownerReferences")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|owner| owner.get("uid").and_then(Value::as_str))
    }

    pub(crate) fn has_finalizer(&self, name: &str) -> bool {
        self.value
            .pointer("/metadata/finalizers")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)))
    }
}

/// About how many bytes a value takes in memory. A tree of small fields takes several times its text.
fn tree(value: &Value) -> usize {
    let below = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(tree).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| size_of::<String>() + name.len() + tree(value)).sum()
        }
    };
    size_of::<Value>() + below
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_weighs_its_text_and_its_tree() {
        let of = |value| Object::stamp(value, 1).weight;
        assert!(of(json!({"a": "x".repeat(1000)})) >= 2000);
        let many: Vec<Value> = (0..1000).map(|_| json!({})).collect();
        assert!(of(json!({"a": many})) >= 1000 * (size_of::<Value>() + "{},".len()));
    }
}
