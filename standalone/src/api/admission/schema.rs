//! Structural validation: types, bounds, enums, patterns and required fields of a custom object.
//! Not here: CEL rules (`cel`), list keys (`list_type`), formats of strings (`formats`).

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{fields::join, formats};
use crate::api::field_error::FieldError;

/// Validates values against one kind's schema.
pub(crate) struct Structural<'a> {
    pub(crate) patterns: &'a HashMap<String, Regex>,
    /// Where the values are in their object. Only the field's own name shows it, the texts do not.
    pub(crate) root: &'a str,
    pub(crate) errors: Vec<FieldError>,
}

impl Structural<'_> {
    pub(crate) fn check(&mut self, schema: &Value, value: &Value, path: &str) {
        if value.is_null() && flag(schema, "nullable") {
            return;
        }
        self.check_type(schema, value, path);
        self.check_enum(schema, value, path);
        match value {
            Value::String(text) => self.check_text(schema, text, path),
            Value::Number(_) => self.check_number(schema, value, path),
            Value::Array(items) => self.check_items(schema, items, path),
            Value::Object(map) => self.check_map(schema, map, path),
            _ => {}
        }
        self.check_branches(schema, value, path);
    }

    fn field(&self, path: &str) -> String {
        match (self.root, path) {
            (root, "") => root.to_owned(),
            (root, path) => join(root, path),
        }
    }

    fn invalid(&mut self, path: &str, value: &Value, rule: &str) {
        let detail = format!("{path} in body {rule}");
        self.errors.push(FieldError::invalid(&self.field(path), value.clone(), detail));
    }

    fn check_type(&mut self, schema: &Value, value: &Value, path: &str) {
        let found = type_name(value);
        let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        let fits = if flag(schema, "x-kubernetes-int-or-string") {
            matches!(found, "integer" | "string")
        } else {
            wanted.is_empty() || wanted == found || (wanted == "number" && found == "integer")
        };
        if !fits {
            let wanted = if wanted.is_empty() { "integer,string" } else { wanted };
            let detail = format!("{path} in body must be of type {wanted}: {found:?}");
            self.errors.push(FieldError::type_invalid(&self.field(path), json!(found), detail));
        }
    }

    fn check_enum(&mut self, schema: &Value, value: &Value, path: &str) {
        let Some(allowed) = schema.get("enum").and_then(Value::as_array) else { return };
        if !allowed.contains(value) {
            let texts: Vec<String> = allowed
                .iter()
                .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
                .collect();
            self.errors.push(FieldError::not_supported(&self.field(path), value.clone(), &texts));
        }
    }

    fn check_text(&mut self, schema: &Value, text: &str, path: &str) {
        let value = || Value::String(text.to_owned());
        let length = text.chars().count() as u64;
        let bound = |name| schema.get(name).and_then(Value::as_u64);
        // The first of these that fails is the only one that is told.
        if let Some(most) = bound("maxLength").filter(|most| length > *most) {
            self.errors.push(FieldError::too_long(&self.field(path), most));
        } else if let Some(least) = bound("minLength").filter(|least| length < *least) {
            self.invalid(path, &value(), &format!("should be at least {least} chars long"));
        } else if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && self.patterns.get(pattern).is_some_and(|regex| !regex.is_match(text))
        {
            self.invalid(path, &value(), &format!("should match '{pattern}'"));
        }
        if let Some(format) = schema.get("format").and_then(Value::as_str)
            && !formats::fits(format, text)
        {
            let detail = format!("{path} in body must be of type {format}: {text:?}");
            self.errors.push(FieldError::type_invalid(&self.field(path), value(), detail));
        }
    }

    fn check_number(&mut self, schema: &Value, value: &Value, path: &str) {
        let Some(number) = value.as_f64() else { return };
        if let Some(most) = schema.get("maximum").and_then(Value::as_f64) {
            if flag(schema, "exclusiveMaximum") && number >= most {
                self.invalid(path, value, &format!("should be less than {most}"));
            } else if number > most {
                self.invalid(path, value, &format!("should be less than or equal to {most}"));
            }
        }
        if let Some(least) = schema.get("minimum").and_then(Value::as_f64) {
            if flag(schema, "exclusiveMinimum") && number <= least {
                self.invalid(path, value, &format!("should be greater than {least}"));
            } else if number < least {
                self.invalid(path, value, &format!("should be greater than or equal to {least}"));
            }
        }
        if let Some(step) = schema.get("multipleOf").and_then(Value::as_f64)
            && step > 0.0
            && ((number / step) - (number / step).round()).abs() > 1e-9
        {
            self.invalid(path, value, &format!("should be a multiple of {step}"));
        }
        if schema.get("format").and_then(Value::as_str) == Some("int32")
            && value.as_i64().is_none_or(|whole| i32::try_from(whole).is_err())
        {
            let detail = format!("Checked value must be of type integer with format int32 in {path}");
            self.errors.push(FieldError::invalid(&self.field(path), value.clone(), detail));
        }
    }

    fn check_items(&mut self, schema: &Value, items: &[Value], path: &str) {
        if let Some(most) = schema.get("maxItems").and_then(Value::as_u64)
            && items.len() as u64 > most
        {
            self.errors.push(FieldError::too_many(&self.field(path), items.len(), most));
        }
        if let Some(least) = schema.get("minItems").and_then(Value::as_u64)
            && (items.len() as u64) < least
        {
            let value = json!(items.len());
            self.invalid(path, &value, &format!("should have at least {least} items"));
        }
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.check(schema, item, &format!("{path}[{index}]"));
            }
        }
    }

    fn check_map(&mut self, schema: &Value, map: &Map<String, Value>, path: &str) {
        if let Some(most) = schema.get("maxProperties").and_then(Value::as_u64)
            && map.len() as u64 > most
        {
            self.errors.push(FieldError::too_many(&self.field(path), map.len(), most));
        }
        if let Some(least) = schema.get("minProperties").and_then(Value::as_u64)
            && (map.len() as u64) < least
        {
            let value = Value::Object(map.clone());
            self.invalid(path, &value, &format!("should have at least {least} properties"));
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if let Some(name) = name.as_str()
                && !map.contains_key(name)
            {
                self.errors.push(FieldError::required(&self.field(&join(path, name)), ""));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let additional = schema.get("additionalProperties").filter(|one| one.is_object());
        for (name, value) in map {
            if let Some(schema) = properties.and_then(|all| all.get(name)).or(additional) {
                self.check(schema, value, &join(path, name));
            }
        }
    }

    fn check_branches(&mut self, schema: &Value, value: &Value, path: &str) {
        let valid = |this: &Self, branches: &[Value]| {
            branches.iter().filter(|branch| this.passes(branch, value)).count()
        };
        let field = self.field(path);
        let mut refuse = |text: String| self.errors.push(FieldError::invalid(&field, json!(""), text));
        let shown = if path.is_empty() { "<nil>" } else { path };
        let probe = Structural { errors: vec![], ..*self };
        if let Some(all) = schema.get("allOf").and_then(Value::as_array)
            && valid(&probe, all) < all.len()
        {
            refuse(format!("{shown:?} must validate all the schemas (allOf)"));
        }
        if let Some(any) = schema.get("anyOf").and_then(Value::as_array)
            && valid(&probe, any) == 0
        {
            refuse(format!("{shown:?} must validate at least one schema (anyOf)"));
        }
        if let Some(one) = schema.get("oneOf").and_then(Value::as_array) {
            let found = match valid(&probe, one) {
                1 => return,
                0 => "Found none valid".to_owned(),
                many => format!("Found {many} valid alternatives"),
            };
            refuse(format!("{shown:?} must validate one and only one schema (oneOf). {found}"));
        }
        if let Some(not) = schema.get("not")
            && probe.passes(not, value)
        {
            refuse(format!("{shown:?} must not validate the schema (not)"));
        }
    }

    fn passes(&self, schema: &Value, value: &Value) -> bool {
        let mut inner = Structural { errors: vec![], ..*self };
        inner.check(schema, value, "");
        inner.errors.is_empty()
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name) == Some(&Value::Bool(true))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|n| n.fract() != 0.0) => {
            "number"
        }
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(schema: &Value, value: &Value) -> Vec<String> {
        let pattern = "^[a-z]+$";
        let patterns = HashMap::from([(pattern.to_owned(), Regex::new(pattern).unwrap())]);
        let mut check = Structural { patterns: &patterns, root: "", errors: vec![] };
        check.check(schema, value, "spec");
        check.errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_keyword_refuses_in_the_servers_words() {
        let cases = [
            (
                json!({"type": "integer"}),
                json!("x"),
                r#"spec: Invalid value: "string": spec in body must be of type integer: "string""#,
            ),
            (
                json!({"type": "string", "maxLength": 2}),
                json!("xyz"),
                "spec: Too long: may not be more than 2 bytes",
            ),
            (
                json!({"type": "string", "minLength": 1}),
                json!(""),
                r#"spec: Invalid value: "": spec in body should be at least 1 chars long"#,
            ),
            (
                json!({"pattern": "^[a-z]+$"}),
                json!("A"),
                r#"spec: Invalid value: "A": spec in body should match '^[a-z]+$'"#,
            ),
            (
                json!({"minimum": 1}),
                json!(0),
                "spec: Invalid value: 0: spec in body should be greater than or equal to 1",
            ),
            (
                json!({"maximum": 1}),
                json!(2),
                "spec: Invalid value: 2: spec in body should be less than or equal to 1",
            ),
            (json!({"maxItems": 1}), json!([1, 2]), "spec: Too many: 2: must have at most 1 item"),
            (json!({"required": ["code"]}), json!({}), "spec.code: Required value"),
            (
                json!({"enum": ["A", "B"]}),
                json!("C"),
                r#"spec: Unsupported value: "C": supported values: "A", "B""#,
            ),
            (
                json!({"format": "date-time"}),
                json!("now"),
                r#"spec: Invalid value: "now": spec in body must be of type date-time: "now""#,
            ),
        ];
        for (schema, value, text) in cases {
            assert_eq!(texts(&schema, &value), [text]);
        }
    }

    #[test]
    fn what_fits_passes() {
        assert!(texts(&json!({"type": "string", "nullable": true}), &Value::Null).is_empty());
        assert!(texts(&json!({"x-kubernetes-int-or-string": true}), &json!("5%")).is_empty());
        assert!(texts(&json!({"type": "number"}), &json!(3)).is_empty());
        assert!(texts(&json!({"type": "integer"}), &json!(3.0)).is_empty());
        assert!(
            texts(&json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}), &json!({"a": 1})).is_empty()
        );
    }

    #[test]
    fn junctors_count_their_valid_branches() {
        let schema = json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
        assert!(texts(&schema, &json!({}))[0].ends_with("(oneOf). Found none valid"));
        assert!(texts(&schema, &json!({"a": 1, "b": 1}))[0].ends_with("Found 2 valid alternatives"));
        assert_eq!(texts(&json!({"not": {"required": ["a"]}}), &json!({"a": 1})).len(), 1);
        assert_eq!(texts(&json!({"anyOf": [{"required": ["a"]}]}), &json!({})).len(), 1);
    }
}
