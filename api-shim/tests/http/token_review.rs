//! Tokens of Kubernetes: the API says whose they are and what their users may do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
};

use api_shim::{config::TokenReviewRules, tenants::Tenants};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
    routing::post as route_post,
};
use parking_lot::Mutex;

use super::*;

/// What the API knows, and what it was asked.
#[derive(Default)]
struct Reviewer {
    /// Users by token.
    users: Mutex<BTreeMap<String, Value>>,
    /// User and namespace.
    may_create: Mutex<BTreeSet<(String, String)>>,
    asked: Mutex<Vec<Value>>,
    /// The API refuses our own account.
    refuses_us: AtomicBool,
    /// The API never answers.
    is_stuck: AtomicBool,
    /// What the API says about audiences; nothing when it does not know them.
    audiences: Mutex<Option<Value>>,
}

async fn token(State(reviewer): State<Arc<Reviewer>>, Json(mut review): Json<Value>) -> Response {
    reviewer.asked.lock().push(review.clone());
    if reviewer.is_stuck.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    if reviewer.refuses_us.load(Ordering::Relaxed) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden",
            "message": "tokenreviews.authentication.k8s.io is forbidden"});
        return (StatusCode::FORBIDDEN, Json(status)).into_response();
    }
    let token = review["spec"]["token"].as_str().expect("a token").to_owned();
    review["status"] = match reviewer.users.lock().get(&token) {
        Some(user) => json!({"authenticated": true, "user": user}),
        None => json!({"authenticated": false, "error": "unknown"}),
    };
    if let Some(audiences) = reviewer.audiences.lock().clone() {
        review["status"]["audiences"] = audiences;
    }
    (StatusCode::CREATED, Json(review)).into_response()
}

async fn access(State(reviewer): State<Arc<Reviewer>>, Json(mut review): Json<Value>) -> Response {
    reviewer.asked.lock().push(review.clone());
    let (spec, attributes) = (&review["spec"], &review["spec"]["resourceAttributes"]);
    let is_create = attributes["verb"] == "create"
        && attributes["group"] == "carrel.dev"
        && attributes["resource"] == "codeexecutions";
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key = (text(&spec["user"]), text(&attributes["namespace"]));
    review["status"] = json!({"allowed": is_create && reviewer.may_create.lock().contains(&key)});
    (StatusCode::CREATED, Json(review)).into_response()
}

const TENANTS: &str = r#"{"default": "ns-a", "tenants": [
    {"namespace": "ns-a", "identities": ["alice"]}, {"namespace": "ns-b", "groups": ["devs"]}]}"#;

/// Alice is named, a robot has an account in `ns-b`, Bob is a developer, a stranger has an account elsewhere, and
/// Mallory is where Alice is and has no rights there.
async fn reviewed(audience: Option<&str>) -> (Service, Arc<Reviewer>) {
    let reviewer = Arc::new(Reviewer::default());
    let robot = "system:serviceaccount:ns-b:robot";
    reviewer.users.lock().extend([
        ("t-alice".to_owned(), json!({"username": "alice", "uid": "u1", "groups": ["system:authenticated"], "extra": {"k": ["v"]}})),
        ("t-robot".to_owned(), json!({"username": robot})),
        ("t-bob".to_owned(), json!({"username": "bob", "groups": ["devs"]})),
        ("t-stranger".to_owned(), json!({"username": "system:serviceaccount:elsewhere:x"})),
        ("t-mallory".to_owned(), json!({"username": "system:serviceaccount:ns-a:mallory"})),
        ("t-nobody".to_owned(), json!({"username": ""})),
    ]);
    reviewer.may_create.lock().extend(
        [("alice", "ns-a"), (robot, "ns-b"), ("bob", "ns-b"), ("system:serviceaccount:ns-a:mallory", "ns-b")]
            .map(|(user, namespace)| (user.to_owned(), namespace.to_owned())),
    );
    let api = FakeApi::new(ending(completed("")));
    for namespace in ["ns-a", "ns-b"] {
        api.put("sandboxpools", pool_in(namespace));
    }
    let reviews = Router::new()
        .route("/apis/authentication.k8s.io/v1/tokenreviews", route_post(token))
        .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", route_post(access))
        .with_state(Arc::clone(&reviewer));
    let client = support::client(api.router().merge(reviews));
    let service = service_of(api, client, Arc::new(NoLiveOutput), |config| {
        config.token_review = Some(TokenReviewRules { audience: audience.map(str::to_owned) });
        config.guard.authenticated = true;
        config.tenants = Some(Tenants::parse(TENANTS).expect("a file"));
    })
    .await;
    (service, reviewer)
}

async fn run(service: &Service, token: &str) -> Answer {
    let request = request("POST", "/v1/execute").header("authorization", format!("Bearer {token}"));
    send(service, request.body(Body::from("{\"code\":\"\"}")).expect("a request")).await
}

#[tokio::test]
async fn a_user_runs_in_the_tenant_it_belongs_to_under_its_name() {
    let (service, _) = reviewed(None).await;
    for (token, namespace, scope) in [
        ("t-alice", "ns-a", "alice"),
        ("t-robot", "ns-b", "system:serviceaccount:ns-b:robot"),
        ("t-bob", "ns-b", "bob"),
    ] {
        assert_eq!(run(&service, token).await.status, StatusCode::OK, "{token}");
        let made = service.api.all_in(namespace, "codeexecutions");
        assert!(made.iter().any(|object| object["spec"]["scope"] == scope), "{token}");
    }
}

