//! What Go's decoders say of a text that they cannot read: the API server passes it on to people.
//! Not here: which text is read, and what becomes of it.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Why a text is no JSON. `error` is what `serde_json` found in `text`.
pub(crate) fn json(error: &serde_json::Error, text: &[u8]) -> String {
    let found = offset(error, text).and_then(|at| text.get(at));
    let Some(found) = found.filter(|_| !error.is_eof()) else {
        return "unexpected end of JSON input".to_owned();
    };
    let said = error.to_string();
    let place = [
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
        ("expected `:`", "after object key"),
        ("key must be a string", "looking for beginning of object key string"),
        ("trailing characters", "after top-level value"),
    ]
    .into_iter()
    .find_map(|(ours, theirs)| said.starts_with(ours).then_some(theirs));
    format!("invalid character {} {}", character(*found), place.unwrap_or("looking for beginning of value"))
}

/// Where in the text the error is.
fn offset(error: &serde_json::Error, text: &[u8]) -> Option<usize> {
    let lines: usize = text
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (lines + error.column()).checked_sub(1)
}

/// A byte as Go quotes it.
fn character(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => r#"'"'"#.to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..=0x1f | 0x7f => format!(r"'\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!(r"'\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

/// Why a text is no base64.
pub(crate) fn base64(error: &base64::DecodeError, text: &str) -> String {
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => text.len(),
    };
    format!("illegal base64 data at input byte {at}")
}

/// Why a field of bytes cannot be read, if it cannot.
pub(crate) fn bytes(text: &str) -> Option<String> {
    STANDARD.decode(text).err().map(|error| base64(&error, text))
}

/// What Go calls the type of a JSON value.
pub(crate) fn type_of(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &[u8]) -> String {
        json(&serde_json::from_slice::<serde_json::Value>(text).unwrap_err(), text)
    }

    #[test]
    fn broken_json_is_refused_in_gos_words() {
        assert_eq!(said(b"{\"a\":"), "unexpected end of JSON input");
        assert_eq!(said(b"{\"a\": x}"), "invalid character 'x' looking for beginning of value");
        assert_eq!(said(b"{\n\"a\": 1 2}"), "invalid character '2' after object key:value pair");
        assert_eq!(said(b"[1 2]"), "invalid character '2' after array element");
        assert_eq!(said(b"{} x"), "invalid character 'x' after top-level value");
        assert_eq!(said(b"\x9e"), r"invalid character '\u009e' looking for beginning of value");
    }

    #[test]
    fn bytes_say_where_they_break() {
        assert_eq!(bytes("aGk="), None);
        assert_eq!(bytes("not base64!").unwrap(), "illegal base64 data at input byte 3");
    }
}
