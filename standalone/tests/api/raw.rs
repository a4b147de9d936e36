//! Requests as they go over the wire: bodies, texts of refusals, query parameters, tables, discovery.

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use crate::support::{TestApi, open};

const WIDGETS: &str = "/apis/test.dev/v1/namespaces/default/widgets";

struct Answer {
    code: u16,
    body: Value,
    warnings: Vec<String>,
}

async fn send(test: &TestApi, method: &str, path: &str, media: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://local{path}"))
        .header("content-type", media)
        .body(Body::from(body.into()))
        .unwrap();
    let response: Response<Body> = test.client.send(request).await.unwrap();
    let code = response.status().as_u16();
    let warnings =
        response.headers().get_all("warning").iter().map(|one| one.to_str().unwrap().to_owned()).collect();
    let bytes = response.into_body().collect_bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    Answer { code, body, warnings }
}

async fn post(test: &TestApi, query: &str, body: &Value) -> Answer {
    send(test, "POST", &format!("{WIDGETS}{query}"), "application/json", body.to_string()).await
}

async fn get(test: &TestApi, path: &str) -> Answer {
    send(test, "GET", path, "", "").await
}

fn widget(name: &str, spec: impl Into<Value>) -> Value {
    json!({"apiVersion": "test.dev/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec.into()})
}

#[tokio::test]
async fn invalid_objects_are_refused_in_the_servers_words() {
    let test = open().await;
    let cases = [
        (json!({"color": "Red"}), vec!["spec.code: Required value"]),
        (
            json!({"code": "x", "color": "Blue"}),
            vec![r#"spec.color: Unsupported value: "Blue": supported values: "Red", "Green""#],
        ),
        (
            json!({"code": 3}),
            vec![
                r#"spec.code: Invalid value: "integer": spec.code in body must be of type string: "integer""#,
            ],
        ),
        (
            json!({"code": "x", "replicas": 101}),
            vec![
                "spec.replicas: Invalid value: 101: spec.replicas in body should be less than or equal to 100",
            ],
        ),
        (
            json!({"code": "x", "low": 2, "high": 1}),
            vec!["spec.low: Invalid value: low must not be above high"],
        ),
        (
            json!({"code": "x", "env": [{"name": "A"}, {"name": "A"}]}),
            vec![r#"spec.env[1]: Duplicate value: {"name":"A"}"#],
        ),
        (
            json!({"code": "x", "when": "today", "name": "UP"}),
            vec![
                r#"spec.name: Invalid value: "UP": spec.name in body should match '^[a-z]+$'"#,
                r#"spec.when: Invalid value: "today": spec.when in body must be of type date-time: "today""#,
            ],
        ),
    ];
    for (spec, texts) in cases {
        let answer = post(&test, "", &widget("x", spec)).await;
        assert_eq!((answer.code, &answer.body["reason"]), (422, &json!("Invalid")), "{}", answer.body);
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.starts_with("Widget.test.dev \"x\" is invalid: "), "{message}");
        for text in texts {
            assert!(message.contains(text), "{message}\n{text}");
        }
        assert!(answer.body["details"]["causes"][0]["field"].is_string());
    }
}

#[tokio::test]
async fn transition_rules_hold_on_update_only() {
    let test = open().await;
    assert_eq!(post(&test, "", &widget("x", json!({"code": "a"}))).await.code, 201);
    let media = "application/merge-patch+json";
    let path = format!("{WIDGETS}/x");
    let refused = send(&test, "PATCH", &path, media, r#"{"spec": {"code": "b"}}"#).await;
    assert_eq!(refused.code, 422);
    assert_eq!(
        refused.body["message"],
        "Widget.test.dev \"x\" is invalid: spec: Invalid value: code is immutable"
    );
    assert_eq!(send(&test, "PATCH", &path, media, r#"{"spec": {"replicas": 2}}"#).await.code, 200);
}

#[tokio::test]
async fn unknown_and_duplicate_fields_follow_field_validation() {
    let test = open().await;
    let body = r#"{"apiVersion": "test.dev/v1", "kind": "Widget", "metadata": {"name": "x"},
        "spec": {"code": "x", "foo": 1, "code": "x"}}"#;
    let path = |query: &str| format!("{WIDGETS}?dryRun=All&{query}");
    let strict = send(&test, "POST", &path("fieldValidation=Strict"), "application/json", body).await;
    assert_eq!(strict.code, 400);
    assert_eq!(
        strict.body["message"],
        "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: duplicate field \
         \"spec.code\", unknown field \"spec.foo\""
    );
    let warn = send(&test, "POST", &path("fieldValidation=Warn"), "application/json", body).await;
    assert_eq!((warn.code, warn.warnings.len()), (201, 2));
    assert_eq!(warn.warnings[1], "299 - \"unknown field \\\"spec.foo\\\"\"");
    assert!(warn.body["spec"].get("foo").is_none());
    let ignore = send(&test, "POST", &path("fieldValidation=Ignore"), "application/json", body).await;
    assert_eq!((ignore.code, ignore.warnings.len()), (201, 0));
    assert_eq!(get(&test, &format!("{WIDGETS}/x")).await.code, 404);
}

#[tokio::test]
async fn bodies_and_objects_have_their_limits() {
    let test = open().await;
    let huge = widget("x", json!({"code": "x".repeat(3 * 1024 * 1024)}));
    let answer = post(&test, "", &huge).await;
    assert_eq!(
        (answer.code, &answer.body["message"]),
        (413, &json!("Request entity too large: limit is 3145728"))
    );
    let mut large = widget("x", json!({"code": "x".repeat(1_400_000)}));
    assert_eq!(post(&test, "", &large).await.code, 201);
    large["metadata"] = json!({"name": "y", "annotations": {"a": "x".repeat(250_000)}});
    let answer = post(&test, "", &large).await;
    assert_eq!((answer.code, &answer.body["message"]), (500, &json!("etcdserver: request is too large")));
}

#[tokio::test]
async fn broken_requests_are_refused() {
    let test = open().await;
    let json_media = "application/json";
    for (media, body, code) in [
        (json_media, &b"{"[..], 400),
        (json_media, b"[]", 400),
        (json_media, b"{\"kind\": \"Widget\", \"apiVersion\": \"test.dev/v2\"}", 400),
        (json_media, b"{\"kind\": \"Gadget\", \"apiVersion\": \"test.dev/v1\"}", 400),
        (json_media, b"{\"apiVersion\": \"test.dev/v1\"}", 400),
        (json_media, b"\xff\xfe", 400),
        ("text/csv", b"a,b", 415),
    ] {
        let answer = send(&test, "POST", WIDGETS, media, body).await;
        assert_eq!(answer.code, code, "{}", answer.body);
        assert_eq!(answer.body["kind"], "Status");
    }
    let wrong = widget("x", json!({"code": "x"}));
    for (metadata, code) in [
        (json!({"name": "Upper"}), 422),
        (json!({"name": "x", "labels": {"a": "b c"}}), 422),
        (json!({"name": "x", "labels": {"a": 1}}), 400),
        (json!({"name": "x", "namespace": "kube-system"}), 400),
        (json!({"name": "x", "resourceVersion": "1"}), 500),
        (json!({}), 422),
    ] {
        let mut body = wrong.clone();
        body["metadata"] = metadata;
        let answer = post(&test, "", &body).await;
        assert_eq!(answer.code, code, "{}", answer.body);
    }
    let nul = widget("x", json!({"code": "a\u{0}b"}));
    let answer = post(&test, "", &nul).await;
    assert_eq!((answer.code, &answer.body["spec"]["code"]), (201, &json!("a\u{0}b")));
}

#[tokio::test]
async fn patches_come_in_three_forms() {
    let test = open().await;
    post(&test, "", &widget("x", json!({"code": "x"}))).await;
    let path = format!("{WIDGETS}/x");
    let ops = r#"[{"op": "test", "path": "/spec/code", "value": "x"},
        {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]"#;
    let answer = send(&test, "PATCH", &path, "application/json-patch+json", ops).await;
    assert_eq!((answer.code, &answer.body["metadata"]["labels"]["a"]), (200, &json!("b")));
    let failing = r#"[{"op": "test", "path": "/spec/code", "value": "y"}]"#;
    assert_eq!(send(&test, "PATCH", &path, "application/json-patch+json", failing).await.code, 422);
    for media in ["application/strategic-merge-patch+json", "application/apply-patch+yaml", "text/plain"] {
        assert_eq!(send(&test, "PATCH", &path, media, "{}").await.code, 415, "{media}");
    }
    let stale = r#"{"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 5}}"#;
    assert_eq!(send(&test, "PATCH", &path, "application/merge-patch+json", stale).await.code, 409);
    let renamed = r#"{"metadata": {"name": "y"}}"#;
    assert_eq!(send(&test, "PATCH", &path, "application/merge-patch+json", renamed).await.code, 400);
}

#[tokio::test]
async fn yaml_and_generated_names_work() {
    let test = open().await;
    let body =
        "apiVersion: test.dev/v1\nkind: Widget\nmetadata: {generateName: run-}\nspec:\n  code: |\n    a\n";
    let answer = send(&test, "POST", WIDGETS, "application/yaml", body).await;
    assert_eq!((answer.code, &answer.body["spec"]["code"]), (201, &json!("a\n")));
    assert_eq!(answer.body["metadata"]["name"].as_str().unwrap().len(), "run-".len() + 5);
}

#[tokio::test]
async fn scale_reads_and_sets_replicas() {
    let test = open().await;
    post(&test, "", &widget("x", json!({"code": "x"}))).await;
    let path = format!("{WIDGETS}/x/scale");
    let scale = get(&test, &path).await.body;
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(1)));
    let media = "application/merge-patch+json";
    let answer = send(&test, "PATCH", &path, media, r#"{"spec": {"replicas": 4}}"#).await;
    assert_eq!((answer.code, &answer.body["spec"]["replicas"]), (200, &json!(4)));
    let beyond = send(&test, "PATCH", &path, media, r#"{"spec": {"replicas": 400}}"#).await;
    assert_eq!(beyond.code, 422);
}

#[tokio::test]
async fn selectors_and_options_are_checked() {
    let test = open().await;
    for (query, code) in [
        ("labelSelector=a%3Db", 200),
        ("labelSelector=a%20b", 400),
        ("fieldSelector=spec.color%3DRed", 200),
        ("fieldSelector=spec.code%3Dx", 400),
        ("resourceVersion=x", 422),
        ("resourceVersion=999999", 504),
        ("resourceVersionMatch=Exact", 422),
        ("continue=nonsense", 400),
        ("watch=1&resourceVersionMatch=NotOlderThan", 422),
    ] {
        let answer = get(&test, &format!("{WIDGETS}?{query}")).await;
        assert_eq!(answer.code, code, "{query}: {}", answer.body);
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let test = open().await;
    let answer = get(&test, "/apis/test.dev/v1/namespaces/default/gadgets").await;
    assert_eq!(answer.code, 404);
    assert_eq!(answer.body["message"], "the server could not find the requested resource");
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(get(&test, &format!("{definitions}/widgets.test.dev")).await.code, 200);
    assert_eq!(send(&test, "POST", definitions, "application/json", "{}").await.code, 405);
    assert_eq!(send(&test, "POST", "/apis/test.dev/v1/widgets", "application/json", "{}").await.code, 405);
}

#[tokio::test]
async fn events_are_one_store_with_two_views() {
    let test = open().await;
    let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "regarding": {"kind": "Widget", "name": "x", "namespace": "default"}, "note": "hello", "reason": "Ran",
        "type": "Normal", "action": "Run", "reportingController": "test.dev/c", "reportingInstance": "i",
        "eventTime": "2026-01-01T00:00:00.000000Z"});
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    let made = send(&test, "POST", path, "application/json", event.to_string()).await;
    assert_eq!((made.code, &made.body["note"]), (201, &json!("hello")), "{}", made.body);
    let core = "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dx";
    let listed = get(&test, core).await.body;
    assert_eq!(listed["items"][0]["message"], "hello");
    assert_eq!(
        get(&test, &format!("{path}?fieldSelector=regarding.name%3Dy")).await.body["items"],
        json!([])
    );
}

#[tokio::test]
async fn requests_are_counted_as_the_api_server_counts_them() {
    let test = open().await;
    post(&test, "", &widget("x", json!({"code": "x"}))).await;
    send(&test, "PATCH", &format!("{WIDGETS}/x/status"), "application/merge-patch+json", r#"{"status": {}}"#)
        .await;
    let metrics = get(&test, "/metrics").await.body;
    let metrics = metrics.as_str().unwrap();
    for line in [
        r#"code="201",group="test.dev",resource="widgets",subresource="",verb="POST"} 1"#,
        r#"code="200",group="test.dev",resource="widgets",subresource="status",verb="PATCH"} 1"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn secrets_and_reviews_work() {
    let test = open().await;
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}});
    let path = "/api/v1/namespaces/default/secrets";
    let made = send(&test, "POST", path, "application/json", secret.to_string()).await;
    assert_eq!(made.body["data"]["k"], "dg==");
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    for (token, ours) in [(test.api.token(), true), ("guess", false)] {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let answer = send(&test, "POST", path, "application/json", review.to_string()).await;
        assert_eq!(answer.body["status"]["authenticated"], ours);
    }
}

#[tokio::test]
async fn collections_are_deleted_by_selector() {
    let test = open().await;
    for (name, color) in [("a", "Red"), ("b", "Green"), ("c", "Red")] {
        post(&test, "", &widget(name, json!({"code": "x", "color": color}))).await;
    }
    let query = format!("{WIDGETS}?fieldSelector=spec.color%3DRed");
    assert_eq!(send(&test, "DELETE", &query, "", "").await.code, 200);
    let left = get(&test, WIDGETS).await.body;
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn deletes_keep_their_preconditions() {
    let test = open().await;
    post(&test, "", &widget("a", json!({"code": "x"}))).await;
    let path = format!("{WIDGETS}/a");
    for condition in [json!({"uid": "other"}), json!({"resourceVersion": "1"})] {
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": condition});
        let answer = send(&test, "DELETE", &path, "application/json", options.to_string()).await;
        assert_eq!(answer.code, 409, "{}", answer.body);
    }
    assert_eq!(send(&test, "DELETE", &format!("{path}?propagationPolicy=Never"), "", "").await.code, 422);
    assert_eq!(send(&test, "DELETE", &path, "", "").await.code, 200);
}
