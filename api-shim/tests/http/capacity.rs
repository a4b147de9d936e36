//! Requests that are turned away for want of room.

use super::*;

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
        "carrel_shim_admit_seconds_bucket{le=\"0.001\"} 1",
        "carrel_shim_prepare_seconds_count 2",
        "carrel_shim_create_seconds_count 1",
        "carrel_shim_wait_seconds_count 1",
        "carrel_shim_fetch_seconds_count 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

fn pool(status: &Value) -> Value {
    json!({"apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool",
        "metadata": {"name": "default"}, "spec": {"queue": {"depth": 1}}, "status": status})
}

/// Waits until the service has heard what the pool says.
async fn refused_for_room(service: &Service) -> Answer {
    loop {
        let answer = execute(service, &json!({"code": "early"})).await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            return answer;
        }
    }
}

#[tokio::test]
async fn a_pool_without_room_is_told_before_anything_is_created() {
    let service = service(ending(completed(""))).await;
    assert_eq!(execute(&service, &json!({"code": ""})).await.status, StatusCode::OK, "it says nothing yet");
    service.api.put("sandboxpools", pool(&json!({"room": 0, "queued": 1})));
    let refused = refused_for_room(&service).await;
    assert_eq!(refused.headers["retry-after"], "10");
    let detail = "Executor capacity unavailable (unschedulable): no sandbox is free and the queue is full";
    assert_eq!(refused.json(), json!({"detail": detail}));
    let created = service.api.all("codeexecutions").len();
    let long = json!({"code": "x".repeat(300_000)});
    assert_eq!(execute(&service, &long).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let stream = post(&service, "/v1/execute/stream", "{\"code\":\"\"}").await;
    assert_eq!(stream.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(service.api.all("codeexecutions").len(), created);
    assert!(service.api.all("sandboxfiles").is_empty(), "nothing is staged either");

    service.api.put("sandboxpools", pool(&json!({"room": 1, "queued": 0})));
    let again = async {
        while execute(&service, &json!({"code": ""})).await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("room again");
}

#[tokio::test]
async fn requests_at_the_same_time_do_not_go_over_the_room() {
    let script: Script =
        Box::new(|object| if object["spec"]["code"] == "early" { vec![completed("")] } else { vec![] });
    let service = service(script).await;
    service.api.put("sandboxpools", pool(&json!({"room": 0, "queued": 1})));
    refused_for_room(&service).await;
    let waiting = || {
        let objects = service.api.all("codeexecutions");
        objects.iter().filter(|object| object["spec"]["code"] == "stays").count()
    };
    let ask = || {
        let body = Body::from(json!({"code": "stays"}).to_string());
        service.router.clone().oneshot(request("POST", "/v1/execute").body(body).expect("a request"))
    };
    service.api.put("sandboxpools", pool(&json!({"room": 2, "queued": 1})));
    let asked = async {
        while waiting() < 2 {
            for _ in 0..5 {
                tokio::spawn(ask());
            }
            tokio::task::yield_now().await;
        }
        for _ in 0..5 {
            assert_eq!(ask().await.expect("an answer").status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("two find room, the others are told");
    assert_eq!(waiting(), 2);
}
