//! How many values a body holds, told without parsing it: the memory that they take is reserved before they
//! are made.

/// At least as many as the parser makes; of what is no JSON any number.
#[must_use]
pub fn values_in(body: &[u8]) -> usize {
    let (mut values, mut in_text, mut escaped) = (1_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' | b':' if !in_text => values += 1,
            _ => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_counted_and_what_is_in_strings_is_not() {
        for (body, least, most) in [
            ("5", 1, 1),
            ("[1,2,3]", 4, 4),
            (r#"{"a":[{}],"b":null}"#, 4, 7),
            (r#""[1,2,\",3]""#, 1, 1),
            (r#"["\\",1]"#, 3, 3),
        ] {
            let counted = values_in(body.as_bytes());
            assert!((least..=most).contains(&counted), "{body}: {counted}");
        }
    }
}
