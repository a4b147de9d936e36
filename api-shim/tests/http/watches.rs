//! Watches that break: whoever waits still gets his answer.

use super::*;

type Waiting = tokio::task::JoinHandle<Result<axum::response::Response, std::convert::Infallible>>;

/// A request whose execution runs, and its object.
async fn waiting(service: &Service) -> (Waiting, Value) {
    let body = Body::from(json!({"code": ""}).to_string());
    let sent = service.router.clone().oneshot(request("POST", "/v1/execute").body(body).expect("a request"));
    let waiting = tokio::spawn(sent);
    until("created", || !service.api.all("codeexecutions").is_empty()).await;
    let object = service.api.all("codeexecutions").pop().expect("an execution");
    (waiting, object)
}

fn end(service: &Service, mut object: Value) {
    object["status"] = completed("the end");
    service.api.put("codeexecutions", object);
}

async fn answered(waiting: Waiting) -> String {
    let answer = tokio::time::timeout(Duration::from_mins(1), waiting).await.expect("an answer in time");
    let answer = answer.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    String::from_utf8_lossy(&answer.into_body().collect().await.expect("a body").to_bytes()).into_owned()
}

fn running() -> Script {
    Box::new(|_| vec![json!({"phase": "Running"})])
}

#[tokio::test]
async fn an_end_while_the_watch_is_cut_is_found_when_it_begins_anew() {
    let service = service(running()).await;
    let (waiting, object) = waiting(&service).await;
    cut(&service, &["default"], Watches { cut: true, ..Watches::default() }).await;
    end(&service, object);
    mend(&service);
    assert!(answered(waiting).await.contains("the end"));
}

#[tokio::test]
async fn an_end_after_the_watch_was_cut_is_told_by_the_next_one() {
    let service = service(running()).await;
    let (waiting, object) = waiting(&service).await;
    cut(&service, &["default"], Watches { cut: true, ..Watches::default() }).await;
    mend(&service);
    let ready = request("GET", "/ready").body(Body::empty()).expect("a request");
    assert_eq!(send(&service, ready).await.status, StatusCode::OK, "it waits for the next one");
    end(&service, object);
    assert!(answered(waiting).await.contains("the end"));
}

#[tokio::test]
async fn an_api_that_is_away_for_a_while_loses_nobody() {
    let service = service(running()).await;
    let (waiting, object) = waiting(&service).await;
    cut(&service, &["default"], Watches { cut: true, ..Watches::default() }).await;
    *service.api.forbidden.lock() = Some("default".to_owned());
    end(&service, object);
    let refusals = || service.api.refusals.load(std::sync::atomic::Ordering::Relaxed);
    until("asked in vain", || refusals() >= 2).await;
    assert!(!waiting.is_finished());
    *service.api.forbidden.lock() = None;
    mend(&service);
    assert!(answered(waiting).await.contains("the end"));
}

#[tokio::test]
async fn an_end_of_which_the_history_is_gone_is_found_in_the_next_list() {
    let service = service(running()).await;
    let (waiting, object) = waiting(&service).await;
    cut(&service, &["default"], Watches { gone: true, ..Watches::default() }).await;
    end(&service, object);
    assert!(answered(waiting).await.contains("the end"), "no watch, but lists");
    mend(&service);
    let first = service.api.all("codeexecutions").len();
    assert_eq!(first, 1, "nothing was made twice");
}

#[tokio::test]
async fn an_end_that_a_silent_watch_does_not_tell_is_looked_for() {
    let service = service_with(running(), |config| config.silence = Duration::from_millis(20)).await;
    let (waiting, object) = waiting(&service).await;
    service.api.watches.send_replace(Watches { silent: true, ..Watches::default() });
    end(&service, object);
    assert!(answered(waiting).await.contains("the end"));
}

#[tokio::test]
async fn an_object_that_goes_while_the_watch_is_cut_is_not_waited_for() {
    let service = service(running()).await;
    let (waiting, _) = waiting(&service).await;
    cut(&service, &["default"], Watches { cut: true, ..Watches::default() }).await;
    service.api.objects.lock().retain(|(_, plural, _), _| plural != "codeexecutions");
    mend(&service);
    let answer = tokio::time::timeout(Duration::from_mins(1), waiting).await.expect("an answer in time");
    let status = answer.expect("no panic").expect("an answer").status();
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_service_that_cannot_watch_is_not_ready_and_begins_nothing() {
    let api = FakeApi::new(ending(completed("")));
    api.put("sandboxpools", pool_in("default"));
    *api.forbidden.lock() = Some("default".to_owned());
    let service = service_on(api, Arc::new(NoLiveOutput), |config| {
        config.health.check_timeout = Duration::from_millis(20);
        config.sync = Duration::from_millis(20);
    })
    .await;
    let ready = || send(&service, request("GET", "/ready").body(Body::empty()).expect("a request"));
    let answer = ready().await;
    let message = answer.json()["message"].as_str().expect("a message").to_owned();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(message, "the Kubernetes API does not show the executions");
    let refused = execute(&service, &json!({"code": ""})).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers["retry-after"], "10");
    let detail = "The service is unavailable. Retry after the Retry-After delay.";
    assert_eq!(refused.json(), json!({"detail": detail}));
    *service.api.forbidden.lock() = None;
    let again = async { while ready().await.status != StatusCode::OK {} };
    tokio::time::timeout(Duration::from_mins(1), again).await.expect("ready again");
    assert_eq!(execute(&service, &json!({"code": ""})).await.status, StatusCode::OK);
}
