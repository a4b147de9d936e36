use proptest::prelude::*;

use super::*;

fn stop_of(body: &str) -> (usize, &'static str) {
    match parse(body.as_bytes()) {
        Err(ParseError::Malformed { offset, text }) => (offset, text),
        other => panic!("{body:?} gave {other:?}"),
    }
}

#[test]
fn stops_where_cpython_stops_and_says_the_same() {
    let property = "Expecting property name enclosed in double quotes";
    let rows: &[(&str, usize, &str)] = include!("parse_goldens.in");
    for (body, offset, text) in rows {
        assert_eq!(stop_of(body), (*offset, *text), "{body:?}");
    }
    assert_eq!(stop_of("{"), (1, property));
}

#[test]
fn bytes_that_are_no_text_are_unreadable() {
    assert_eq!(parse(b"\"\xff\""), Err(ParseError::Unreadable));
    assert_eq!(parse(br#""\ud800""#), Err(ParseError::Unreadable));
    assert_eq!(parse("[".repeat(100_000).as_bytes()), Err(ParseError::Unreadable));
    assert_eq!(parse("9".repeat(5000).as_bytes()), Err(ParseError::Unreadable));
}

#[test]
fn values_are_read_as_cpython_reads_them() {
    let rows = [
        ("1", Value::Int("1".into())),
        ("-0", Value::Int("0".into())),
        ("1.5", Value::Float(1.5)),
        ("1e2", Value::Float(100.0)),
        ("1E400", Value::Float(f64::INFINITY)),
        ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        (" null\n", Value::Null),
        (r#""\u0041\ud83d\ude00\n\/""#, Value::Text("A\u{1f600}\n/".into())),
        (r#""\u0000""#, Value::Text("\0".into())),
        ("\u{feff}[]", Value::List(vec![])),
    ];
    for (body, value) in rows {
        assert_eq!(parse(body.as_bytes()), Ok(value), "{body}");
    }
}

#[test]
fn a_repeated_key_keeps_its_first_place_and_takes_its_last_value() {
    let Ok(Value::Object(object)) = parse(br#"{"a":1,"b":2,"a":3}"#) else { panic!("not an object") };
    let members: Vec<_> = object.iter().map(|(key, value)| (key, value.as_i64())).collect();
    assert_eq!(members, [("a", Some(3)), ("b", Some(2))]);
}

#[test]
fn big_integers_are_echoed_digit_by_digit() {
    let digits = "123456789012345678901234567890";
    let value = parse(digits.as_bytes()).expect("an integer");
    assert_eq!(serde_json::to_string(&value).expect("json"), digits);
    assert_eq!(serde_json::to_string(&Value::Float(f64::NAN)).expect("json"), "null");
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(|number| serde_json::Value::from(f64::from(number) / 8.0)),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reads_back_what_serde_json_writes(value in any_json()) {
        let text = value.to_string();
        let parsed = parse(text.as_bytes()).expect("valid JSON");
        let echoed: serde_json::Value = serde_json::from_str(&serde_json::to_string(&parsed).expect("echo")).expect("json");
        prop_assert_eq!(echoed, value);
    }

    #[test]
    fn any_bytes_end_in_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _either = parse(&bytes);
    }

    #[test]
    fn a_cut_document_is_refused(value in any_json(), cut in any::<prop::sample::Index>()) {
        let text = format!("[{value}]");
        let at = text.char_indices().map(|(place, _)| place).nth(cut.index(text.chars().count())).unwrap_or(0);
        prop_assert!(parse(&text.as_bytes()[..at]).is_err());
    }
}
