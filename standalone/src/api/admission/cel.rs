//! CEL rules of a custom kind, evaluated by kube-cel, answered in the API server's words.

use kube_cel::{CompiledSchema, ErrorKind, SchemaFormat, ValidationError, validate_compiled};
use serde_json::Value;

use crate::api::{field_error::FieldError, kinds::Custom};

/// Evaluates every rule; transition rules only when there is an old object.
pub(crate) fn check(custom: &Custom, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let same_spec = old.is_some_and(|old| old.get("spec") == new.get("spec"));
    let rules = if same_spec { &custom.same_spec_rules } else { &custom.rules };
    match validate_compiled(rules, new, old) {
        Ok(()) => vec![],
        Err(errors) => errors.iter().map(|error| field_error(&custom.schema, new, error)).collect(),
    }
}

/// Takes out of the compiled tree what neither holds a rule nor changes how a value looks to one. Each node that
/// stays costs a conversion of its whole subtree on every write, and most nodes have no rule below them.
pub(crate) fn slim(node: &mut CompiledSchema) {
    node.properties.retain(|_, child| keep(child));
    node.items.take_if(|child| !keep(child));
    node.additional_properties.take_if(|child| !keep(child));
    for branches in [&mut node.all_of, &mut node.one_of, &mut node.any_of] {
        branches.retain_mut(keep);
    }
}

fn keep(node: &mut CompiledSchema) -> bool {
    slim(node);
    let plain = matches!(node.format, SchemaFormat::None | SchemaFormat::IntOrString);
    let shown_as_it_is = plain && !node.is_map && !node.embedded_resource;
    let bare = node.validations.is_empty()
        && node.properties.is_empty()
        && node.items.is_none()
        && node.additional_properties.is_none();
    let branches = node.all_of.len() + node.one_of.len() + node.any_of.len();
    !(bare && shown_as_it_is && branches == 0)
}

fn field_error(schema: &Value, object: &Value, error: &ValidationError) -> FieldError {
    let path = error.field_path.as_str();
    let message = match error.kind {
        ErrorKind::ValidationFailure => error.message.clone(),
        _ => format!("{} (rule: {})", error.message, error.rule),
    };
    match error.reason.as_deref() {
        Some("FieldValueRequired") => FieldError::required(path, message),
        Some("FieldValueForbidden") => FieldError::forbidden(path, message),
        Some("FieldValueDuplicate") => {
            FieldError::duplicate(path, judged(schema, object, error).cloned().unwrap_or_default())
        }
        _ => match judged(schema, object, error) {
            Some(value) if !value.is_object() && !value.is_array() => {
                FieldError::invalid(path, value.clone(), message)
            }
            // The API server shows no value for whole objects and lists.
            _ => FieldError::invalid_without_value(path, message),
        },
    }
}

/// The value that the rule judged. With a `fieldPath` the error points below it, so the search goes upwards.
fn judged<'a>(schema: &Value, object: &'a Value, error: &ValidationError) -> Option<&'a Value> {
    let steps: Vec<&str> = error.field_path.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
    (0..=steps.len()).rev().find_map(|length| {
        let steps = steps.get(..length)?;
        let rules = descend(schema, steps)?.get("x-kubernetes-validations")?.as_array()?;
        let holds = |rule: &Value| rule.get("rule").and_then(Value::as_str) == Some(error.rule.as_str());
        rules.iter().any(holds).then(|| lookup(object, steps))?
    })
}

fn lookup<'a>(object: &'a Value, steps: &[&str]) -> Option<&'a Value> {
    steps.iter().try_fold(object, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

fn descend<'a>(schema: &'a Value, steps: &[&str]) -> Option<&'a Value> {
    steps.iter().try_fold(schema, |node, step| {
        if node.get("type").and_then(Value::as_str) == Some("array") {
            node.get("items")
        } else {
            node.get("properties").and_then(|all| all.get(step)).or_else(|| node.get("additionalProperties"))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use kube_cel::compile_schema;
    use serde_json::json;

    use super::*;

    fn texts(schema: Value, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut rules = compile_schema(&schema);
        slim(&mut rules);
        let same_spec_rules = compile_schema(&schema);
        let custom = Custom { schema, rules, same_spec_rules, patterns: HashMap::new(), scale: None };
        check(&custom, new, old).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_scalar_is_shown_and_an_object_is_not() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
            "x-kubernetes-validations": [{"rule": "self.a == self.b", "message": "differ", "fieldPath": ".b"}],
            "properties": {
                "a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1"}]},
                "b": {"type": "integer"}}}}});
        let found = texts(schema, &json!({"spec": {"a": 1, "b": 2}}), None);
        assert!(found.contains(&"spec.b: Invalid value: differ".to_owned()), "{found:?}");
        assert!(found.contains(&"spec.a: Invalid value: 1: failed rule: self > 1".to_owned()), "{found:?}");
    }

    #[test]
    fn what_rules_see_stays_in_the_tree() {
        let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule":
            "self.at < timestamp('2026-01-01T00:00:00Z') && self.map['a-b'] == 1 && self.list[0].x == 2"}],
            "properties": {
                "at": {"type": "string", "format": "date-time"}, "plain": {"properties": {"x": {"type": "string"}}},
                "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}}}});
        let mut rules = compile_schema(&schema);
        slim(&mut rules);
        let mut left: Vec<&str> = rules.properties.keys().map(String::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["at", "map"]);
        let object = json!({"at": "2025-01-01T00:00:00Z", "map": {"a-b": 1}, "list": [{"x": 2}]});
        assert!(texts(schema, &object, None).is_empty());
    }

    #[test]
    fn transition_rules_and_reasons_are_kept() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
            "x-kubernetes-validations": [{"rule": "self.a == oldSelf.a", "messageExpression": "'was ' + oldSelf.a",
                "reason": "FieldValueForbidden"}],
            "properties": {"a": {"type": "string"}}}}});
        let (new, old) = (json!({"spec": {"a": "n"}}), json!({"spec": {"a": "o"}}));
        assert!(texts(schema.clone(), &new, None).is_empty());
        assert_eq!(texts(schema, &new, Some(&old)), ["spec: Forbidden: was o"]);
    }
}
