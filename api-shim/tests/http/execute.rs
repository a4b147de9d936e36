//! One program, its answer, and what its request may not say.

use super::*;

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
    let service = service_with(ending(completed("")), |config| config.body.limit = 64).await;
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
            json!({"reason": "CapacityUnavailable", "failure": {"cause": "QuotaExceeded", "message": "q"}}),
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
