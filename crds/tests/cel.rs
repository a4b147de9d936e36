//! Each CEL rule of the schemas accepts one example and refuses another, in process.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on shall stop with the reason"
)]

use std::collections::BTreeSet;

use crds::{CodeExecution, SandboxFile, SandboxPool, SandboxWorkspace};
use kube::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// An object of that kind with this spec and status.
fn object<T: DeserializeOwned>(kind: &str, spec: &Value, status: &Value) -> T {
    let mut value = json!({
        "apiVersion": "carrel.dev/v1alpha1", "kind": kind, "metadata": {"name": "x", "namespace": "default"}, "spec": spec,
    });
    if !status.is_null() {
        value["status"] = status.clone();
    }
    serde_json::from_value(value).unwrap()
}

/// `base` with one member set, or removed when the value is null.
fn with(base: &Value, field: &str, value: &Value) -> Value {
    let mut changed = base.clone();
    if value.is_null() {
        changed.as_object_mut().unwrap().remove(field);
    } else {
        changed[field] = value.clone();
    }
    changed
}

/// A full execution spec, and for each immutable field another value.
fn execution_fields() -> Vec<(&'static str, Value, Value)> {
    let file = |name: &str| json!([{"path": name, "source": {"inline": "x"}}]);
    vec![
        ("interpreter", json!("Python"), json!("Bash")),
        ("code", json!("1"), json!("2")),
        ("codeFrom", Value::Null, json!({"fileRef": {"name": "f"}})),
        ("interactive", json!(false), json!(true)),
        ("entryPath", json!("main.py"), json!("other.py")),
        ("args", json!(["a"]), json!(["b"])),
        ("stdin", json!(""), json!("x")),
        ("stdinFrom", Value::Null, json!({"fileRef": {"name": "f"}})),
        ("env", json!([{"name": "A", "value": "1"}]), json!([{"name": "A", "value": "2"}])),
        ("variablesJSON", json!("{}"), Value::Null),
        ("variablesFrom", Value::Null, json!({"fileRef": {"name": "f"}})),
        ("tool", Value::Null, json!({"inputJSON": "{}"})),
        ("files", file("a"), file("b")),
        ("collectFiles", json!(true), json!(false)),
        ("saveFigures", json!(false), json!(true)),
        ("outputs", json!({"maxDownloads": 1}), json!({"maxDownloads": 2})),
        ("timeoutMilliseconds", json!(1000), json!(2000)),
        ("startDeadlineSeconds", json!(1), Value::Null),
        ("limits", json!({"outputBytes": 5}), json!({"outputBytes": 6})),
        ("packages", json!({"policy": "Off"}), json!({"policy": "Any"})),
        ("isolationKey", json!("a"), json!("b")),
        ("scope", Value::Null, json!("s")),
        ("workspaceRef", Value::Null, json!({"name": "w"})),
        ("poolRef", json!({"name": "default"}), json!({"name": "other"})),
        ("ttlSecondsAfterFinished", json!(60), json!(61)),
    ]
}

fn spec_of(fields: &[(&str, Value, Value)]) -> Value {
    fields
        .iter()
        .filter(|(_, old, _)| !old.is_null())
        .map(|(name, old, _)| ((*name).to_owned(), old.clone()))
        .collect()
}

#[test]
fn an_execution_is_immutable_and_each_refusal_names_the_field_and_the_remedy() {
    let fields = execution_fields();
    let tried: BTreeSet<&str> = fields.iter().map(|(name, ..)| *name).collect();
    let rules: BTreeSet<&str> = crds::code_execution::IMMUTABLE_FIELDS.into_iter().collect();
    assert_eq!(tried, rules, "a field of the spec has no example here");
    let base = spec_of(&fields);
    let old: CodeExecution = object("CodeExecution", &base, &Value::Null);
    assert!(old.validate_cel_update(&old).is_ok());
    for (name, _, changed) in &fields {
        let new: CodeExecution = object("CodeExecution", &with(&base, name, changed), &Value::Null);
        let text = new.validate_cel_update(&old).unwrap_err().to_string();
        assert!(text.contains(&format!("{name} is immutable")), "{name}: {text}");
        assert!(text.contains("create a new object, or use generateName"), "{text}");
    }
}

