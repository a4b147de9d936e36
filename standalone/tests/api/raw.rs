//! Requests as they go over the wire, where this API is not compared with a real one (`tests/parity`).

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
async fn unknown_and_duplicate_fields_are_warned_of() {
    let test = open().await;
    let body = r#"{"apiVersion": "test.dev/v1", "kind": "Widget", "metadata": {"name": "x"},
        "spec": {"code": "x", "foo": 1, "code": "x"}}"#;
    for (validation, warnings) in [("Warn", 2), ("Ignore", 0)] {
        let path = format!("{WIDGETS}?dryRun=All&fieldValidation={validation}");
        let answer = send(&test, "POST", &path, "application/json", body).await;
        assert_eq!((answer.code, answer.warnings.len()), (201, warnings));
        if warnings > 0 {
            assert_eq!(answer.warnings[1], "299 - \"unknown field \\\"spec.foo\\\"\"");
        }
    }
}

#[tokio::test]
async fn a_nul_is_a_character_like_others() {
    let test = open().await;
    let answer = post(&test, "", &widget("x", json!({"code": "a\u{0}b"}))).await;
    assert_eq!((answer.code, &answer.body["spec"]["code"]), (201, &json!("a\u{0}b")));
}

#[tokio::test]
async fn a_version_to_come_is_not_waited_for() {
    let test = open().await;
    assert_eq!(get(&test, &format!("{WIDGETS}?resourceVersion=999999")).await.code, 504);
}

#[tokio::test]
async fn definitions_cannot_be_made() {
    let test = open().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(send(&test, "POST", definitions, "application/json", "{}").await.code, 405);
}

#[tokio::test]
async fn events_are_selected_in_both_views() {
    let test = open().await;
    let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "regarding": {"kind": "Widget", "name": "x", "namespace": "default"}, "note": "hello", "reason": "Ran",
        "type": "Normal", "action": "Run", "reportingController": "test.dev/c", "reportingInstance": "i",
        "eventTime": "2026-01-01T00:00:00.000000Z"});
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    assert_eq!(send(&test, "POST", path, "application/json", event.to_string()).await.code, 201);
    let core = "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3D";
    let view = format!("{path}?fieldSelector=regarding.name%3D");
    for (query, found) in [(format!("{core}x"), 1), (format!("{core}y"), 0), (format!("{view}y"), 0)] {
        assert_eq!(get(&test, &query).await.body["items"].as_array().unwrap().len(), found, "{query}");
    }
}

#[tokio::test]
async fn a_token_is_reviewed() {
    let test = open().await;
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    for (token, ours) in [(test.api.token(), true), ("guess", false)] {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let answer = send(&test, "POST", path, "application/json", review.to_string()).await;
        assert_eq!(answer.body["status"]["authenticated"], ours);
    }
}
