//! Which transition rules hold whenever nothing changed, so that they need not run then.
//! Only one shape is recognised, that of an immutable field; every other rule runs on every update.

use serde_json::Value;

/// The schema for updates that leave `spec` as it was: without the rules that cannot fail then.
pub(crate) fn for_same_spec(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let rules = schema.pointer_mut("/properties/spec/x-kubernetes-validations").and_then(Value::as_array_mut);
    if let Some(rules) = rules {
        rules.retain(|rule| !rule.get("rule").and_then(Value::as_str).is_some_and(is_reflexive));
    }
    schema
}

/// `self == oldSelf`, or `has(self.f) == has(oldSelf.f) && (!has(self.f) || self.f == oldSelf.f)`: neither can be
/// false or fail on an unchanged value.
fn is_reflexive(rule: &str) -> bool {
    let text: String = rule.split_whitespace().collect();
    if text == "self==oldSelf" {
        return true;
    }
    let Some(field) = text.strip_prefix("has(self.").and_then(|rest| rest.split(')').next()) else {
        return false;
    };
    let plain = !field.is_empty() && field.chars().all(|c| c.is_ascii_alphanumeric());
    plain
        && text
            == format!(
                "has(self.{field})==has(oldSelf.{field})&&(!has(self.{field})||self.{field}==oldSelf.{field})"
            )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_rules_that_cannot_fail_without_a_change_are_left_out() {
        let guarded = "has(self.a) == has(oldSelf.a) && (!has(self.a) || self.a == oldSelf.a)";
        assert!(is_reflexive(guarded) && is_reflexive("self == oldSelf"));
        for other in [
            // Fails with an error when the field is absent.
            "self.a == oldSelf.a",
            "self.a > oldSelf.a",
            "has(self.a) == has(oldSelf.b) && (!has(self.a) || self.a == oldSelf.a)",
            "has(self.a)",
            "!oldSelf.cancel || self.cancel",
        ] {
            assert!(!is_reflexive(other), "{other}");
        }
        let schema = json!({"properties": {"spec": {"x-kubernetes-validations": [
            {"rule": guarded}, {"rule": "has(self.a)"}]}}});
        let left = for_same_spec(&schema);
        let rules = &left["properties"]["spec"]["x-kubernetes-validations"];
        assert_eq!(rules, &json!([{"rule": "has(self.a)"}]));
    }
}
