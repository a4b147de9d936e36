//! Request bodies as JSON values, from JSON or YAML, noting the fields that came twice.
//! Not here: what the values mean (`admission`).

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{
    go_words,
    kinds::Kind,
    protobuf,
    status_error::{Result, StatusError},
};

/// A decoded body and the paths of its duplicate fields.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) value: Value,
    pub(crate) duplicates: Vec<String>,
}

/// The part of a media type before its parameters.
pub(crate) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// How much of a body a refusal shows.
const SHOWN: usize = 30;

/// Decodes an object of a kind. One of a custom kind must say what it is.
pub(crate) fn object(kind: &Kind, body: &[u8], content_type: &str) -> Result<Decoded> {
    let decoded = decode(&kind.kind, body, content_type)?;
    let own = decoded.value.get("kind").and_then(Value::as_str).unwrap_or_default();
    if own.is_empty() && kind.custom().is_some() {
        let why = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(body));
        return Err(unrecognized(&kind.kind, &why, body));
    }
    Ok(decoded)
}

fn unrecognized(expected: &str, why: &str, body: &[u8]) -> StatusError {
    let summary = match (body, body.get(..SHOWN)) {
        ([], _) => "<empty>".to_owned(),
        ([b'{', ..], Some(start)) => format!("{} ...", String::from_utf8_lossy(start)),
        ([b'{', ..], None) => String::from_utf8_lossy(body).into_owned(),
        (_, Some(start)) => format!("{} ...", hex::encode(start)),
        (_, None) => hex::encode(body),
    };
    StatusError::bad_request(format!(
        "the object provided is unrecognized (must be of type {expected}): {why} ({summary})"
    ))
}

/// Decodes a body by its content type; an absent one means JSON. `expected` is what it should be.
pub(crate) fn decode(expected: &str, body: &[u8], content_type: &str) -> Result<Decoded> {
    match media_type(content_type) {
        "" | "application/json" | "*/*" => json(body).map_err(|error| {
            let why = go_words::json(&error, body);
            unrecognized(expected, &format!("couldn't get version/kind; json parse error: {why}"), body)
        }),
        "application/yaml" | "text/yaml" | "application/x-yaml" => {
            yaml(body).map_err(|error| StatusError::bad_request(format!("error decoding from yaml: {error}")))
        }
        "application/vnd.kubernetes.protobuf" => protobuf::decode(body)
            .map(|value| Decoded { value, duplicates: vec![] })
            .ok_or_else(unknown_format),
        _ => Err(unknown_format()),
    }
}

fn unknown_format() -> StatusError {
    StatusError::unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: application/json, \
         application/yaml, application/vnd.kubernetes.protobuf",
    )
}

/// Decodes JSON.
pub(crate) fn json(body: &[u8]) -> Result<Decoded, serde_json::Error> {
    let trail = Trail::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Node(&trail).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Decoded { value, duplicates: trail.duplicates.into_inner() })
}

fn yaml(body: &[u8]) -> Result<Decoded, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let trail = Trail::default();
    let value = Node(&trail)
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(|error| error.to_string())?;
    Ok(Decoded { value, duplicates: trail.duplicates.into_inner() })
}

/// Where the decoder is, and what it met twice.
#[derive(Default)]
struct Trail {
    path: RefCell<Vec<String>>,
    duplicates: RefCell<Vec<String>>,
}

impl Trail {
    fn note(&self, key: &str) {
        let mut text = String::new();
        for step in self.path.borrow().iter().map(String::as_str).chain([key]) {
            if !text.is_empty() && !step.starts_with('[') {
                text.push('.');
            }
            text.push_str(step);
        }
        self.duplicates.borrow_mut().push(text);
    }
}

struct Node<'a>(&'a Trail);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            self.0.path.borrow_mut().push(format!("[{}]", items.len()));
            let item = seq.next_element_seed(Node(self.0));
            self.0.path.borrow_mut().pop();
            match item? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key_seed(Node(self.0))? {
            let key = match key {
                Value::String(key) => key,
                Value::Bool(_) | Value::Number(_) => key.to_string(),
                _ => return Err(A::Error::custom("a key must be a string")),
            };
            if map.contains_key(&key) {
                self.0.note(&key);
            }
            self.0.path.borrow_mut().push(key.clone());
            let value = access.next_value_seed(Node(self.0));
            self.0.path.borrow_mut().pop();
            map.insert(key, value?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicates_are_named_and_the_last_one_counts() {
        let body = br#"{"spec": {"code": "a", "env": [{"n": 1, "n": 2}], "code": "b"}}"#;
        let decoded = super::json(body).unwrap();
        assert_eq!(decoded.value, json!({"spec": {"code": "b", "env": [{"n": 2}]}}));
        assert_eq!(decoded.duplicates, ["spec.env[0].n", "spec.code"]);
    }

    #[test]
    fn yaml_gives_the_same_value() {
        let decoded = decode("K", b"a: {b: [1, x, null, true]}\n1: one\n", "application/yaml").unwrap();
        assert_eq!(decoded.value, json!({"a": {"b": [1, "x", null, true]}, "1": "one"}));
    }

    #[test]
    fn broken_bodies_are_bad_requests() {
        for (body, kind) in [("{", "application/json"), ("{} x", ""), ("a: [", "application/yaml")] {
            assert_eq!(decode("K", body.as_bytes(), kind).unwrap_err().code, 400, "{body}");
        }
        assert_eq!(decode("K", b"{}", "application/vnd.kubernetes.protobuf").unwrap_err().code, 415);
    }
}