#[tokio::test]
async fn whoever_is_not_known_or_not_allowed_is_told_which() {
    let (service, _) = reviewed(None).await;
    let not_allowed = "This identity may not create codeexecutions.carrel.dev in the namespace of its tenant";
    for (token, status, detail) in [
        ("t-unknown", StatusCode::UNAUTHORIZED, "Invalid token"),
        ("t-nobody", StatusCode::UNAUTHORIZED, "Invalid token"),
        ("t-stranger", StatusCode::FORBIDDEN, "This identity belongs to no tenant"),
        // A right in another tenant's namespace is none here.
        ("t-mallory", StatusCode::FORBIDDEN, not_allowed),
    ] {
        let answer = run(&service, token).await;
        assert_eq!((answer.status, answer.json()), (status, json!({"detail": detail})), "{token}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == StatusCode::UNAUTHORIZED);
    }
    let nothing = post(&service, "/v1/execute", "").await;
    assert_eq!(
        (nothing.status, nothing.json()),
        (StatusCode::UNAUTHORIZED, json!({"detail": "Not authenticated"}))
    );
    assert!(service.api.all("codeexecutions").is_empty());
    for path in ["/health", "/ready", "/metrics"] {
        let open = send(&service, request("GET", path).body(Body::empty()).expect("a request")).await;
        assert_eq!(open.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn the_api_is_asked_once_for_many_requests_with_everything_it_said_of_the_user() {
    let (service, reviewer) = reviewed(None).await;
    for _ in 0..5 {
        assert_eq!(run(&service, "t-alice").await.status, StatusCode::OK);
    }
    for _ in 0..3 {
        assert_eq!(run(&service, "t-unknown").await.status, StatusCode::UNAUTHORIZED);
    }
    let asked = reviewer.asked.lock().clone();
    assert_eq!(asked.len(), 3, "a token, a right, and another token");
    let metrics =
        send(&service, request("GET", "/metrics").body(Body::empty()).expect("a request")).await.text;
    assert!(metrics.contains("\ncarrel_shim_reviews_refused_total 1\n"), "{metrics}");
    assert!(asked[0]["spec"].get("audiences").is_none());
    let spec = &asked[1]["spec"];
    assert_eq!(
        (&spec["user"], &spec["uid"], &spec["groups"], &spec["extra"]),
        (&json!("alice"), &json!("u1"), &json!(["system:authenticated"]), &json!({"k": ["v"]}))
    );
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    for (said, status) in [
        (Some(json!(["carrel"])), StatusCode::OK),
        (Some(json!(["other"])), StatusCode::UNAUTHORIZED),
        // A server that says nothing about audiences has not checked them.
        (None, StatusCode::UNAUTHORIZED),
    ] {
        let (service, reviewer) = reviewed(Some("carrel")).await;
        *reviewer.audiences.lock() = said;
        assert_eq!(run(&service, "t-alice").await.status, status);
        assert_eq!(reviewer.asked.lock()[0]["spec"]["audiences"], json!(["carrel"]));
    }
}

#[tokio::test]
async fn about_a_token_that_says_that_it_is_for_somebody_else_the_api_is_not_asked() {
    // {"sub":"system:serviceaccount:ns-b:robot","aud":["api"]}
    let claims = "eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bnMtYjpyb2JvdCIsImF1ZCI6WyJhcGkiXX0";
    let robot = format!("e30.{claims}.c2ln");
    for (audience, status, asked) in [
        (Some("carrel"), StatusCode::UNAUTHORIZED, 0),
        // Without an audience of our own any token of the cluster counts.
        (None, StatusCode::OK, 2),
    ] {
        let (service, reviewer) = reviewed(audience).await;
        let user = json!({"username": "system:serviceaccount:ns-b:robot"});
        reviewer.users.lock().insert(robot.clone(), user);
        assert_eq!(run(&service, &robot).await.status, status);
        assert_eq!(reviewer.asked.lock().len(), asked);
    }
}

#[tokio::test]
async fn an_api_that_does_not_say_is_no_refusal_of_the_token() {
    let (service, reviewer) = reviewed(None).await;
    reviewer.refuses_us.store(true, Ordering::Relaxed);
    let answer = run(&service, "t-alice").await;
    let detail = json!({"detail": "The service is unavailable. Retry after the Retry-After delay."});
    assert_eq!((answer.status, answer.json()), (StatusCode::SERVICE_UNAVAILABLE, detail));
    assert_eq!(answer.headers["retry-after"], "2");
    // Nothing of that is remembered.
    reviewer.refuses_us.store(false, Ordering::Relaxed);
    assert_eq!(run(&service, "t-alice").await.status, StatusCode::OK);
    // Who is known goes on while the API is away.
    reviewer.is_stuck.store(true, Ordering::Relaxed);
    assert_eq!(run(&service, "t-alice").await.status, StatusCode::OK);
    assert_eq!(run(&service, "t-bob").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
