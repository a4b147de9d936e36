//! A kind made from a definition: its schema, its compiled CEL rules and its scale paths.

use std::collections::HashMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube_cel::{CompiledSchema, compile_schema};
use regex::Regex;
use serde_json::Value;

use super::{Class, Kind};
use crate::api::{
    admission::{cel, reflexive},
    table::columns,
};

/// Why a definition cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// It has no stored version with a schema.
    #[error("{0} has no stored version with a schema")]
    NoSchema(String),
    /// A rule or pattern in its schema does not compile.
    #[error("{0}: {1}")]
    Rule(String, String),
    /// It cannot be written as JSON.
    #[error("a definition cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// Where the scale subresource finds its numbers.
#[derive(Debug, Clone)]
pub(crate) struct ScalePaths {
    pub(crate) spec_replicas: Vec<String>,
    pub(crate) status_replicas: Vec<String>,
    pub(crate) label_selector: Option<Vec<String>>,
}

/// What only custom kinds have.
#[derive(Debug)]
pub(crate) struct Custom {
    pub(crate) schema: Value,
    pub(crate) rules: CompiledSchema,
    /// For updates that leave the spec alone, which most status writes are.
    pub(crate) same_spec_rules: CompiledSchema,
    pub(crate) patterns: HashMap<String, Regex>,
    pub(crate) scale: Option<ScalePaths>,
}

/// Fills in the names that a definition may leave out.
pub(crate) fn complete(definition: &mut CustomResourceDefinition) {
    let names = &mut definition.spec.names;
    names.singular.get_or_insert_with(|| names.kind.to_lowercase());
    names.list_kind.get_or_insert_with(|| format!("{}List", names.kind));
}

/// The served kind of a definition: its stored version.
pub(crate) fn kind(definition: &CustomResourceDefinition) -> Result<Kind, DefinitionError> {
    let spec = &definition.spec;
    let names = &spec.names;
    let missing = || DefinitionError::NoSchema(names.kind.clone());
    let version = spec.versions.iter().find(|one| one.storage).ok_or_else(missing)?;
    let schema =
        version.schema.as_ref().and_then(|one| one.open_api_v3_schema.as_ref()).ok_or_else(missing)?;
    let mut schema = serde_json::to_value(schema)?;
    whole_numbers(&mut schema);
    let custom = Custom {
        rules: compiled(&names.kind, &schema)?,
        same_spec_rules: compiled(&names.kind, &reflexive::for_same_spec(&schema))?,
        patterns: patterns(&names.kind, &schema)?,
        scale: scale(version),
        schema,
    };
    Ok(Kind {
        group: spec.group.clone(),
        version: version.name.clone(),
        kind: names.kind.clone(),
        plural: names.plural.clone(),
        singular: names.singular.clone().unwrap_or_else(|| names.kind.to_lowercase()),
        short_names: names.short_names.clone().unwrap_or_default(),
        categories: names.categories.clone().unwrap_or_default(),
        namespaced: spec.scope == "Namespaced",
        read_only: false,
        has_status: version.subresources.as_ref().is_some_and(|sub| sub.status.is_some()),
        selectable: version
            .selectable_fields
            .iter()
            .flatten()
            .map(|field| field.json_path.trim_start_matches('.').to_owned())
            .collect(),
        columns: columns::of_definition(version.additional_printer_columns.as_deref().unwrap_or_default()),
        resource: format!("{}/{}", spec.group, names.plural).into(),
        class: Class::Custom(Box::new(custom)),
    })
}

/// Writes bounds as they were written: their type holds them as fractions.
pub(crate) fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Ok(whole) = number.to_string().trim_end_matches(".0").parse::<i64>() {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

fn scale(version: &CustomResourceDefinitionVersion) -> Option<ScalePaths> {
    let scale = version.subresources.as_ref()?.scale.as_ref()?;
    let split = |path: &String| path.trim_start_matches('.').split('.').map(str::to_owned).collect();
    Some(ScalePaths {
        spec_replicas: split(&scale.spec_replicas_path),
        status_replicas: split(&scale.status_replicas_path),
        label_selector: scale.label_selector_path.as_ref().map(split),
    })
}

fn compiled(kind: &str, schema: &Value) -> Result<CompiledSchema, DefinitionError> {
    let mut rules = compile_schema(schema);
    if let Some(error) = first_error(&rules) {
        return Err(DefinitionError::Rule(kind.to_owned(), error));
    }
    cel::slim(&mut rules);
    Ok(rules)
}

fn first_error(schema: &CompiledSchema) -> Option<String> {
    let own = schema.compilation_errors().first().map(ToString::to_string);
    own.or_else(|| {
        schema
            .properties
            .values()
            .chain(schema.items.as_deref())
            .chain(schema.additional_properties.as_deref())
            .find_map(first_error)
    })
}

/// Every pattern of the schema, compiled once.
fn patterns(kind: &str, schema: &Value) -> Result<HashMap<String, Regex>, DefinitionError> {
    let mut found = HashMap::new();
    let mut open = vec![schema];
    while let Some(node) = open.pop() {
        match node {
            Value::Object(map) => {
                if let Some(Value::String(pattern)) = map.get("pattern") {
                    let regex = Regex::new(pattern)
                        .map_err(|error| DefinitionError::Rule(kind.to_owned(), error.to_string()))?;
                    found.insert(pattern.clone(), regex);
                }
                open.extend(map.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    Ok(found)
}