#[test]
fn every_field_of_the_execution_spec_but_cancel_is_immutable() {
    let crd = serde_json::to_value(CodeExecution::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut properties: BTreeSet<&str> =
        schema["properties"]["spec"]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert!(properties.remove("cancel"));
    assert_eq!(properties, crds::code_execution::IMMUTABLE_FIELDS.into_iter().collect());
}

#[test]
fn cancel_can_be_set_and_not_taken_back() {
    let object = |cancel: bool| {
        object::<CodeExecution>("CodeExecution", &json!({"code": "1", "cancel": cancel}), &Value::Null)
    };
    assert!(object(true).validate_cel_update(&object(false)).is_ok());
    let text = object(false).validate_cel_update(&object(true)).unwrap_err().to_string();
    assert!(text.contains("cancel cannot be taken back"), "{text}");
}

#[test]
fn an_execution_has_exactly_one_source_of_code_and_at_most_one_of_stdin_and_of_variables() {
    let reference = json!({"fileRef": {"name": "f"}});
    let check = |spec: Value| object::<CodeExecution>("CodeExecution", &spec, &Value::Null).validate_cel();
    assert!(check(json!({"code": ""})).is_ok());
    assert!(check(json!({"codeFrom": reference})).is_ok());
    for bad in [json!({}), json!({"code": "1", "codeFrom": reference})] {
        let text = check(bad).unwrap_err().to_string();
        assert!(text.contains("exactly one of code, codeFrom must be set"), "{text}");
    }
    assert!(check(json!({"code": "1", "stdinFrom": reference})).is_ok());
    let text = check(json!({"code": "1", "stdin": "x", "stdinFrom": reference})).unwrap_err().to_string();
    assert!(text.contains("at most one of stdin, stdinFrom"), "{text}");
    assert!(check(json!({"code": "1", "variablesFrom": reference})).is_ok());
    let both = json!({"code": "1", "variablesJSON": "{}", "variablesFrom": reference});
    let text = check(both).unwrap_err().to_string();
    assert!(text.contains("at most one of variablesJSON, variablesFrom"), "{text}");
}

#[test]
fn a_tool_has_exactly_one_input() {
    let check = |tool: Value| {
        object::<CodeExecution>("CodeExecution", &json!({"code": "1", "tool": tool}), &Value::Null)
            .validate_cel()
    };
    let reference = json!({"fileRef": {"name": "f"}});
    assert!(check(json!({"inputJSON": "{}"})).is_ok());
    assert!(check(json!({"inputFrom": reference})).is_ok());
    for bad in [json!({}), json!({"inputJSON": "{}", "inputFrom": reference})] {
        let text = check(bad).unwrap_err().to_string();
        assert!(text.contains("exactly one of inputJSON, inputFrom must be set"), "{text}");
    }
}

#[test]
fn an_input_file_has_exactly_one_source() {
    let check = |source: Value| {
        let spec = json!({"code": "1", "files": [{"path": "a", "source": source}]});
        object::<CodeExecution>("CodeExecution", &spec, &Value::Null).validate_cel()
    };
    assert!(check(json!({"inline": ""})).is_ok());
    assert!(check(json!({"fileRef": {"name": "f"}})).is_ok());
    assert!(check(json!({"sha256": "a".repeat(64)})).is_ok());
    for bad in [json!({}), json!({"inline": "x", "fileRef": {"name": "f"}})] {
        let text = check(bad).unwrap_err().to_string();
        assert!(text.contains("exactly one of fileRef, sha256, inline must be set"), "{text}");
    }
}

/// A terminal status and, for each final field, another value (null removes it).
fn final_fields() -> Vec<(&'static str, Value, Value)> {
    let text = |t: &str| json!({"text": t, "sizeBytes": 1, "truncated": false});
    let file =
        |p: &str| json!([{"path": p, "fileRef": {"name": "f"}, "sha256": "a".repeat(64), "sizeBytes": 1}]);
    let part = |d: &str| json!([{"name": "n", "mediaType": "text/plain", "data": d}]);
    vec![
        ("phase", json!("Succeeded"), json!("Failed")),
        ("reason", json!("Completed"), json!("Lost")),
        ("exitCode", json!(0), Value::Null),
        ("signal", Value::Null, json!(9)),
        ("stdout", text("a"), text("b")),
        ("stderr", text("a"), Value::Null),
        ("files", file("a"), file("b")),
        ("filesStoredAs", Value::Null, json!("a".repeat(64))),
        ("filesCount", json!(1), json!(2)),
        ("filesSkipped", json!([{"path": "s", "reason": "TooLarge"}]), Value::Null),
        ("filesSkippedCount", json!(1), json!(0)),
        ("results", part("a"), part("b")),
        ("resultsTruncated", Value::Null, json!(true)),
        ("failure", Value::Null, json!({"message": "m"})),
        ("completionTime", json!("2026-01-01T00:00:00Z"), json!("2026-01-01T00:00:01Z")),
    ]
}

#[test]
fn a_terminal_status_is_final_and_any_other_is_not() {
    let fields = final_fields();
    let status = spec_of(&fields);
    let spec = json!({"code": "1"});
    let finished: CodeExecution = object("CodeExecution", &spec, &status);
    assert!(finished.validate_cel_update(&finished).is_ok());
    for phase in ["Pending", "Queued", "Running"] {
        let old: CodeExecution = object("CodeExecution", &spec, &json!({"phase": phase}));
        assert!(finished.validate_cel_update(&old).is_ok(), "{phase} may become final");
    }
    for (name, _, changed) in &fields {
        let new: CodeExecution = object("CodeExecution", &spec, &with(&status, name, changed));
        let text = new.validate_cel_update(&finished).unwrap_err().to_string();
        assert!(text.contains("the outcome in status is final"), "{name}: {text}");
    }
    let tried: Vec<&str> = fields.iter().map(|(name, ..)| *name).collect();
    assert_eq!(tried, crds::code_execution::FINAL_FIELDS, "a final field has no example here");
    let emptied: CodeExecution = object("CodeExecution", &spec, &Value::Null);
    assert!(emptied.validate_cel_update(&finished).is_err(), "a terminal status cannot be removed");
}

#[test]
fn what_is_no_outcome_may_still_be_added_to_a_terminal_status() {
    let spec = json!({"code": "1"});
    let status = json!({"phase": "Succeeded", "reason": "Completed", "exitCode": 0});
    let old: CodeExecution = object("CodeExecution", &spec, &status);
    let new: CodeExecution = object("CodeExecution", &spec, &with(&status, "podName", &json!("p")));
    assert!(new.validate_cel_update(&old).is_ok());
}

#[test]
fn a_file_has_exactly_one_source_and_keeps_its_identity() {
    let staged = json!({"key": "0".repeat(32), "sha256": "a".repeat(64), "sizeBytes": 1});
    let produced = json!({"executionUID": "u", "path": "a"});
    let check = |source: &Value| {
        object::<SandboxFile>("SandboxFile", &json!({"fileName": "f", "source": source}), &Value::Null)
            .validate_cel()
    };
    assert!(check(&json!({"inline": ""})).is_ok());
    assert!(check(&json!({"staged": staged})).is_ok());
    assert!(check(&json!({"produced": produced})).is_ok());
    for bad in [json!({}), json!({"inline": "", "staged": staged})] {
        let text = check(&bad).unwrap_err().to_string();
        assert!(text.contains("exactly one of inline, staged, produced must be set"), "{text}");
    }
    let base = json!({"fileName": "f", "isolationKey": "k", "source": {"inline": "a"}, "registration": 2, "maxDownloads": 1});
    let old: SandboxFile = object("SandboxFile", &base, &Value::Null);
    for (field, value) in [
        ("fileName", json!("g")),
        ("isolationKey", Value::Null),
        ("scope", json!("s")),
        ("collection", json!("onyx")),
        ("source", json!({"inline": "b"})),
    ] {
        let new: SandboxFile = object("SandboxFile", &with(&base, field, &value), &Value::Null);
        let text = new.validate_cel_update(&old).unwrap_err().to_string();
        assert!(text.contains(&format!("{field} is immutable")), "{text}");
    }
    for (field, value) in [
        ("registration", json!(3)),
        ("maxDownloads", Value::Null),
        ("expiresAt", json!("2030-01-01T00:00:00Z")),
        ("retentionSeconds", json!(60)),
    ] {
        let new: SandboxFile = object("SandboxFile", &with(&base, field, &value), &Value::Null);
        assert!(new.validate_cel_update(&old).is_ok(), "{field} may change");
    }
    let back: SandboxFile = object("SandboxFile", &with(&base, "registration", &json!(1)), &Value::Null);
    let text = back.validate_cel_update(&old).unwrap_err().to_string();
    assert!(text.contains("registration may only be raised"), "{text}");
}

#[test]
fn a_pool_wants_no_more_than_it_may_have_and_verifies_only_behind_inner_walls() {
    let check = |spec: Value| object::<SandboxPool>("SandboxPool", &spec, &Value::Null).validate_cel();
    assert!(check(json!({"replicas": 3, "maxPods": 3})).is_ok());
    let text = check(json!({"replicas": 4, "maxPods": 3})).unwrap_err().to_string();
    assert!(text.contains("replicas must not be greater than maxPods"), "{text}");
    assert!(check(json!({"reusePolicy": "Verified", "isolation": "Nested"})).is_ok());
    assert!(check(json!({"reusePolicy": "SameKey"})).is_ok());
    let text = check(json!({"reusePolicy": "Verified"})).unwrap_err().to_string();
    assert!(text.contains("needs isolation Nested"), "{text}");
}

#[test]
fn a_workspace_keeps_what_its_volume_was_made_for() {
    let base = json!({"persistent": true, "isolationKey": "k", "idleTTLSeconds": 900});
    let old: SandboxWorkspace = object("SandboxWorkspace", &base, &Value::Null);
    for (field, value) in [
        ("poolRef", json!({"name": "other"})),
        ("persistent", json!(false)),
        ("sizeLimit", json!("2Gi")),
        ("storageClassName", json!("fast")),
        ("concurrency", json!("Parallel")),
        ("backgroundProcesses", json!("Keep")),
        ("files", json!([{"path": "a", "source": {"inline": "x"}}])),
        ("isolationKey", Value::Null),
        ("scope", json!("s")),
    ] {
        let new: SandboxWorkspace = object("SandboxWorkspace", &with(&base, field, &value), &Value::Null);
        let text = new.validate_cel_update(&old).unwrap_err().to_string();
        assert!(text.contains(&format!("{field} is immutable")), "{field}: {text}");
    }
    for (field, value) in [("idleTTLSeconds", json!(60)), ("expiresAt", json!("2030-01-01T00:00:00Z"))] {
        let new: SandboxWorkspace = object("SandboxWorkspace", &with(&base, field, &value), &Value::Null);
        assert!(new.validate_cel_update(&old).is_ok(), "{field} may change");
    }
}
