//! Field selectors: `metadata.name=x,status.phase!=Running`, over the fields a kind says are selectable.

use serde_json::Value;

use crate::api::kinds::Kind;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    path: Vec<String>,
    value: String,
    equal: bool,
}

/// A parsed field selector; all its requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Requirement>);

impl FieldSelector {
    pub(crate) fn parse(kind: &Kind, text: &str) -> Result<Self, String> {
        text.split(',')
            .filter(|part| !part.trim().is_empty())
            .map(|part| requirement(kind, part))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|one| {
            let mut found = Some(object);
            for step in &one.path {
                found = found.and_then(|value| value.get(step));
            }
            (text_of(found) == one.value) == one.equal
        })
    }
}

fn requirement(kind: &Kind, part: &str) -> Result<Requirement, String> {
    let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
        (field, value, false)
    } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (field, value, true)
    } else {
        return Err(format!("invalid selector: '{part}'; can't understand '{part}'"));
    };
    let path = kind.selectable(field).ok_or_else(|| format!("field label not supported: {field}"))?;
    Ok(Requirement { path, value: value.to_owned(), equal })
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::kinds::builtin;

    #[test]
    fn selectable_fields_select_and_others_are_refused() {
        let pods = builtin::all().into_iter().find(|kind| kind.plural == "pods").unwrap();
        let pod = json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}});
        let shows = |text: &str| FieldSelector::parse(&pods, text).unwrap().matches(&pod);
        assert!(shows("status.phase=Running") && shows("metadata.name==a,status.phase!=Failed"));
        assert!(!shows("status.phase!=Running") && shows("spec.nodeName="));
        let refusal = FieldSelector::parse(&pods, "spec.dream=1").unwrap_err();
        assert_eq!(refusal, "field label not supported: spec.dream");
    }
}
