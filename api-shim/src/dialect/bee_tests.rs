use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::json::parse;

const RULES: BeeRules = BeeRules {
    default_timeout_seconds: 60,
    max_timeout_seconds: 600,
    default_max_downloads: 0,
    require_chat_id: true,
};

fn now() -> DateTime<Utc> {
    "2026-11-21T00:00:00Z".parse().expect("a time")
}

fn read(body: &serde_json::Value) -> Result<BeeRequest, BeeRefusal> {
    read_request(&parse(body.to_string().as_bytes()).expect("JSON"), RULES, now())
}

fn accepted(body: &serde_json::Value) -> BeeRequest {
    read(body).unwrap_or_else(|refusal| panic!("{body} gave {refusal:?}"))
}

/// The entries without `input`, which the tests of `validate` cover.
fn refused(body: &serde_json::Value) -> Vec<(String, serde_json::Value, String)> {
    let Err(BeeRefusal::Problems(problems)) = read(body) else { panic!("{body} is not refused") };
    let entries = serde_json::to_value(problems.entries()).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let entry = |entry: &serde_json::Value| (text(&entry["type"]), entry["loc"].clone(), text(&entry["msg"]));
    entries.as_array().expect("a list").iter().map(entry).collect()
}

fn one(body: &serde_json::Value) -> (String, serde_json::Value, String) {
    let entries = refused(body);
    assert_eq!(entries.len(), 1, "{body}: {entries:?}");
    entries.into_iter().next().expect("one")
}

fn entry(kind: &str, loc: serde_json::Value, message: &str) -> (String, serde_json::Value, String) {
    (kind.to_owned(), loc, message.to_owned())
}

fn told(rows: &[(serde_json::Value, &str, serde_json::Value, &str)]) {
    for (body, kind, loc, message) in rows {
        let mut whole = json!({"source_code": ""});
        whole.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
        assert_eq!(one(&whole), entry(kind, loc.clone(), message));
    }
}

#[test]
fn the_exact_examples_of_the_contract() {
    let id = "String should match pattern '^[0-9a-zA-Z_-]{1,255}$'";
    let path = "String should match pattern '^/[^/].*$'";
    let (text, map) = ("Input should be a valid string", "Input should be a valid dictionary");
    assert_eq!(one(&json!({})), entry("missing", json!(["body", "source_code"]), "Field required"));
    told(&[
        (json!({"source_code": 5}), "string_type", json!(["body", "source_code"]), text),
        (
            json!({"files": {"rel": "h"}}),
            "string_pattern_mismatch",
            json!(["body", "files", "rel", "[key]"]),
            path,
        ),
        (
            json!({"files": {"/workspace/x": "../h"}}),
            "string_pattern_mismatch",
            json!(["body", "files", "/workspace/x"]),
            id,
        ),
        (json!({"env": {"A": 1}}), "string_type", json!(["body", "env", "A"]), text),
        (json!({"files": null}), "dict_type", json!(["body", "files"]), map),
        (json!({"files": []}), "dict_type", json!(["body", "files"]), map),
        (json!({"env": null}), "dict_type", json!(["body", "env"]), map),
        (json!({"chat_id": null}), "string_type", json!(["body", "chat_id"]), text),
        (json!({"chat_id": "a b"}), "string_pattern_mismatch", json!(["body", "chat_id"]), id),
    ]);
}

