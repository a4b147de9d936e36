//! Lists and objects as the tables that `kubectl get` prints.

mod age;
pub(crate) mod builtin;
pub(crate) mod columns;
mod jsonpath;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::kinds::Kind;

/// How much of each object a row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    Metadata,
    Object,
}

impl IncludeObject {
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("" | "Metadata") => Some(Self::Metadata),
            Some("None") => Some(Self::None),
            Some("Object") => Some(Self::Object),
            Some(_) => None,
        }
    }
}

/// Makes a table of `objects`, with the list's metadata.
pub(crate) fn table<'a>(
    kind: &Kind,
    objects: impl Iterator<Item = &'a Value>,
    metadata: &Value,
    include: IncludeObject,
    now: DateTime<Utc>,
) -> Value {
    let rows: Vec<Value> = objects.map(|object| row(kind, object, include, now)).collect();
    let columns: Vec<Value> = kind.columns.iter().map(columns::Column::definition).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows})
}

fn row(kind: &Kind, object: &Value, include: IncludeObject, now: DateTime<Utc>) -> Value {
    let cells: Vec<Value> = kind.columns.iter().map(|column| column.cell(object, now)).collect();
    let mut row = json!({"cells": cells});
    let shown = match include {
        IncludeObject::None => return row,
        IncludeObject::Object => kind.view(object).unwrap_or_else(|| object.clone()),
        IncludeObject::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": object.get("metadata")}),
    };
    if let Some(map) = row.as_object_mut() {
        map.insert("object".to_owned(), shown);
    }
    row
}
