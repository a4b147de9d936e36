//! The label selector language: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Above(i64),
    Below(i64),
}

/// A parsed label selector; all its requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<(String, Test)>);

impl LabelSelector {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for part in split(text) {
            requirements.push(
                requirement(part).ok_or_else(|| format!("unable to parse requirement: found '{part}'"))?,
            );
        }
        Ok(Self(requirements))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, labels: Option<&Value>) -> bool {
        self.0.iter().all(|(key, test)| {
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

/// Splits at the commas that are not inside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

fn requirement(part: &str) -> Option<(String, Test)> {
    if let Some(key) = part.strip_prefix('!') {
        return Some((key_of(key)?, Test::Missing));
    }
    if let Some(open) = part.find('(') {
        let (head, list) = part.split_at(open);
        let values = list.strip_prefix('(')?.strip_suffix(')')?;
        let values = values.split(',').map(|one| one.trim().to_owned()).collect();
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        return match operator {
            "in" => Some((key_of(key)?, Test::In(values))),
            "notin" => Some((key_of(key)?, Test::NotIn(values))),
            _ => None,
        };
    }
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = part.split_once("!=") {
        return Some((key_of(key)?, Test::NotIn(one(value))));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some((key_of(key)?, Test::In(one(value))));
    }
    if let Some((key, value)) = part.split_once('>') {
        return Some((key_of(key)?, Test::Above(value.trim().parse().ok()?)));
    }
    if let Some((key, value)) = part.split_once('<') {
        return Some((key_of(key)?, Test::Below(value.trim().parse().ok()?)));
    }
    Some((key_of(part)?, Test::Exists))
}

fn key_of(text: &str) -> Option<String> {
    let key = text.trim();
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    (!key.is_empty() && key.chars().all(legal)).then(|| key.to_owned())
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

    #[test]
    fn nonsense_is_refused() {
        assert!(LabelSelector::parse("a in b)").is_err());
        assert!(LabelSelector::parse("a b").is_err());
        assert!(LabelSelector::parse("a>b").is_err());
    }
}
