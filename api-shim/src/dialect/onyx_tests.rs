use serde_json::json;

use super::*;
use crate::json::parse;

fn read(body: &serde_json::Value) -> Result<OnyxRequest, OnyxRefusal> {
    read_request(&parse(body.to_string().as_bytes()).expect("JSON"), 60_000)
}

fn refused(body: &serde_json::Value) -> Vec<(String, serde_json::Value)> {
    let Err(OnyxRefusal::Problems(problems)) = read(body) else { panic!("{body} is not refused") };
    let entries = serde_json::to_value(problems.entries()).expect("JSON");
    let entry = |entry: &serde_json::Value| {
        (entry["type"].as_str().unwrap_or_default().to_owned(), entry["loc"].clone())
    };
    entries.as_array().expect("a list").iter().map(entry).collect()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let expected = OnyxRequest {
        code: "1".to_owned(),
        stdin: None,
        timeout_milliseconds: 2000,
        interactive: true,
        files: vec![],
    };
    assert_eq!(read(&json!({"code": "1"})), Ok(expected.clone()));
    assert_eq!(read(&json!({"code": "1", "stdin": null, "timeout": 5, "env": 1})), Ok(expected));
}

#[test]
fn every_wrong_field_is_told() {
    let rows = [
        (json!({}), "missing", json!(["body", "code"])),
        (json!({"code": null}), "string_type", json!(["body", "code"])),
        (json!({"code": "", "stdin": 5}), "string_type", json!(["body", "stdin"])),
        (json!({"code": "", "timeout_ms": "5"}), "int_type", json!(["body", "timeout_ms"])),
        (json!({"code": "", "timeout_ms": 5.0}), "int_type", json!(["body", "timeout_ms"])),
        (json!({"code": "", "timeout_ms": null}), "int_type", json!(["body", "timeout_ms"])),
        (json!({"code": "", "timeout_ms": 0}), "greater_than_equal", json!(["body", "timeout_ms"])),
        (
            json!({"code": "", "last_line_interactive": null}),
            "bool_type",
            json!(["body", "last_line_interactive"]),
        ),
        (json!({"code": "", "files": null}), "list_type", json!(["body", "files"])),
        (json!({"code": "", "files": {}}), "list_type", json!(["body", "files"])),
        (json!({"code": "", "files": ["a"]}), "model_attributes_type", json!(["body", "files", 0])),
        (json!({"code": "", "files": [{"path": "a"}]}), "missing", json!(["body", "files", 0, "file_id"])),
        (
            json!({"code": "", "files": [{"path": 1, "file_id": "b"}]}),
            "string_type",
            json!(["body", "files", 0, "path"]),
        ),
        (json!([]), "model_attributes_type", json!(["body"])),
    ];
    for (body, kind, loc) in rows {
        assert_eq!(refused(&body), [(kind.to_owned(), loc)], "{body}");
    }
}

#[test]
fn a_deadline_above_the_maximum_is_no_list() {
    assert_eq!(read(&json!({"code": "", "timeout_ms": 60_001})), Err(OnyxRefusal::TimeoutTooLong(60_000)));
    assert!(read(&json!({"code": "", "timeout_ms": 60_000})).is_ok());
    assert_eq!(refused(&json!({"timeout_ms": 60_001})).len(), 1);
}

#[test]
fn of_two_entries_with_one_path_the_last_wins() {
    let input = |path: &str, id: &str| OnyxInput { path: path.to_owned(), file_id: id.to_owned() };
    let kept = targets(&[input("a", "1"), input("b", "2"), input("./a", "3")]).expect("targets");
    assert_eq!(kept, [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "3".to_owned())]);
    assert_eq!(targets(&[input("a", "1"), input("a/b", "2")]), Err(OnyxPathError::Conflict));
    assert_eq!(targets(&[input("a", "1"), input("../b", "2")]), Err(OnyxPathError::Parent));
}
