use chrono::{DateTime, Utc};
use crds::{code_execution::Tool, size::check_spec};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    dialect::{bee, onyx},
    json::parse,
};

fn bee(body: &serde_json::Value) -> CodeExecutionSpec {
    let now: DateTime<Utc> = "2026-11-21T00:00:00Z".parse().expect("a time");
    let rules = crate::ShimConfig::default().bee;
    let request =
        bee::read_request(&parse(body.to_string().as_bytes()).expect("JSON"), rules, now).expect("a request");
    bee_spec(&request, vec![], Some("alice"), &SpecRules::default())
}

fn onyx(body: &serde_json::Value) -> CodeExecutionSpec {
    let request =
        onyx::read_request(&parse(body.to_string().as_bytes()).expect("JSON"), 60_000).expect("a request");
    onyx_spec(&request, vec![], None, &SpecRules::default())
}

#[test]
fn a_bee_request_becomes_a_spec() {
    let spec =
        bee(&json!({"source_code": "print(1)", "env": {"A": "b"}, "chat_id": "c1", "max_downloads": 3,
        "expires_in": "1h", "timeout": 2.5}));
    let expected = json!({
        "interpreter": "PythonOrShell", "code": "print(1)", "interactive": false, "entryPath": "main.py", "args": [],
        "stdin": "", "env": [{"name": "A", "value": "b"}], "files": [], "collectFiles": true, "saveFigures": true,
        "outputs": {"maxDownloads": 3, "ttlSeconds": 3600}, "timeoutMilliseconds": 2500, "startDeadlineSeconds": 30,
        "limits": {"outputBytes": 1_000_000, "outputFiles": 1000, "outputFileBytes": 1_073_741_824,
            "outputFilesBytes": 1_073_741_824},
        "packages": {"policy": "Off", "allowed": [], "timeoutSeconds": 60}, "isolationKey": "c1", "scope": "alice",
        "poolRef": {"name": "default"}, "ttlSecondsAfterFinished": 60, "cancel": false,
    });
    assert_eq!(serde_json::to_value(spec).expect("JSON"), expected);
}

#[test]
fn an_onyx_request_becomes_a_spec() {
    let spec = onyx(&json!({"code": "x", "stdin": "in", "timeout_ms": 1000}));
    assert_eq!(spec.interpreter, Interpreter::Python);
    assert_eq!(spec.entry_path, "__main__.py");
    assert_eq!(spec.stdin, "in");
    assert!(spec.interactive && !spec.save_figures && spec.isolation_key.is_none() && spec.scope.is_none());
    assert_eq!(spec.outputs.collection.as_deref(), Some("onyx"));
    assert_eq!(spec.outputs.ttl_seconds, Some(86_400));
    assert_eq!(spec.timeout_milliseconds, 1000);
}

#[test]
fn without_a_workspace_of_its_own_a_run_keeps_its_files_unless_told_otherwise() {
    assert!(bee(&json!({"source_code": ""})).collect_files);
    assert!(bee(&json!({"source_code": "", "persistent_workspace": true})).collect_files);
    assert!(!bee(&json!({"source_code": "", "persistent_workspace": false})).collect_files);
}

#[test]
fn a_source_with_nul_is_handed_on_for_the_interpreter_to_refuse() {
    for spec in [bee(&json!({"source_code": "a\u{0}b"})), onyx(&json!({"code": "a\u{0}b"}))] {
        assert_eq!(spec.code.as_deref(), Some("a\u{0}b"));
    }
}

#[test]
fn only_long_parts_leave_the_spec() {
    let mut spec = onyx(&json!({"code": "short", "stdin": "short"}));
    assert_eq!(take_long_parts(&mut spec), []);
    assert_eq!(spec.code.as_deref(), Some("short"));
    let (long, wide) = ("x".repeat(3 * 1024 * 1024), "é".repeat(200_000));
    let mut spec = onyx(&json!({"code": long, "stdin": wide}));
    assert_eq!(take_long_parts(&mut spec), [(LongPart::Code, long), (LongPart::Stdin, wide)]);
    refer_to_part(&mut spec, LongPart::Code, "c");
    refer_to_part(&mut spec, LongPart::Stdin, "s");
    assert_eq!(serde_json::to_value(&spec).expect("JSON")["codeFrom"], json!({"fileRef": {"name": "c"}}));
    assert!(spec.code.is_none() && spec.stdin.is_empty() && spec.stdin_from.is_some());
}

#[test]
fn variables_and_tool_inputs_travel_as_files_too() {
    let long = format!("[{:?}]", "x".repeat(300_000));
    let mut spec = CodeExecutionSpec {
        variables_json: Some(long.clone()),
        tool: Some(Tool { input_json: Some(long.clone()), input_from: None }),
        ..onyx(&json!({"code": ""}))
    };
    let taken = take_long_parts(&mut spec);
    assert_eq!(taken, [(LongPart::Variables, long.clone()), (LongPart::ToolInput, long)]);
    for (part, _) in taken {
        refer_to_part(&mut spec, part, part.word());
    }
    let written = serde_json::to_value(&spec).expect("JSON");
    assert_eq!(written["variablesFrom"], json!({"fileRef": {"name": "variables"}}));
    assert_eq!(written["tool"], json!({"inputFrom": {"fileRef": {"name": "tool-input"}}}));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_stays_fits_the_budget_and_nothing_is_lost(texts in prop::array::uniform4(".{1,64}"), times in 1_usize..8000) {
        let [code, stdin, variables, input] = texts.map(|text| text.repeat(times));
        let before = CodeExecutionSpec {
            variables_json: Some(variables),
            tool: Some(Tool { input_json: Some(input), input_from: None }),
            ..onyx(&json!({"code": code, "stdin": stdin}))
        };
        let mut spec = before.clone();
        for (part, text) in take_long_parts(&mut spec) {
            prop_assert_eq!(part.text(&before), text);
            refer_to_part(&mut spec, part, "file");
        }
        prop_assert_eq!(check_spec(&spec), Ok(()));
    }

    #[test]
    fn the_source_arrives_unchanged(code in "[^\0]{0,200}") {
        let spec = bee(&json!({"source_code": code.clone()}));
        prop_assert_eq!(spec.code, Some(code));
    }
}
