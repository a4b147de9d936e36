//! The service over its routes, against an API in memory: what a client sends and what it reads.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests only by their attribute, and these files hold nothing but tests and their helpers"
)]

mod support;

use std::{sync::Arc, time::Duration};

use api_shim::{App, ShimConfig, auth::Tokens, guard::Connection, live::NoLiveOutput};
use axum::{Router, body::Body};
use blobs::{Blobs, BlobsConfig};
use futures::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{FakeApi, Script};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

struct Service {
    router: Router,
    api: Arc<FakeApi>,
    blobs: Blobs,
    _folder: TempDir,
    _background: DropGuard,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

async fn service_with(script: Script, change: impl FnOnce(&mut ShimConfig)) -> Service {
    let api = FakeApi::new(script);
    api.put(
        "sandboxpools",
        json!({"apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool",
        "metadata": {"name": "default"}, "spec": {}, "status": {"isolation": []}}),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = Blobs::open(BlobsConfig::local(folder.path().join("blobs"))).await.expect("a store");
    let mut config = ShimConfig::standalone("default");
    change(&mut config);
    let app = App::new(config, api.client(), blobs.clone(), Arc::new(NoLiveOutput));
    let stop = CancellationToken::new();
    let (router, background) = (app.router(), stop.clone());
    tokio::spawn(async move { app.run_background(background).await });
    Service { router, api, blobs, _folder: folder, _background: stop.drop_guard() }
}

async fn service(script: Script) -> Service {
    service_with(script, |_| {}).await
}

/// Every execution ends with these members of a status.
fn ending(status: Value) -> Script {
    Box::new(move |_| vec![json!({"phase": "Running"}), status.clone()])
}

fn completed(stdout: &str) -> Value {
    json!({"phase": "Succeeded", "reason": "Completed", "exitCode": 0, "completionTime": "2026-11-21T00:00:00Z",
        "stdout": {"text": stdout, "sizeBytes": stdout.len()}, "stderr": {"text": "", "sizeBytes": 0},
        "timings": {"queuedMilliseconds": 0, "startMilliseconds": 1, "runMilliseconds": 10, "collectMilliseconds": 1}})
}

fn request(method: &str, path: &str) -> http::request::Builder {
    let connection = Connection {
        peer: "127.0.0.1:5000".parse().expect("an address"),
        local: "127.0.0.1:8000".parse().expect("an address"),
    };
    Request::builder().method(method).uri(path).header("host", "localhost:8000").extension(connection)
}

async fn send(service: &Service, request: Request<Body>) -> Answer {
    let response = service.router.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

async fn post(service: &Service, path: &str, body: impl Into<Body>) -> Answer {
    send(service, request("POST", path).body(body.into()).expect("a request")).await
}

async fn execute(service: &Service, body: &Value) -> Answer {
    post(service, "/v1/execute", body.to_string()).await
}

#[tokio::test]
async fn a_program_runs_in_both_dialects() {
    let service = service(ending(completed("hi\n"))).await;
    let bee = execute(&service, &json!({"source_code": "print('hi')"})).await;
    assert_eq!(
        (bee.status, bee.json()),
        (StatusCode::OK, json!({"stdout": "hi\n", "stderr": "", "exit_code": 0, "files": {}}))
    );
    let onyx = execute(&service, &json!({"code": "print('hi')"})).await;
    let expected = json!({"stdout": "hi\n", "stderr": "", "exit_code": 0, "timed_out": false, "duration_ms": 11, "files": []});
    assert_eq!((onyx.status, onyx.json()), (StatusCode::OK, expected));
    let tgpt = execute(&service, &json!({"source_code": "", "chat_id": "c1"})).await.json();
    assert_eq!((tgpt["chat_id"].as_str(), &tgpt["files_metadata"]), (Some("c1"), &json!({})));
}

#[tokio::test]
async fn what_is_created_is_marked_with_replica_and_request() {
    let service = service(ending(completed(""))).await;
    let sent =
        request("POST", "/v1/execute").header("x-request-id", "abc-1").body(Body::from("{\"code\":\"\"}"));
    let answer = send(&service, sent.expect("a request")).await;
    assert_eq!(answer.headers["x-request-id"], "abc-1");
    let object = service.api.all("codeexecutions").pop().expect("an execution");
    assert_eq!(object["metadata"]["annotations"]["carrel.dev/request-id"], "abc-1");
    assert!(object["metadata"]["labels"]["carrel.dev/replica"].is_string());
    assert_eq!(object["spec"]["ttlSecondsAfterFinished"], 60);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_finds_its_own_object() {
    let service = service(ending(completed("once"))).await;
    service.api.creates_that_fail.store(1, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(execute(&service, &json!({"code": ""})).await.json()["stdout"], "once");
    assert_eq!(service.api.all("codeexecutions").len(), 1);
}

#[tokio::test]
async fn refused_bodies_are_told_and_create_nothing() {
    let service = service(ending(completed(""))).await;
    let unreadable = post(&service, "/v1/execute", &b"\"\xff\""[..]).await;
    assert_eq!(unreadable.status, StatusCode::BAD_REQUEST);
    assert_eq!(unreadable.json(), json!({"detail": "There was an error parsing the body"}));
    let empty = post(&service, "/v1/execute", "").await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(empty.json()["detail"][0]["loc"], json!(["body"]));
    let nothing = execute(&service, &json!({})).await.json();
    assert_eq!(
        nothing,
        json!({"detail": [{"type": "missing", "loc": ["body", "source_code"], "msg": "Field required", "input": {}}]})
    );
    let late = execute(&service, &json!({"code": "", "timeout_ms": 60_001})).await;
    assert_eq!(
        (late.status, late.json()),
        (StatusCode::UNPROCESSABLE_ENTITY, json!({"detail": "timeout_ms exceeds maximum of 60000 ms"}))
    );
    let chat = execute(&service, &json!({"source_code": "", "chat_id": ""})).await;
    assert_eq!(
        (chat.status, chat.json()),
        (StatusCode::FORBIDDEN, json!({"detail": "Chat ID required but missing"}))
    );
    let forced = request("POST", "/v1/execute").header("x-carrel-dialect", "other").body(Body::from("{}"));
    let forced = send(&service, forced.expect("a request")).await;
    assert_eq!(
        (forced.status, forced.json()),
        (StatusCode::BAD_REQUEST, json!({"detail": "Unknown dialect"}))
    );
    assert!(service.api.all("codeexecutions").is_empty());
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let service = service_with(ending(completed("")), |config| config.max_body_bytes = 64).await;
    let answer = execute(&service, &json!({"code": "x".repeat(64)})).await;
    assert_eq!(
        (answer.status, answer.json()),
        (StatusCode::PAYLOAD_TOO_LARGE, json!({"detail": "Request body too large"}))
    );
}

#[tokio::test]
async fn a_source_of_three_mebibytes_travels_as_a_file() {
    let service = service(ending(completed("long"))).await;
    let source = "x = 1\n".repeat(512 * 1024);
    let answer = execute(&service, &json!({"code": source})).await;
    assert_eq!(answer.json()["stdout"], "long");
    let spec = &service.api.all("codeexecutions")[0]["spec"];
    let file = &service.api.all("sandboxfiles")[0];
    assert_eq!(spec["codeFrom"]["fileRef"]["name"], file["metadata"]["name"]);
    assert!(spec.get("code").is_none());
    assert_eq!(file["spec"]["source"]["staged"]["sizeBytes"], source.len());
}

#[tokio::test]
async fn stored_output_is_fetched_and_cut() {
    let long = "y".repeat(100_000);
    let status = Arc::new(parking_lot::Mutex::new(Value::Null));
    let script = Arc::clone(&status);
    let service = service_with(Box::new(move |_| vec![script.lock().clone()]), |config| {
        config.spec.output_bytes = 100_000;
    })
    .await;
    let stored = service.blobs.put_bytes(long.clone().into()).await.expect("stored");
    let mut ended = completed("yy");
    ended["stdout"] =
        json!({"text": "yy", "sizeBytes": 200_000, "truncated": true, "storedAs": stored.digest.as_str()});
    *status.lock() = ended;
    let stdout =
        execute(&service, &json!({"code": ""})).await.json()["stdout"].as_str().expect("text").to_owned();
    assert_eq!(stdout, format!("{}\n...[truncated]", "y".repeat(99_968)));
}

#[tokio::test]
async fn every_platform_reason_has_its_answer() {
    for (status, code, detail) in [
        (json!({"reason": "Lost"}), 500, "Internal Server Error"),
        (json!({"reason": "Invalid"}), 500, "Internal Server Error"),
        (
            json!({"reason": "StartDeadlineExceeded"}),
            503,
            "Executor capacity unavailable (unschedulable): no sandbox became ready in time",
        ),
        (
            json!({"reason": "CapacityUnavailable", "failure": {"message": "Quota: exceeded quota: q"}}),
            503,
            "Executor capacity unavailable (quota_exceeded): the quota for sandboxes is used up",
        ),
    ] {
        let mut ended = status;
        ended["phase"] = json!("Failed");
        let service = service(ending(ended)).await;
        let answer = execute(&service, &json!({"code": ""})).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (code, json!({"detail": detail})));
        assert_eq!(answer.headers.get("retry-after").is_some(), code == 503);
    }
}

#[tokio::test]
async fn only_a_used_up_quota_of_the_api_is_a_capacity_error() {
    let service = service(ending(completed(""))).await;
    *service.api.refusal.lock() = Some((StatusCode::FORBIDDEN, "is forbidden: exceeded quota: q".to_owned()));
    let answer = execute(&service, &json!({"code": ""})).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "10");
    *service.api.refusal.lock() = Some((StatusCode::FORBIDDEN, "user cannot create".to_owned()));
    assert_eq!(execute(&service, &json!({"code": ""})).await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_busy_replica_says_so() {
    let service = service_with(Box::new(|_| vec![]), |config| {
        config.admission.slots = 1;
        config.admission.wait = Duration::ZERO;
    })
    .await;
    let first = tokio::spawn({
        let (router, body) = (service.router.clone(), json!({"code": ""}).to_string());
        async move {
            router.oneshot(request("POST", "/v1/execute").body(Body::from(body)).expect("a request")).await
        }
    });
    while service.api.all("codeexecutions").is_empty() {
        tokio::task::yield_now().await;
    }
    let refused = execute(&service, &json!({"code": ""})).await;
    assert_eq!(
        (refused.status, &refused.headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &http::HeaderValue::from(2))
    );
    let detail = "Execution capacity on this replica is saturated. Retry after the Retry-After delay.";
    assert_eq!(refused.json(), json!({"detail": detail}));
    // A bad body is told before anybody waits for a slot.
    assert_eq!(execute(&service, &json!({"code": 5})).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    service.api.set_status(&completed("done"));
    assert_eq!(first.await.expect("no panic").expect("an answer").status(), StatusCode::OK);
    let metrics =
        send(&service, request("GET", "/metrics").body(Body::empty()).expect("a request")).await.text;
    for line in [
        "code_interpreter_executions_active{operation=\"execute\"} 0",
        "code_interpreter_executions_limit 1",
        "code_interpreter_executions_rejected_total{operation=\"execute\",status=\"429\",reason=\"saturated\"} 1",
        "code_interpreter_executions_completed_total{operation=\"execute\",outcome=\"ok\"} 1",
        "code_interpreter_admission_wait_seconds_count 1",
        "code_interpreter_execution_duration_seconds_bucket{le=\"300.0\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn inputs_are_found_or_told() {
    let service = service(ending(completed(""))).await;
    let digest = "ab".repeat(32);
    let id = "6f1e0a52-6b0e-4f9e-8f7a-0c1d2e3f4a5b";
    let label = digest.get(..63).expect("digits");
    let file = |name: &str, spec: Value| {
        json!({"apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxFile",
            "metadata": {"name": name, "labels": {"carrel.dev/sha256": label}}, "spec": spec,
            "status": {"phase": "Ready", "sha256": digest}})
    };
    service.api.put(
        "sandboxfiles",
        file("f", json!({"fileName": "a", "isolationKey": "default", "source": {"inline": ""}})),
    );
    service.api.put(
        "sandboxfiles",
        file(id, json!({"fileName": "a", "collection": "onyx", "source": {"inline": ""}})),
    );

    assert_eq!(
        execute(&service, &json!({"source_code": "", "files": {"/workspace/d/x": digest}})).await.status,
        StatusCode::OK
    );
    assert_eq!(
        service.api.all("codeexecutions")[0]["spec"]["files"],
        json!([{"path": "d/x", "source": {"sha256": digest}}])
    );
    let gone = execute(&service, &json!({"source_code": "", "files": {"/workspace//x": "nope"}})).await;
    assert_eq!(
        (gone.status, gone.json()),
        (StatusCode::NOT_FOUND, json!({"detail": "File not found", "path": "/workspace//x"}))
    );
    let foreign =
        execute(&service, &json!({"source_code": "", "chat_id": "c2", "files": {"/workspace/x": digest}}))
            .await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);

    let onyx = |path: &str, id: &str| json!({"code": "", "files": [{"path": path, "file_id": id}]});
    assert_eq!(execute(&service, &onyx("./in.txt", id)).await.status, StatusCode::OK);
    let gone = execute(&service, &onyx("../x", "../nope")).await;
    assert_eq!(
        (gone.status, gone.json()),
        (StatusCode::NOT_FOUND, json!({"detail": "File with ID '../nope' not found for path '../x'."}))
    );
    let bad = execute(&service, &onyx("/x", id)).await;
    assert_eq!(
        (bad.status, bad.json()),
        (StatusCode::UNPROCESSABLE_ENTITY, json!({"detail": "File paths must be relative."}))
    );
}

#[tokio::test]
async fn an_input_that_vanishes_before_the_start_is_told_by_its_key() {
    let failed = json!({"phase": "Failed", "reason": "FileUnavailable", "failure": {"field": "files[0].source", "message": "gone"}});
    let service = service(ending(failed)).await;
    let digest = "ab".repeat(32);
    let label = digest.get(..63).expect("digits");
    service.api.put("sandboxfiles", json!({"apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxFile",
        "metadata": {"name": "f", "labels": {"carrel.dev/sha256": label}},
        "spec": {"fileName": "a", "isolationKey": "default", "source": {"inline": ""}}, "status": {"phase": "Ready", "sha256": digest}}));
    let answer = execute(&service, &json!({"source_code": "", "files": {"/workspace/./x": digest}})).await;
    assert_eq!(
        (answer.status, answer.json()),
        (StatusCode::NOT_FOUND, json!({"detail": "File not found", "path": "/workspace/./x"}))
    );
}

#[tokio::test]
async fn a_stream_has_headers_output_and_a_result() {
    let service = service(ending(completed("hi\n"))).await;
    let answer = post(&service, "/v1/execute/stream", "{\"code\":\"print('hi')\"}").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(answer.headers["cache-control"], "no-cache");
    assert_eq!(answer.headers["x-accel-buffering"], "no");
    let frames: Vec<_> = answer.text.split_terminator("\n\n").collect();
    assert_eq!(frames[0], "event: output\ndata: {\"stream\":\"stdout\",\"data\":\"hi\\n\"}");
    assert_eq!(
        frames[1],
        "event: result\ndata: {\"exit_code\":0,\"timed_out\":false,\"duration_ms\":11,\"files\":[]}"
    );
    assert_eq!(frames.len(), 2);
}

#[tokio::test]
async fn what_is_wrong_with_a_stream_is_decided_before_it_opens() {
    let lost = service(ending(json!({"phase": "Failed", "reason": "StartDeadlineExceeded"}))).await;
    assert_eq!(
        post(&lost, "/v1/execute/stream", "{\"code\":\"\"}").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        post(&lost, "/v1/execute/stream", "{}").await.json()["detail"][0]["loc"],
        json!(["body", "code"])
    );
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_ends_the_run_and_one_that_leaves_a_request_does_not() {
    let running: Script = Box::new(|_| vec![json!({"phase": "Running"})]);
    let service = service(running).await;
    let sent = request("POST", "/v1/execute/stream").body(Body::from("{\"code\":\"\"}")).expect("a request");
    let response = service.router.clone().oneshot(sent).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body().into_data_stream();
    drop(futures::poll!(body.next()));
    drop(body);
    let cancelled = async {
        while service.api.all("codeexecutions")[0]["spec"]["cancel"] != json!(true) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), cancelled).await.expect("cancelled");

    let plain = request("POST", "/v1/execute").body(Body::from("{\"code\":\"\"}")).expect("a request");
    let client = tokio::spawn(service.router.clone().oneshot(plain));
    while service.api.all("codeexecutions").len() < 2 {
        tokio::task::yield_now().await;
    }
    client.abort();
    assert!(client.await.is_err());
    let cancelled = service
        .api
        .all("codeexecutions")
        .iter()
        .filter(|object| object["spec"]["cancel"] == json!(true))
        .count();
    assert_eq!(cancelled, 1);
}

#[tokio::test]
async fn credentials_are_checked_before_anything_else() {
    let mut tokens = Tokens::default();
    tokens.add_file("{\"alice\": \"secret\"}").expect("a file");
    let service = service_with(ending(completed("")), |config| {
        config.guard.authenticated = true;
        config.tokens = tokens;
    })
    .await;
    for path in ["/v1/execute", "/docs", "/nowhere"] {
        let answer = post(&service, path, "").await;
        assert_eq!(
            (answer.status, answer.json()),
            (StatusCode::UNAUTHORIZED, json!({"detail": "Not authenticated"})),
            "{path}"
        );
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let sent = |token: &str| {
        request("POST", "/v1/execute")
            .header("authorization", token)
            .body(Body::from("{\"code\":\"\"}"))
            .expect("a request")
    };
    assert_eq!(send(&service, sent("Bearer wrong")).await.json(), json!({"detail": "Invalid token"}));
    assert_eq!(send(&service, sent("Bearer secret")).await.status, StatusCode::OK);
    assert_eq!(service.api.all("codeexecutions")[0]["spec"]["scope"], "alice");
    for path in ["/health", "/ready", "/metrics"] {
        let open = send(&service, request("GET", path).body(Body::empty()).expect("a request")).await;
        assert_eq!(open.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn the_guard_answers_before_the_body_is_read() {
    let service = service(ending(completed(""))).await;
    let never = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let foreign = request("POST", "/v1/execute")
        .header("origin", "https://evil.example")
        .body(never)
        .expect("a request");
    let answer = send(&service, foreign).await;
    let detail = "Spawn requests must originate from an internal URL / IP";
    assert_eq!((answer.status, answer.json()), (StatusCode::FORBIDDEN, json!({"detail": detail})));
    // What starts nothing is not guarded.
    let health = request("GET", "/health").header("origin", "https://evil.example").body(Body::empty());
    assert_eq!(send(&service, health.expect("a request")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told() {
    let service = service(ending(completed(""))).await;
    let unknown = send(&service, request("GET", "/v1/nowhere").body(Body::empty()).expect("a request")).await;
    assert_eq!((unknown.status, unknown.json()), (StatusCode::NOT_FOUND, json!({"detail": "Not Found"})));
    assert!(unknown.headers.contains_key("x-request-id"));
    let method = send(&service, request("GET", "/v1/execute").body(Body::empty()).expect("a request")).await;
    assert_eq!(
        (method.status, method.json()),
        (StatusCode::METHOD_NOT_ALLOWED, json!({"detail": "Method Not Allowed"}))
    );
    assert_eq!(method.headers["allow"], "POST");
    let leezhu = send(&service, request("GET", "/image/x").body(Body::empty()).expect("a request")).await;
    assert_eq!(leezhu.json(), json!({"error": "Not Found"}));
}

#[tokio::test]
async fn the_service_tells_about_itself() {
    let service = service(ending(completed(""))).await;
    let get =
        async |path: &str| send(&service, request("GET", path).body(Body::empty()).expect("a request")).await;
    assert_eq!(get("/").await.json(), json!({"name": "carrel", "version": "0.5.0"}));
    let ready = get("/ready").await;
    let expected = json!({"status": "ok", "message": null, "version": "0.5.0", "executor_backend": "standalone", "network_isolation": "none"});
    assert_eq!((ready.status, ready.json()), (StatusCode::OK, expected.clone()));
    assert_eq!(get("/health").await.json(), expected);
    assert!(get("/openapi.json").await.json()["paths"]["/v1/execute"].is_object());
    for path in ["/docs", "/redoc"] {
        assert!(get(path).await.text.contains("POST /v1/execute"), "{path}");
    }
    let moved = get("/doc/").await;
    assert!(moved.status.is_redirection() && moved.headers["location"] == "/docs");
}

#[tokio::test]
async fn readiness_fails_without_a_pool() {
    let service =
        service_with(ending(completed("")), |config| "other".clone_into(&mut config.spec.pool)).await;
    let answer = send(&service, request("GET", "/ready").body(Body::empty()).expect("a request")).await;
    assert_eq!(
        (answer.status, answer.json()["status"].as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Some("error"))
    );
}

#[tokio::test]
async fn concurrent_readiness_calls_share_one_check() {
    let service = service(ending(completed(""))).await;
    let ask =
        || async { send(&service, request("GET", "/ready").body(Body::empty()).expect("a request")).await };
    assert_eq!(ask().await.status, StatusCode::OK);
    let before = service.api.reads.load(std::sync::atomic::Ordering::Relaxed);
    let answers = futures::future::join_all((0..16).map(|_| ask())).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(service.api.reads.load(std::sync::atomic::Ordering::Relaxed) - before, 1);
}
