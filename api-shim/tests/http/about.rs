//! Health, readiness and documentation.

use super::*;

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
