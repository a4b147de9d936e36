//! Bad input, by HTTP and by kubectl: a clear error that names the field, at once, and nothing is run.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on shall stop with the reason")]

use e2e::{Carrel, http, kubectl::execution};
use serde_json::{Value, json};

/// The first entry of a 422 list.
fn problem(answer: &Value) -> (&str, &Value, &str) {
    let first = &answer["detail"][0];
    (first["type"].as_str().unwrap_or_default(), &first["loc"], first["msg"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn http_refuses_bad_bodies_and_names_the_field() {
    let carrel = Carrel::start();
    let cases = [
        ("{", "json_invalid", json!(["body", 1]), "JSON decode error"),
        ("", "missing", json!(["body"]), "Field required"),
        (
            "[]",
            "model_attributes_type",
            json!(["body"]),
            "Input should be a valid dictionary or object to extract fields from",
        ),
        ("{}", "missing", json!(["body", "source_code"]), "Field required"),
        (
            r#"{"source_code":5}"#,
            "string_type",
            json!(["body", "source_code"]),
            "Input should be a valid string",
        ),
        (r#"{"code":null}"#, "string_type", json!(["body", "code"]), "Input should be a valid string"),
        (
            r#"{"source_code":"1","env":{"A":1}}"#,
            "string_type",
            json!(["body", "env", "A"]),
            "Input should be a valid string",
        ),
        (
            r#"{"source_code":"1","files":{"rel":"h"}}"#,
            "string_pattern_mismatch",
            json!(["body", "files", "rel", "[key]"]),
            "String should match pattern '^/[^/].*$'",
        ),
        (
            r#"{"code":"1","timeout_ms":"5"}"#,
            "int_type",
            json!(["body", "timeout_ms"]),
            "Input should be a valid integer",
        ),
    ];
    for (body, type_, loc, msg) in cases {
        let (status, answer) = carrel.post("/v1/execute", body).await;
        assert_eq!(status, 422, "{body}: {answer}");
        assert_eq!(problem(&answer), (type_, &loc, msg), "{body}");
    }
    let (status, answer) = carrel.post("/v1/execute", vec![b'{', 0xff]).await;
    assert_eq!((status, answer), (400, json!({"detail": "There was an error parsing the body"})));
    let (status, answer) = carrel.post("/v1/execute", r#"{"code":"1","timeout_ms":60001}"#).await;
    assert_eq!((status, answer), (422, json!({"detail": "timeout_ms exceeds maximum of 60000 ms"})));
    let big = format!(r#"{{"code":"{}"}}"#, "#".repeat(17 * 1024 * 1024));
    let (status, answer) = carrel.post("/v1/execute", big).await;
    assert_eq!((status, answer), (413, json!({"detail": "Request body too large"})));
    assert_eq!(carrel.kubectl().run(&["get", "cex", "-o", "name"], ""), "", "nothing was created");
}

#[tokio::test]
async fn http_refuses_what_a_web_page_would_send() {
    let carrel = Carrel::start();
    let body = r#"{"code":"print(1)"}"#;
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Host", "evil.example"),
    ] {
        let request = http().post(carrel.url("/v1/execute")).header(name, value).body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 403, "{name}: {value}");
        let text: Value = answer.json().await.unwrap();
        assert_eq!(text, json!({"detail": "Spawn requests must originate from an internal URL / IP"}));
    }
    let same = http().post(carrel.url("/v1/execute")).header("Sec-Fetch-Site", "same-origin").body(body);
    assert_eq!(same.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn source_and_output_may_hold_any_byte() {
    let carrel = Carrel::start();
    let nul = carrel.execute(&json!({"source_code": "print(1)\u{0}"})).await;
    assert_eq!(nul["exit_code"], 1);
    assert!(nul["stderr"].as_str().unwrap().contains("null bytes"), "{nul}");
    let bytes = "import sys; sys.stdout.buffer.write(b'a\\xff\\x00b')";
    let answer = carrel.execute(&json!({ "source_code": bytes })).await;
    assert_eq!(answer["stdout"], "a\u{fffd}\u{0}b");
    let (status, answer) =
        carrel.post("/v1/execute", json!({"source_code": "1", "env": {"A": "\u{0}"}}).to_string()).await;
    assert_eq!(status, 422, "{answer}");
    assert_eq!(problem(&answer).1, &json!(["body", "env", "A"]));
}

#[test]
fn kubectl_users_get_a_refusal_that_names_the_field() {
    let carrel = Carrel::start();
    let kubectl = carrel.kubectl();
    let refuse = |spec: Value| kubectl.fail(&["create", "-f", "-"], &execution(&spec).to_string());
    for (spec, expected) in [
        (json!({}), "exactly one of code, codeFrom must be set"),
        (json!({"code": 5}), "spec.code"),
        (json!({"code": "1", "nonsense": 1}), r#"unknown field "spec.nonsense""#),
        (json!({"code": "1", "interpreter": "Perl"}), r#"spec.interpreter: Unsupported value: "Perl""#),
        (json!({"code": "1", "timeoutMilliseconds": 0}), "spec.timeoutMilliseconds"),
        (json!({"code": "1", "env": [{"name": "A=B"}]}), "spec.env[0].name"),
        (json!({"code": "1", "env": [{"name": "A"}, {"name": "A"}]}), "Duplicate value"),
        (json!({"code": "1", "files": [{"path": "/etc/x", "source": {"inline": ""}}]}), "spec.files[0].path"),
        (
            json!({"code": "1", "files": [{"path": "x", "source": {}}]}),
            "exactly one of fileRef, sha256, inline",
        ),
        (json!({"code": "a".repeat(600_000)}), "spec.code: Too long"),
    ] {
        let text = refuse(spec);
        assert!(text.contains(expected), "{expected}: {}", text.chars().take(600).collect::<String>());
    }
    let broken = kubectl.fail(&["create", "-f", "-"], "{");
    assert!(broken.contains("error"), "{broken}");
    assert_eq!(kubectl.run(&["get", "cex", "-o", "name"], ""), "", "nothing was created");
}

#[test]
fn what_the_schema_cannot_see_ends_as_invalid_with_the_field() {
    let carrel = Carrel::start();
    let kubectl = carrel.kubectl();
    for (spec, field) in [
        (json!({"code": "1", "args": ["a\u{0}b"]}), "args[0]"),
        (json!({"code": "1", "files": [{"path": "a/../../b", "source": {"inline": ""}}]}), "files[0].path"),
        (json!({"code": "1", "variablesJSON": "[1]"}), "variablesJSON"),
        (json!({"code": "1", "variablesJSON": "{\"1x\": 1}"}), "variablesJSON"),
        (json!({"code": "1", "tool": {"inputJSON": "5"}}), "tool.inputJSON"),
    ] {
        let finished = kubectl.execute(&spec);
        assert_eq!(finished["status"]["reason"], "Invalid", "{finished:#}");
        let named = finished["status"]["failure"]["field"].as_str().unwrap_or_default();
        assert!(named.contains(field), "{named} should name {field}");
        assert_eq!(
            finished["status"]["conditions"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|c| c["status"] == "True")
                .count(),
            2
        );
    }
}

#[test]
fn a_missing_file_is_named() {
    let carrel = Carrel::start();
    let finished = carrel.kubectl().execute(&json!({"codeFrom": {"fileRef": {"name": "nothing"}}}));
    assert_eq!(finished["status"]["reason"], "FileUnavailable", "{finished:#}");
    assert_eq!(finished["status"]["failure"]["value"], "nothing");
    assert!(finished["status"]["failure"]["field"].as_str().unwrap().contains("codeFrom"), "{finished:#}");
}

#[test]
fn an_object_above_its_size_budget_ends_as_invalid() {
    let carrel = Carrel::start();
    // Each part keeps its own bound; together they are more than a spec may have.
    let spec = json!({"code": "a".repeat(400_000), "stdin": "b".repeat(200_000)});
    let finished = carrel.kubectl().execute(&spec);
    assert_eq!(finished["status"]["reason"], "Invalid", "{:#}", finished["status"]);
    let message = finished["status"]["failure"]["message"].as_str().unwrap();
    assert!(message.contains("bytes") && message.contains("codeFrom"), "{message}");
}

#[test]
fn a_spec_cannot_be_changed_and_cancel_cannot_be_taken_back() {
    let carrel = Carrel::start();
    let kubectl = carrel.kubectl();
    let name = kubectl.create(&execution(&json!({"code": "import time; time.sleep(30)"})));
    let patch = |text: &str| kubectl.output(&["patch", "cex", &name, "--type=merge", "-p", text], "");
    let refused = patch(r#"{"spec":{"code":"2"}}"#);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("create a new object, or use generateName"));
    assert!(patch(r#"{"spec":{"cancel":true}}"#).status.success());
    assert!(
        String::from_utf8_lossy(&patch(r#"{"spec":{"cancel":false}}"#).stderr)
            .contains("cannot be taken back")
    );
    let _ = kubectl.run(&["wait", "--for=condition=Finished", &format!("cex/{name}"), "--timeout=60s"], "");
    assert_eq!(kubectl.get("cex", &name)["status"]["reason"], "Cancelled");
}
