//! Checks of strings, booleans, lists and maps.

use super::{Checked, Fields, Place, Problems};
use crate::json::Value;

/// A string; nothing else is ever turned into one.
pub fn text(value: &Value, place: &Place, problems: &mut Problems) -> Option<String> {
    if let Value::Text(text) = value {
        return Some(text.clone());
    }
    problems.add("string_type", place, value, "Input should be a valid string");
    None
}

/// A boolean in the lax sense: also `0`, `1` and the usual words in any case.
pub fn boolean(value: &Value, place: &Place, problems: &mut Problems) -> Option<bool> {
    let read = match value {
        Value::Bool(flag) => Some(*flag),
        Value::Int(digits) => bit(digits),
        // `0.0` and `1.0` are the two floats that spell a bit; a float prints exactly.
        Value::Float(number) => bit(&number.to_string()),
        Value::Text(text) => word(text),
        Value::Null | Value::List(_) | Value::Object(_) => {
            problems.add("bool_type", place, value, "Input should be a valid boolean");
            return None;
        }
    };
    if read.is_none() {
        problems.add(
            "bool_parsing",
            place,
            value,
            "Input should be a valid boolean, unable to interpret input",
        );
    }
    read
}

fn bit(digits: &str) -> Option<bool> {
    match digits {
        "0" | "-0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

fn word(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
        "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
        _ => None,
    }
}

/// `null`, or what the inner check accepts.
pub fn nullable<T>(
    check: impl FnOnce(&Value, &Place, &mut Problems) -> Option<T>,
) -> impl FnOnce(&Value, &Place, &mut Problems) -> Checked<Option<T>> {
    move |value, place, problems| match value {
        Value::Null => Some(None),
        present => check(present, place, problems).map(Some),
    }
}

/// A map; every member goes through the inner check, which sees the map's place and the key.
/// The whole is refused when one member is.
pub fn each_member<T>(
    value: &Value,
    place: &Place,
    problems: &mut Problems,
    mut check: impl FnMut(&str, &Value, &Place, &mut Problems) -> Option<T>,
) -> Option<Vec<T>> {
    let Value::Object(members) = value else {
        problems.add("dict_type", place, value, "Input should be a valid dictionary");
        return None;
    };
    let checked: Vec<_> = members.iter().map(|(key, member)| check(key, member, place, problems)).collect();
    checked.into_iter().collect()
}

/// A list; every item goes through the inner check.
pub fn list<T>(
    value: &Value,
    place: &Place,
    problems: &mut Problems,
    mut check: impl FnMut(&Value, &Place, &mut Problems) -> Option<T>,
) -> Option<Vec<T>> {
    let Value::List(items) = value else {
        problems.add("list_type", place, value, "Input should be a valid list");
        return None;
    };
    let checked: Vec<_> =
        items.iter().enumerate().map(|(index, item)| check(item, &place.index(index), problems)).collect();
    checked.into_iter().collect()
}

/// An object with fields of its own.
pub fn object_with_fields<T>(
    value: &Value,
    place: &Place,
    problems: &mut Problems,
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Option<T> {
    Fields::of(value, place.clone(), problems).and_then(|mut fields| read(&mut fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn run<T>(
        body: &str,
        check: impl FnOnce(&Value, &Place, &mut Problems) -> Option<T>,
    ) -> Result<T, &'static str> {
        let mut problems = Problems::default();
        let value = parse(body.as_bytes()).expect("JSON");
        let read = check(&value, &Place::body(), &mut problems);
        problems.verdict(read).map_err(|problems| problems.entries()[0].kind)
    }

    #[test]
    fn booleans_are_read_as_pydantic_reads_them() {
        for (body, expected) in [
            ("true", Ok(true)),
            ("\"false\"", Ok(false)),
            ("\"YES\"", Ok(true)),
            ("\"off\"", Ok(false)),
            ("1", Ok(true)),
            ("0.0", Ok(false)),
            ("2", Err("bool_parsing")),
            ("0.5", Err("bool_parsing")),
            ("\"\"", Err("bool_parsing")),
            ("\" true\"", Err("bool_parsing")),
            ("null", Err("bool_type")),
            ("[]", Err("bool_type")),
            ("{}", Err("bool_type")),
        ] {
            assert_eq!(run(body, boolean), expected, "{body}");
        }
    }

    #[test]
    fn nothing_is_turned_into_a_string() {
        assert_eq!(run("\"\"", text), Ok(String::new()));
        for body in ["5", "true", "null", "[\"a\"]", "{}"] {
            assert_eq!(run(body, text), Err("string_type"), "{body}");
        }
    }

    #[test]
    fn every_bad_item_of_a_list_is_told() {
        let mut problems = Problems::default();
        let value = parse(b"[1,\"a\",2]").expect("JSON");
        assert_eq!(list(&value, &Place::body(), &mut problems, text), None);
        assert_eq!(problems.entries().len(), 2);
        assert_eq!(problems.entries()[1].place, Place::body().index(2));
    }
}
