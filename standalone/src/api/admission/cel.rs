//! CEL rules of a custom kind, evaluated by kube-cel, answered in the API server's words.

use kube_cel::{ErrorKind, ValidationError, validate_compiled};
use serde_json::{Value, json};

use crate::api::{field_error::FieldError, kinds::Custom};

/// Evaluates every rule; transition rules only when there is an old object.
pub(crate) fn check(custom: &Custom, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    match validate_compiled(&custom.rules, new, old) {
        Ok(()) => vec![],
        Err(errors) => errors.iter().map(|error| field_error(&custom.schema, error)).collect(),
    }
}

fn field_error(schema: &Value, error: &ValidationError) -> FieldError {
    let path = error.field_path.as_str();
    let message = match error.kind {
        ErrorKind::ValidationFailure => error.message.clone(),
        _ => format!("{} (rule: {})", error.message, error.rule),
    };
    match error.reason.as_deref() {
        Some("FieldValueRequired") => FieldError::required(path, message),
        Some("FieldValueForbidden") => FieldError::forbidden(path, message),
        Some("FieldValueDuplicate") => FieldError::duplicate(path, json!(rule_type(schema, error))),
        _ => FieldError::invalid(path, json!(rule_type(schema, error)), message),
    }
}

/// The schema type of the node that holds the rule; the API server shows it in place of the value.
/// With a `fieldPath` the error points below that node, so the search goes upwards.
fn rule_type(schema: &Value, error: &ValidationError) -> String {
    let steps: Vec<&str> = error.field_path.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
    for length in (0..=steps.len()).rev() {
        let Some(node) = steps.get(..length).and_then(|steps| descend(schema, steps)) else { continue };
        let rules = node.get("x-kubernetes-validations").and_then(Value::as_array);
        let holds = |rule: &Value| rule.get("rule").and_then(Value::as_str) == Some(error.rule.as_str());
        if rules.is_some_and(|rules| rules.iter().any(holds)) {
            return node.get("type").and_then(Value::as_str).unwrap_or("object").to_owned();
        }
    }
    "object".to_owned()
}

fn descend<'a>(schema: &'a Value, steps: &[&str]) -> Option<&'a Value> {
    steps.iter().try_fold(schema, |node, step| {
        if node.get("type").and_then(Value::as_str) == Some("array") {
            node.get("items")
        } else {
            node.pointer(&format!("/properties/{step}")).or_else(|| node.get("additionalProperties"))
        }
    })
}
