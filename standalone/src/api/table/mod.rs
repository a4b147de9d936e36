//! Lists and objects as the tables that `kubectl get` prints.

mod age;
pub(crate) mod builtin;
pub(crate) mod columns;
mod jsonpath;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use self::columns::Column;
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
    let whole = |object: &Value| kind.view(object).unwrap_or_else(|| object.clone());
    let rows: Vec<Value> = objects.map(|object| row(&kind.columns, object, include, now, whole)).collect();
    document(&kind.columns, &rows, metadata)
}

/// Makes a table of a Scale.
pub(crate) fn of_scale(scale: &Value, include: IncludeObject, now: DateTime<Utc>) -> Value {
    let columns = columns::of_scale();
    let metadata = json!({"resourceVersion": scale.pointer("/metadata/resourceVersion")});
    document(&columns, &[row(&columns, scale, include, now, Value::clone)], &metadata)
}

fn document(columns: &[Column], rows: &[Value], metadata: &Value) -> Value {
    let columns: Vec<Value> = columns.iter().map(Column::definition).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows})
}

fn row(
    columns: &[Column],
    object: &Value,
    include: IncludeObject,
    now: DateTime<Utc>,
    whole: impl Fn(&Value) -> Value,
) -> Value {
    let cells: Vec<Value> = columns.iter().map(|column| column.cell(object, now)).collect();
    let mut row = json!({"cells": cells});
    let shown = match include {
        IncludeObject::None => return row,
        IncludeObject::Object => whole(object),
        IncludeObject::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": object.get("metadata")}),
    };
    if let Some(map) = row.as_object_mut() {
        map.insert("object".to_owned(), shown);
    }
    row
}