#[test]
fn numbers_durations_and_flags_are_told_under_their_canonical_name() {
    let duration = "Value error, Unsupported duration literal: 'abc'";
    let days = "Value error, Unsupported duration literal: '99999999999'";
    told(&[
        (json!({"expires_in": "abc"}), "value_error", json!(["body", "expires_in"]), duration),
        (
            json!({"expiresIn": 5}),
            "string_type",
            json!(["body", "expires_in"]),
            "Input should be a valid string",
        ),
        (json!({"expires_days": 99_999_999_999_i64}), "value_error", json!(["body", "expires_days"]), days),
        (
            json!({"limit": -1}),
            "greater_than_equal",
            json!(["body", "max_downloads"]),
            "Input should be greater than or equal to 0",
        ),
        (json!({"timeout": 0}), "greater_than", json!(["body", "timeout"]), "Input should be greater than 0"),
        (
            json!({"timeout": 601}),
            "less_than_equal",
            json!(["body", "timeout"]),
            "Input should be less than or equal to 600",
        ),
        (
            json!({"persistent_workspace": null}),
            "bool_type",
            json!(["body", "persistent_workspace"]),
            "Input should be a valid boolean",
        ),
    ]);
}

#[test]
fn the_path_rules_are_told_at_the_key() {
    for (key, text) in [
        ("/data/x", "path must be a file under /workspace"),
        ("/workspace", "path must be a file under /workspace"),
        ("/workspace/../x", "path must not contain '..'"),
        ("/workspace/a\0", "path must not contain NUL"),
    ] {
        let found = one(&json!({"source_code": "", "files": {key: "h"}}));
        assert_eq!(
            found,
            entry("value_error", json!(["body", "files", key, "[key]"]), &format!("Value error, {text}"))
        );
    }
    let twice = json!({"source_code": "", "files": {"/workspace/a": "h", "/workspace/a//": "h", "/workspace/a/b": "h"}});
    let conflicts = refused(&twice);
    let text = "Value error, path conflicts with another entry";
    assert_eq!(
        conflicts,
        [
            entry("value_error", json!(["body", "files", "/workspace/a//", "[key]"]), text),
            entry("value_error", json!(["body", "files", "/workspace/a/b", "[key]"]), text),
        ]
    );
}

#[test]
fn names_of_variables_are_told_at_the_key_and_values_at_the_value() {
    for name in ["", "A=B", "A\0"] {
        let (kind, loc, _) = one(&json!({"source_code": "", "env": {name: ""}}));
        assert_eq!((kind.as_str(), loc), ("value_error", json!(["body", "env", name, "[key]"])), "{name:?}");
    }
    let (kind, loc, _) = one(&json!({"source_code": "", "env": {"A": "\0"}}));
    assert_eq!((kind.as_str(), loc), ("value_error", json!(["body", "env", "A"])));
}

#[test]
fn all_problems_are_told_in_table_order() {
    let body = json!({"timeout": "x", "persistentWorkspace": "maybe", "expires_in": "x", "max_downloads": 1.5,
        "chat_id": 1, "env": {"": 1}, "files": {"rel": 1}});
    let kinds: Vec<_> = refused(&body).into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(
        kinds,
        [
            "missing",
            "string_pattern_mismatch",
            "string_type",
            "value_error",
            "string_type",
            "string_type",
            "int_from_float",
            "value_error",
            "bool_parsing",
            "float_parsing",
        ]
    );
}

#[test]
fn a_missing_field_is_told_with_the_object_that_lacks_it() {
    let Err(BeeRefusal::Problems(problems)) = read(&json!({"env": {}})) else { panic!("not refused") };
    let told = serde_json::to_value(&problems.entries()[0]).expect("JSON");
    assert_eq!(
        told,
        json!({"type": "missing", "loc": ["body", "source_code"], "msg": "Field required", "input": {"env": {}}})
    );
}

#[test]
fn defaults_are_those_of_the_contract() {
    let request = accepted(&json!({"sourceCode": "1"}));
    let expected = BeeRequest {
        source_code: "1".to_owned(),
        files: vec![],
        env: vec![],
        chat_id: "default".to_owned(),
        max_downloads: None,
        expires_seconds: None,
        persistent_workspace: None,
        timeout_milliseconds: 60_000,
    };
    assert_eq!(request, expected);
    assert_eq!(
        accepted(&json!({"code": "1", "timeout": null, "max_downloads": null, "expires_in": null})),
        expected
    );
}

