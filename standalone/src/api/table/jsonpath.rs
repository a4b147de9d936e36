//! The part of `JSONPath` that printer columns use: `.a.b`, `['a']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    All,
    Where { path: Vec<String>, value: Option<String>, equal: bool },
}

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonPath(Vec<Step>);

impl JsonPath {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('$');
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let end = if inner.starts_with('?') { inner.find(")]")? + 1 } else { inner.find(']')? };
                steps.push(bracket(inner.get(..end)?)?);
                rest = inner.get(end + 1..)?;
            } else {
                let (field, after) = dotted(rest.strip_prefix('.').unwrap_or(rest))?;
                if !field.is_empty() {
                    steps.push(Step::Field(field));
                }
                rest = after;
            }
        }
        Some(Self(steps))
    }

    /// Every value the path leads to.
    pub(crate) fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![root];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| follow(step, value)).collect();
        }
        found
    }
}

/// A field name up to the next dot or bracket; a backslash escapes a dot.
fn dotted(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => field.push(chars.next()?.1),
            '.' | '[' => return Some((field, text.get(at..)?)),
            other => field.push(other),
        }
    }
    Some((field, ""))
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|text| text.strip_suffix(')')) {
        let (path, value, equal) = if let Some((path, value)) = condition.split_once("==") {
            (path, Some(value), true)
        } else if let Some((path, value)) = condition.split_once("!=") {
            (path, Some(value), false)
        } else {
            (condition, None, true)
        };
        let path = path.trim().strip_prefix("@.")?.split('.').map(str::to_owned).collect();
        let value = value.map(|text| text.trim().trim_matches(['"', '\'']).to_owned());
        return Some(Step::Where { path, value, equal });
    }
    if let Ok(index) = inner.parse() {
        return Some(Step::Index(index));
    }
    Some(Step::Field(inner.trim_matches(['"', '\'']).to_owned()))
}

fn follow<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => value.get(index).into_iter().collect(),
        Step::All => match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => vec![],
        },
        Step::Where { path, value: wanted, equal } => {
            let items = value.as_array().into_iter().flatten();
            items.filter(|item| holds(item, path, wanted.as_deref(), *equal)).collect()
        }
    }
}

fn holds(item: &Value, path: &[String], wanted: Option<&str>, equal: bool) -> bool {
    let mut found = Some(item);
    for step in path {
        found = found.and_then(|value| value.get(step));
    }
    let Some(found) = found else { return false };
    let Some(wanted) = wanted else { return true };
    let own = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
    (own == wanted) == equal
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_form_of_step_finds_its_values() {
        let value = json!({"a": {"b": [1, 2]}, "m": {"x.y/z": "k"},
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]});
        let find = |path: &str| -> Vec<Value> {
            JsonPath::parse(path).unwrap().find(&value).into_iter().cloned().collect()
        };
        assert_eq!(find(".a.b[1]"), [json!(2)]);
        assert_eq!(find(".a.b[*]"), [json!(1), json!(2)]);
        assert_eq!(find(r#".conditions[?(@.type=="Ready")].status"#), [json!("True")]);
        assert_eq!(find(".conditions[?(@.type!='Ready')].status"), [json!("False")]);
        assert_eq!(find(r".m.x\.y/z"), [json!("k")]);
        assert_eq!(find(".m['x.y/z']"), [json!("k")]);
        assert!(find(".nothing.here").is_empty());
    }
}
