//! The label selector language: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`.

use serde_json::Value;

use super::label_parser;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Above(i64),
    Below(i64),
}

/// What is asked of one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requirement {
    pub(super) key: String,
    pub(super) test: Test,
}

/// A parsed label selector; all its requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

impl LabelSelector {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        label_parser::parse(text).map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, labels: Option<&Value>) -> bool {
        self.0.iter().all(|Requirement { key, test }| {
            let value = labels.and_then(|map| map.get(key)).and_then(Value::as_str);
            match test {
                Test::In(values) => value.is_some_and(|own| values.iter().any(|one| one == own)),
                Test::NotIn(values) => value.is_none_or(|own| !values.iter().any(|one| one == own)),
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
                Test::Above(limit) => value.and_then(|own| own.parse().ok()).is_some_and(|n: i64| n > *limit),
                Test::Below(limit) => value.and_then(|own| own.parse().ok()).is_some_and(|n: i64| n < *limit),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shows(selector: &str, labels: &Value) -> bool {
        LabelSelector::parse(selector).unwrap().matches(Some(labels))
    }

    #[test]
    fn every_operator_of_the_language_works() {
        let labels = json!({"a": "b", "n": "5", "carrel.dev/x": "1"});
        for yes in [
            "a=b",
            "a==b",
            "a!=c",
            "z!=c",
            "a in (x, b)",
            "a notin (x)",
            "a",
            "!z",
            "n>4",
            "n<6",
            "carrel.dev/x=1,a=b",
            "",
        ] {
            assert!(shows(yes, &labels), "{yes}");
        }
        for no in ["a=c", "a!=b", "a in (x,y)", "a notin (b)", "z", "!a", "n>5", "n<5", "a=b,z"] {
            assert!(!shows(no, &labels), "{no}");
        }
    }
}