#[test]
fn values_are_taken_from_every_spelling_and_the_best_wins() {
    let request =
        accepted(&json!({"source_code": "a", "code": "b", "ChatId": "c", "limit": "5", "expiresDays": 1,
        "expires_in": "1h", "persistentWorkspace": "no", "TimeoutSeconds": 0.0001, "timeout": 1.5,
        "env": {"sourceCode": "kept"}, "files": {"/workspace/./d//e": "id"}}));
    assert_eq!(request.source_code, "a");
    assert_eq!(request.chat_id, "c");
    assert_eq!(request.max_downloads, Some(5));
    assert_eq!(request.expires_seconds, Some(3600));
    assert_eq!(request.persistent_workspace, Some(false));
    assert_eq!(request.timeout_milliseconds, 1500);
    assert_eq!(request.env, [("sourceCode".to_owned(), "kept".to_owned())]);
    let input = BeeInput { key: "/workspace/./d//e".to_owned(), path: "d/e".to_owned(), id: "id".to_owned() };
    assert_eq!(request.files, [input]);
}

#[test]
fn a_deadline_is_rounded_up_to_a_millisecond() {
    for (seconds, milliseconds) in
        [(json!(0.0001), 1), (json!(0.0015), 2), (json!(2), 2000), (json!("0.5"), 500), (json!(true), 1000)]
    {
        assert_eq!(
            accepted(&json!({"source_code": "", "timeout": seconds})).timeout_milliseconds,
            milliseconds
        );
    }
}

#[test]
fn an_empty_chat_id_is_refused_or_means_the_default() {
    let body = parse(br#"{"source_code": "", "chat_id": ""}"#).expect("JSON");
    assert_eq!(read_request(&body, RULES, now()), Err(BeeRefusal::ChatIdMissing));
    let lax = BeeRules { require_chat_id: false, ..RULES };
    assert_eq!(read_request(&body, lax, now()).expect("accepted").chat_id, "default");
}

#[test]
fn the_configured_downloads_hold_when_the_request_has_none() {
    let rules = BeeRules { default_max_downloads: 3, ..RULES };
    let read = |body: &[u8]| {
        read_request(&parse(body).expect("JSON"), rules, now()).expect("accepted").max_downloads
    };
    assert_eq!(read(br#"{"source_code": ""}"#), Some(3));
    assert_eq!(read(br#"{"source_code": "", "max_downloads": null}"#), None);
    assert_eq!(read(br#"{"source_code": "", "max_downloads": 0}"#), None);
}

#[test]
fn a_variable_may_be_as_long_as_the_kernel_takes_it_in_bytes() {
    let sent = |name: &str, value: String| read(&json!({"source_code": "", "env": {name: value}}));
    // With `=` and the final NUL these are 131072 bytes.
    assert!(sent("AB", "x".repeat(131_068)).is_ok());
    assert!(sent("AB", "é".repeat(65_534)).is_ok());
    for value in ["x".repeat(131_069), "é".repeat(65_535)] {
        let Err(BeeRefusal::Problems(problems)) = sent("AB", value) else { panic!("not refused") };
        assert_eq!(problems.entries()[0].place, Place::body().key("env").key("AB"));
        assert_eq!(problems.entries()[0].kind, "value_error");
    }
}

proptest! {
    #[test]
    fn a_variable_arrives_exactly_as_given_or_is_refused(name in ".{0,8}", value in ".{0,8}") {
        let body = json!({"source_code": "", "env": {name.clone(): value.clone()}});
        match read(&body) {
            Ok(request) => prop_assert_eq!(request.env, vec![(name, value)]),
            Err(_) => prop_assert!(name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')),
        }
    }

    #[test]
    fn any_object_ends_in_a_request_or_a_refusal(fields in prop::collection::btree_map("[a-z_]{0,12}|files|env|timeout|source_code", ".{0,6}", 0..8)) {
        let _either = read(&json!(fields));
    }
}
