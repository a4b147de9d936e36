//! Specs that are refused, with the field, and specs that are not.

use serde_json::{Value, json};

use super::*;

fn check(spec: &Value) -> Result<(Plan, Program), Failure> {
    let mut object = json!({
        "apiVersion": "carrel.dev/v1alpha1", "kind": "CodeExecution",
        "metadata": { "namespace": "ns", "name": "a", "uid": "u" },
        "spec": spec,
    });
    if object["spec"].get("code").is_none() && object["spec"].get("codeFrom").is_none() {
        object["spec"]["code"] = json!("1");
    }
    validate(&serde_json::from_value(object).unwrap())
}

#[test]
fn each_refusal_names_its_field() {
    for (spec, field) in [
        (json!({ "workspaceRef": { "name": "w" } }), "workspaceRef"),
        (json!({ "packages": { "policy": "Any" } }), "packages.policy"),
        (json!({ "code": "é".repeat(300_000) }), "spec"),
        (json!({ "code": "a\0", "interpreter": "Bash" }), "code"),
        (json!({ "codeFrom": { "fileRef": { "name": "f" } }, "code": "1" }), "code"),
        (json!({ "args": ["a", "b\0"] }), "args[1]"),
        (json!({ "stdin": "\0" }), "stdin"),
        (json!({ "stdin": "a", "stdinFrom": { "fileRef": { "name": "f" } } }), "stdinFrom"),
        (json!({ "env": [{ "name": "A", "value": "\0" }] }), "env[0].value"),
        (json!({ "env": [{ "name": "A=B" }] }), "env[0].name"),
        (json!({ "entryPath": "../main.py" }), "entryPath"),
        (json!({ "entryPath": "/main.py" }), "entryPath"),
        (json!({ "variablesJSON": "[1]" }), "variablesJSON"),
        (json!({ "variablesJSON": "{" }), "variablesJSON"),
        (json!({ "variablesJSON": "{\"a b\": 1}" }), "variablesJSON"),
        (json!({ "variablesJSON": "{\"1a\": 1}" }), "variablesJSON"),
        (json!({ "variablesJSON": "{}", "variablesFrom": { "fileRef": { "name": "f" } } }), "variablesFrom"),
        (json!({ "tool": {} }), "tool"),
        (json!({ "tool": { "inputJSON": "{}", "inputFrom": { "fileRef": { "name": "f" } } } }), "tool"),
        (json!({ "args": ["a", "x".repeat(131_072)] }), "args[1]"),
        (json!({ "env": [{ "name": "A" }, { "name": "B", "value": "x".repeat(131_070) }] }), "env[1].value"),
        (json!({ "args": vec![""; 120_000] }), "args[116508]"),
        (json!({ "tool": { "inputJSON": "1" } }), "tool.inputJSON"),
        (json!({ "tool": { "inputJSON": "{}" }, "interpreter": "Bash" }), "tool"),
        (json!({ "files": [{ "path": "a/../b", "source": { "inline": "" } }] }), "files[0].path"),
        (json!({ "files": [{ "path": "a//b", "source": { "inline": "" } }] }), "files[0].path"),
        (json!({ "files": [{ "path": "a", "source": {} }] }), "files[0].source"),
        (json!({ "limits": { "memory": "lots" } }), "limits.memory"),
        (json!({ "limits": { "memory": "0" } }), "limits.memory"),
        (json!({ "limits": { "outputBytes": -1 } }), "limits.outputBytes"),
        (json!({ "timeoutMilliseconds": 0 }), "timeoutMilliseconds"),
    ] {
        let failure = check(&spec).expect_err(&spec.to_string().chars().take(80).collect::<String>());
        assert_eq!(failure.field.as_deref(), Some(field));
        assert!(!failure.message.is_empty());
    }
}

#[test]
fn what_can_be_run_is_accepted() {
    for spec in [
        json!({ "code": "a\0b" }),
        json!({ "code": "" }),
        json!({ "entryPath": "a/b/main.py" }),
        json!({ "files": [{ "path": "..dots", "source": { "inline": "" } }] }),
        json!({ "files": [{ "path": "%2e%2e/x", "source": { "inline": "" } }] }),
        json!({ "variablesJSON": "{\"_a1\": 1, \"größe\": 2}" }),
        json!({ "tool": { "inputJSON": "[1]" } }),
        json!({ "limits": { "memory": "512Mi" } }),
        json!({ "variablesFrom": { "fileRef": { "name": "f" } } }),
        json!({ "tool": { "inputFrom": { "fileRef": { "name": "f" } } } }),
        json!({ "args": ["x".repeat(131_071)] }),
        json!({ "env": [{ "name": "B", "value": "x".repeat(131_069) }] }),
    ] {
        assert!(check(&spec).is_ok(), "{spec}");
    }
}

#[test]
fn the_limits_arrive_in_the_executors_units() {
    let limits = json!({ "memory": "1Ki", "cpuMilliseconds": 5, "processes": 6, "outputBytes": 7 });
    let (plan, _) = check(&json!({ "limits": limits })).unwrap();
    assert_eq!(plan.limits.memory_bytes, Some(1024));
    assert_eq!((plan.limits.cpu_milliseconds, plan.limits.processes), (Some(5), Some(6)));
    assert_eq!((plan.limits.output_bytes, plan.limits.files), (7, 1000));
}

#[test]
fn a_request_id_or_trace_that_is_longer_than_any_of_ours_is_not_kept() {
    let meta = |value: &str| ObjectMeta {
        annotations: Some([(labels::REQUEST_ID.to_owned(), value.to_owned())].into()),
        ..ObjectMeta::default()
    };
    assert_eq!(annotation(&meta("r-1"), labels::REQUEST_ID).as_deref(), Some("r-1"));
    assert_eq!(annotation(&meta("r-1"), labels::TRACE_PARENT), None);
    assert_eq!(annotation(&meta(&"x".repeat(200_000)), labels::REQUEST_ID), None);
}
