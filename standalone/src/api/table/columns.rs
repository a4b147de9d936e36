//! Columns of a table, and what a cell shows of an object.

use chrono::{DateTime, Utc};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;
use serde_json::{Value, json};

use super::{age, jsonpath::JsonPath};

/// What the API server says of the name of anything.
const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a \
     client to request the generation of an appropriate name automatically. Name is primarily intended for creation \
     idempotence and configuration definition. Cannot be updated. More info: \
     https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// How a built-in column computes its cell.
pub(crate) type CellOf = fn(&Value, DateTime<Utc>) -> Value;

#[derive(Debug, Clone)]
enum Source {
    Path(JsonPath),
    Computed(CellOf),
}

/// One column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    name: String,
    data_type: String,
    format: String,
    description: String,
    priority: i32,
    source: Source,
}

impl Column {
    pub(crate) fn computed(name: &str, data_type: &str, priority: i32, cell: CellOf) -> Self {
        Self {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            format: if name == "Name" { "name".to_owned() } else { String::new() },
            description: String::new(),
            priority,
            source: Source::Computed(cell),
        }
    }

    pub(crate) fn definition(&self) -> Value {
        json!({"name": self.name, "type": self.data_type, "format": self.format,
            "description": self.description, "priority": self.priority})
    }

    pub(crate) fn cell(&self, object: &Value, now: DateTime<Utc>) -> Value {
        match &self.source {
            Source::Computed(cell) => cell(object, now),
            Source::Path(path) => shown(&self.data_type, &path.find(object), now),
        }
    }
}

fn shown(data_type: &str, found: &[&Value], now: DateTime<Utc>) -> Value {
    let Some(first) = found.first() else { return Value::Null };
    match data_type {
        "date" => first.as_str().map_or_else(|| json!("<unknown>"), |text| json!(age::since(text, now))),
        "integer" | "number" if first.is_number() => (*first).clone(),
        "boolean" if first.is_boolean() => (*first).clone(),
        "string" => {
            let texts: Vec<String> = found.iter().map(|value| plain(value)).collect();
            json!(texts.join(" "))
        }
        _ => Value::Null,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The name column that every table starts with.
pub(crate) fn name_column() -> Column {
    let column = Column::computed("Name", "string", 0, |object, _| {
        object.pointer("/metadata/name").cloned().unwrap_or_default()
    });
    Column { description: NAME.to_owned(), ..column }
}

/// The age column of kinds that define no other.
pub(crate) fn age_column() -> Column {
    Column::computed("Age", "string", 0, |object, now| {
        let created = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
        json!(created.map_or_else(|| "<unknown>".to_owned(), |text| age::since(text, now)))
    })
}

/// The columns of a Scale.
pub(crate) fn of_scale() -> Vec<Column> {
    let number = |name, cell| Column::computed(name, "integer", 0, cell);
    vec![
        name_column(),
        number("Desired", |scale, _| scale.pointer("/spec/replicas").cloned().unwrap_or_default()),
        number("Available", |scale, _| scale.pointer("/status/replicas").cloned().unwrap_or_default()),
        age_column(),
    ]
}

/// The columns of a custom kind.
pub(crate) fn of_definition(columns: &[CustomResourceColumnDefinition]) -> Vec<Column> {
    let mut all = vec![name_column()];
    for column in columns {
        let Some(path) = JsonPath::parse(&column.json_path) else { continue };
        all.push(Column {
            name: column.name.clone(),
            data_type: column.type_.clone(),
            format: column.format.clone().unwrap_or_default(),
            description: column.description.clone().unwrap_or_else(|| {
                format!("Custom resource definition column (in JSONPath format): {}", column.json_path)
            }),
            priority: column.priority.unwrap_or_default(),
            source: Source::Path(path),
        });
    }
    if all.len() == 1 {
        all.push(age_column());
    }
    all
}
