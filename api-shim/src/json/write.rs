//! Echoing a value that came in. Big integers keep their digits; what JSON cannot say (`NaN`,
//! infinity) becomes `null`.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

use super::Value;

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(digits) => serialize_integer(digits, serializer),
            Self::Float(number) if number.is_finite() => serializer.serialize_f64(*number),
            Self::Null | Self::Float(_) => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.len()))?;
                object.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

fn serialize_integer<S: Serializer>(digits: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(small) = digits.parse::<i64>() {
        return serializer.serialize_i64(small);
    }
    if let Ok(large) = digits.parse::<u64>() {
        return serializer.serialize_u64(large);
    }
    // serde_json's way to carry any number: a raw fragment is written as it is.
    match serde_json::value::RawValue::from_string(digits.to_owned()) {
        Ok(raw) => raw.serialize(serializer),
        Err(error) => Err(serde::ser::Error::custom(error)),
    }
}
