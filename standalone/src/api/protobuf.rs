//! Just enough protobuf for `kubectl create namespace|secret|configmap`, which send nothing else.
//! Not here: protobuf answers; every client also takes JSON.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

const MAGIC: &[u8] = b"k8s\0";

/// One field of a message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The object in a body, when it is of one of the three kinds.
pub(crate) fn decode(body: &[u8]) -> Option<Value> {
    let envelope = fields(body.strip_prefix(MAGIC)?)?;
    let types = fields(bytes(&envelope, 1)?)?;
    let kind = text(&types, 2)?;
    let message = fields(bytes(&envelope, 2)?)?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), json!(text(&types, 1)?));
    object.insert("kind".to_owned(), json!(kind));
    object.insert("metadata".to_owned(), metadata(bytes(&message, 1)?)?);
    match kind.as_str() {
        "Namespace" => {}
        "Secret" => {
            insert(&mut object, "data", binary_map(&message, 2)?);
            insert(&mut object, "stringData", text_map(&message, 4)?);
            object.extend(text(&message, 3).map(|kind| ("type".to_owned(), json!(kind))));
            object.extend(immutable(&message, 5));
        }
        "ConfigMap" => {
            insert(&mut object, "data", text_map(&message, 2)?);
            insert(&mut object, "binaryData", binary_map(&message, 3)?);
            object.extend(immutable(&message, 4));
        }
        _ => return None,
    }
    Some(Value::Object(object))
}

fn metadata(message: &[u8]) -> Option<Value> {
    let message = fields(message)?;
    let mut metadata = Map::new();
    for (number, name) in [(1, "name"), (2, "generateName"), (3, "namespace")] {
        metadata.extend(text(&message, number).map(|text| (name.to_owned(), json!(text))));
    }
    insert(&mut metadata, "labels", text_map(&message, 11)?);
    insert(&mut metadata, "annotations", text_map(&message, 12)?);
    Some(Value::Object(metadata))
}

fn insert(object: &mut Map<String, Value>, name: &str, map: Map<String, Value>) {
    if !map.is_empty() {
        object.insert(name.to_owned(), Value::Object(map));
    }
}

fn immutable(message: &[(u64, Field<'_>)], number: u64) -> Option<(String, Value)> {
    message.iter().find_map(|(own, field)| match field {
        Field::Number(value) if *own == number => Some(("immutable".to_owned(), json!(*value != 0))),
        _ => None,
    })
}

fn bytes<'a>(message: &[(u64, Field<'a>)], number: u64) -> Option<&'a [u8]> {
    message.iter().find_map(|(own, field)| match field {
        Field::Bytes(bytes) if *own == number => Some(*bytes),
        _ => None,
    })
}

/// A text that is there and not empty.
fn text(message: &[(u64, Field<'_>)], number: u64) -> Option<String> {
    let text = std::str::from_utf8(bytes(message, number)?).ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn entries<'a>(message: &[(u64, Field<'a>)], number: u64) -> Option<Vec<(String, &'a [u8])>> {
    let own = message.iter().filter(|(own, _)| *own == number);
    own.map(|(_, field)| match field {
        Field::Bytes(entry) => {
            let entry = fields(entry)?;
            Some((text(&entry, 1)?, bytes(&entry, 2).unwrap_or_default()))
        }
        Field::Number(_) => None,
    })
    .collect()
}

fn text_map(message: &[(u64, Field<'_>)], number: u64) -> Option<Map<String, Value>> {
    let entries = entries(message, number)?.into_iter();
    entries.map(|(key, value)| Some((key, json!(std::str::from_utf8(value).ok()?)))).collect()
}

fn binary_map(message: &[(u64, Field<'_>)], number: u64) -> Option<Map<String, Value>> {
    let entries = entries(message, number)?.into_iter();
    Some(entries.map(|(key, value)| (key, json!(STANDARD.encode(value)))).collect())
}

/// The fields of a message, in order.
fn fields(mut rest: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut rest)?),
            1 => Field::Bytes(take(&mut rest, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                Field::Bytes(take(&mut rest, length)?)
            }
            5 => Field::Bytes(take(&mut rest, 4)?),
            _ => return None,
        };
        found.push((tag >> 3, field));
    }
    Some(found)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte, after @ ..] = *rest else { return None };
        *rest = after;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    #[test]
    fn a_secret_is_read() {
        let types = [field(1, b"v1"), field(2, b"Secret")].concat();
        let entry = [field(1, b"k"), field(2, b"\xff\x00")].concat();
        let secret =
            [field(1, &[field(1, b"s"), field(3, b"")].concat()), field(2, &entry), field(3, b"Opaque")]
                .concat();
        let body = [MAGIC, &field(1, &types), &field(2, &secret)].concat();
        let expected = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"k": "/wA="}, "type": "Opaque"});
        assert_eq!(decode(&body), Some(expected));
    }

    #[test]
    fn broken_bodies_are_not_read() {
        for body in [
            &b""[..],
            b"k8s\0",
            b"k8s\0\x0a\xff",
            b"k8s\0\x0a\x7f",
            b"{}",
            b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(decode(body), None, "{body:?}");
        }
    }
}
