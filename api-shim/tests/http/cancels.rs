//! What nobody waits for any more is ended, and nothing else.

use super::*;

#[tokio::test]
async fn a_create_whose_answer_was_lost_finds_its_own_object() {
    let service = service(ending(completed("once"))).await;
    service.api.creates_that_fail.store(1, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(execute(&service, &json!({"code": ""})).await.json()["stdout"], "once");
    assert_eq!(service.api.all("codeexecutions").len(), 1);
}

fn is_cancelled(service: &Service, code: &str) -> bool {
    let objects = service.api.all("codeexecutions");
    objects.iter().any(|object| object["spec"]["code"] == code && object["spec"]["cancel"] == json!(true))
}

async fn open_stream(service: &Service, code: &str) -> axum::body::BodyDataStream {
    let sent = request("POST", "/v1/execute/stream").body(Body::from(json!({"code": code}).to_string()));
    let response = service.router.clone().oneshot(sent.expect("a request")).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body().into_data_stream();
    drop(futures::poll!(body.next()));
    body
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_ends_the_run_and_one_that_leaves_a_request_does_not() {
    let service = service(Box::new(|_| vec![json!({"phase": "Running"})])).await;
    let stream = open_stream(&service, "stream").await;
    let plain = request("POST", "/v1/execute").body(Body::from(json!({"code": "plain"}).to_string()));
    let client = tokio::spawn(service.router.clone().oneshot(plain.expect("a request")));
    until("created", || service.api.all("codeexecutions").len() == 2).await;
    // The plain one leaves first: when the stream's run is cancelled, its own would have been before.
    client.abort();
    assert!(client.await.expect_err("no answer yet").is_cancelled());
    drop(stream);
    until("cancelled", || is_cancelled(&service, "stream")).await;
    assert!(!is_cancelled(&service, "plain"));
    let objects = service.api.all("codeexecutions");
    let mut object = objects.into_iter().find(|object| object["spec"]["code"] == "plain").expect("there");
    object["status"] = completed("to the end");
    service.api.put("codeexecutions", object);
    let ended = "code_interpreter_executions_completed_total{operation=\"execute\",outcome=\"ok\"} 1";
    let metrics =
        async || send(&service, request("GET", "/metrics").body(Body::empty()).expect("sent")).await;
    while !metrics().await.text.lines().any(|line| line == ended) {
        tokio::task::yield_now().await;
    }
    assert!(!is_cancelled(&service, "plain"));
}

#[tokio::test]
async fn a_cancel_that_fails_is_tried_until_it_works() {
    let service = service(Box::new(|_| vec![json!({"phase": "Running"})])).await;
    service.api.patches_that_fail.store(3, std::sync::atomic::Ordering::Relaxed);
    drop(open_stream(&service, "stream").await);
    until("cancelled", || is_cancelled(&service, "stream")).await;
    assert_eq!(service.api.patches_that_fail.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_create_that_nobody_answers_is_cancelled_when_its_object_appears_after_all() {
    let service = service(Box::new(|_| vec![json!({"phase": "Running"})])).await;
    service.api.hides_creates.store(true, std::sync::atomic::Ordering::Relaxed);
    let answer = execute(&service, &json!({"code": "late"})).await;
    assert_eq!(
        (answer.status, answer.json()),
        (StatusCode::INTERNAL_SERVER_ERROR, json!({"detail": "Internal Server Error"}))
    );
    assert!(service.api.all("codeexecutions").is_empty());
    let late = service.api.hidden.lock().take().expect("carried out late");
    service.api.put("codeexecutions", late);
    until("cancelled", || is_cancelled(&service, "late")).await;
}
