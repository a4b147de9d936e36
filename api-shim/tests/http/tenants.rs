//! Several tenants behind one front: what is whose, and that nobody gets at anything of another's.

use api_shim::{live::OutputChunk, tenants::Tenants};
use async_trait::async_trait;
use futures::stream::BoxStream;
use parking_lot::Mutex;

use super::*;

/// Alice and Bob have a tenant each; Carol and Dave are together in a third.
const TENANTS: &str = r#"{"default": "shared", "tenants": [
    {"namespace": "ns-a", "identities": ["alice"]},
    {"namespace": "ns-b", "identities": ["bob"], "pool": "fast"},
    {"namespace": "shared"}]}"#;

/// Remembers whose output was asked for.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<String>>);

#[async_trait]
impl LiveOutput for Asked {
    async fn follow(&self, namespace: &str, name: &str, _: &str) -> Option<BoxStream<'static, OutputChunk>> {
        self.0.lock().push(format!("{namespace}/{name}"));
        None
    }
}

async fn tenants(script: Script, live: Arc<dyn LiveOutput>) -> Service {
    tenants_with(script, live, |_| {}).await
}

async fn tenants_with(
    script: Script,
    live: Arc<dyn LiveOutput>,
    change: impl FnOnce(&mut ShimConfig),
) -> Service {
    let api = FakeApi::new(script);
    for (namespace, name) in [("ns-a", "default"), ("ns-b", "fast"), ("shared", "default")] {
        let mut pool = pool_in(namespace);
        pool["metadata"]["name"] = json!(name);
        api.put("sandboxpools", pool);
    }
    let mut tokens = Tokens::default();
    tokens.replace_file(r#"{"alice": "a", "bob": "b", "carol": "c", "dave": "d"}"#).expect("a file");
    service_on(api, live, |config| {
        change(config);
        config.tokens = tokens;
        config.guard.authenticated = true;
        config.tenants = Some(Tenants::parse(TENANTS).expect("a file"));
    })
    .await
}

async fn all_complete() -> Service {
    tenants(ending(completed("")), Arc::new(NoLiveOutput)).await
}

fn asking(token: &str, path: &str, body: &Value) -> Request<Body> {
    let request = request("POST", path).header("authorization", format!("Bearer {token}"));
    request.body(Body::from(body.to_string())).expect("a request")
}

async fn run(service: &Service, token: &str, body: &Value) -> Answer {
    send(service, asking(token, "/v1/execute", body)).await
}

const ID: &str = "6f1e0a52-6b0e-4f9e-8f7a-0c1d2e3f4a5b";

/// A file that can be named by its content in the chat `c1`, and one that can be named by its id.
fn put_files(service: &Service, namespace: &str, scope: &str) -> String {
    let digest = "ab".repeat(32);
    let label = digest.get(..63).expect("digits").to_owned();
    let put = |name: &str, rest: Value| {
        let mut spec = json!({"fileName": "a", "scope": scope, "source": {"inline": ""}});
        spec.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        let metadata = json!({"name": name, "namespace": namespace, "labels": {"carrel.dev/sha256": label}});
        let status = json!({"phase": "Ready", "sha256": digest});
        let file = json!({"apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxFile", "metadata": metadata,
            "spec": spec, "status": status});
        service.api.put("sandboxfiles", file);
    };
    put("by-content", json!({"isolationKey": "c1"}));
    put(ID, json!({"collection": "onyx"}));
    digest
}

#[tokio::test]
async fn each_identity_runs_in_its_namespace_with_its_pool() {
    let service = all_complete().await;
    for (token, namespace, identity, pool) in
        [("a", "ns-a", "alice", "default"), ("b", "ns-b", "bob", "fast"), ("c", "shared", "carol", "default")]
    {
        assert_eq!(run(&service, token, &json!({"code": ""})).await.status, StatusCode::OK);
        let made = service.api.all_in(namespace, "codeexecutions");
        let spec = &made.first().expect("an execution")["spec"];
        assert_eq!(made.len(), 1, "{namespace}");
        // Also who is alone has a scope: another one may come into the namespace later.
        assert_eq!((&spec["scope"], &spec["poolRef"]["name"]), (&json!(identity), &json!(pool)));
    }
    let long = json!({"code": "x = 1\n".repeat(100_000)});
    assert_eq!(run(&service, "b", &long).await.status, StatusCode::OK);
    assert_eq!(service.api.all_in("ns-b", "sandboxfiles").len(), 1);
    assert_eq!(service.api.all("sandboxfiles").len(), 1);
}

#[tokio::test]
async fn nobody_can_use_a_file_of_another_by_its_content_or_id() {
    let service = all_complete().await;
    let digest = put_files(&service, "ns-b", "bob");
    put_files(&service, "shared", "carol");
    let by_content = json!({"source_code": "", "chat_id": "c1", "files": {"/workspace/x": digest}});
    let by_id = json!({"code": "", "files": [{"path": "x", "file_id": ID}]});
    for (token, status) in [
        ("b", StatusCode::OK),
        ("c", StatusCode::OK),
        ("a", StatusCode::NOT_FOUND),
        ("d", StatusCode::NOT_FOUND),
    ] {
        for body in [&by_content, &by_id] {
            let answer = run(&service, token, body).await;
            assert_eq!(answer.status, status, "{token} {body}");
        }
    }
    assert!(service.api.all_in("ns-a", "codeexecutions").is_empty());
    // What is there and what is not reads the same.
    let foreign = run(&service, "a", &by_id).await.text;
    let unknown = json!({"code": "", "files": [{"path": "x", "file_id": ID.replace('6', "7")}]});
    assert_eq!(foreign.replace('6', "7"), run(&service, "a", &unknown).await.text);
}

#[tokio::test]
async fn the_same_chat_of_two_identities_is_two_chats() {
    let service = all_complete().await;
    for token in ["c", "d"] {
        run(&service, token, &json!({"source_code": "", "chat_id": "c1"})).await;
    }
    let made = service.api.all_in("shared", "codeexecutions");
    let chats: std::collections::BTreeSet<_> = made
        .iter()
        .map(|object| object["spec"]["scope"].to_string() + &object["spec"]["isolationKey"].to_string())
        .collect();
    assert_eq!(chats.len(), 2, "{chats:?}");
}

#[tokio::test]
async fn output_and_cancel_stay_in_the_namespace_of_the_request() {
    let live = Arc::new(Asked::default());
    let service = tenants(Box::new(|_| vec![json!({"phase": "Running"})]), Arc::clone(&live) as _).await;
    let response =
        service.router.clone().oneshot(asking("b", "/v1/execute/stream", &json!({"code": ""}))).await;
    let made = service.api.all_in("ns-b", "codeexecutions").pop().expect("an execution");
    let name = made["metadata"]["name"].as_str().expect("a name").to_owned();
    assert_eq!(*live.0.lock(), [format!("ns-b/{name}")]);
    // A look-alike of another tenant stays as it is.
    let mut other = made;
    other["metadata"]["namespace"] = json!("ns-a");
    service.api.put("codeexecutions", other);
    drop(response);
    let cancelled = |namespace: &str| {
        let objects = service.api.all_in(namespace, "codeexecutions");
        objects.iter().any(|object| object["spec"]["cancel"] == json!(true))
    };
    until("cancelled", || cancelled("ns-b")).await;
    assert!(!cancelled("ns-a"));
}

#[tokio::test]
async fn the_end_of_a_look_alike_in_another_namespace_is_no_news() {
    let service = tenants(Box::new(|_| vec![json!({"phase": "Running"})]), Arc::new(NoLiveOutput)).await;
    let waiting =
        tokio::spawn(service.router.clone().oneshot(asking("b", "/v1/execute", &json!({"code": ""}))));
    until("created", || !service.api.all_in("ns-b", "codeexecutions").is_empty()).await;
    let made = service.api.all_in("ns-b", "codeexecutions").pop().expect("an execution");
    let ended = |namespace: &str, stdout: &str| {
        let mut object = made.clone();
        object["metadata"]["namespace"] = json!(namespace);
        object["status"] = completed(stdout);
        service.api.put("codeexecutions", object);
    };
    ended("ns-a", "a lie");
    // Alice's own run goes all the way meanwhile, so her watch has told of the other one.
    let own =
        tokio::spawn(service.router.clone().oneshot(asking("a", "/v1/execute", &json!({"code": "own"}))));
    let hers = || {
        service
            .api
            .all_in("ns-a", "codeexecutions")
            .into_iter()
            .find(|object| object["spec"]["code"] == "own")
    };
    until("created", || hers().is_some()).await;
    let mut object = hers().expect("there");
    object["status"] = completed("");
    service.api.put("codeexecutions", object);
    assert_eq!(own.await.expect("no panic").expect("an answer").status(), StatusCode::OK);
    ended("ns-b", "the truth");
    let answer = waiting.await.expect("no panic").expect("an answer");
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("the truth"));
}

#[tokio::test]
async fn a_pool_without_room_refuses_its_own_tenant_alone() {
    let service = all_complete().await;
    let mut full = pool_in("ns-a");
    full["spec"] = json!({"queue": {"depth": 1}});
    full["status"] = json!({"room": 0, "queued": 1});
    service.api.put("sandboxpools", full);
    let refused = async {
        while run(&service, "a", &json!({"code": ""})).await.status != StatusCode::SERVICE_UNAVAILABLE {}
    };
    tokio::time::timeout(Duration::from_secs(30), refused).await.expect("refused");
    // The pool of the same name in another namespace has room.
    assert_eq!(run(&service, "c", &json!({"code": ""})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_tenant_that_takes_what_it_can_does_not_take_the_service_from_the_others() {
    let stays: Script =
        Box::new(
            |object| {
                if object["metadata"]["namespace"] == "ns-a" { vec![] } else { vec![completed("")] }
            },
        );
    let service = tenants_with(stays, Arc::new(NoLiveOutput), |config| {
        config.admission.slots = 2;
        config.admission.wait = Duration::ZERO;
    })
    .await;
    let body = json!({"code": ""});
    let _running = tokio::spawn(service.router.clone().oneshot(asking("a", "/v1/execute", &body)));
    until("running", || !service.api.all_in("ns-a", "codeexecutions").is_empty()).await;
    assert_eq!(run(&service, "a", &body).await.status, StatusCode::TOO_MANY_REQUESTS);
    for token in ["b", "c"] {
        assert_eq!(run(&service, token, &body).await.status, StatusCode::OK, "{token}");
    }
}

#[tokio::test]
async fn an_identity_without_a_tenant_is_refused() {
    let service = service_with(ending(completed("")), |config| {
        config.tokens.add_single("t");
        config.guard.authenticated = true;
        let one = r#"{"tenants": [{"namespace": "default", "identities": ["alice"]}]}"#;
        config.tenants = Some(Tenants::parse(one).expect("a file"));
    })
    .await;
    let refused = run(&service, "t", &json!({"code": ""})).await;
    let detail = json!({"detail": "This identity belongs to no tenant"});
    assert_eq!((refused.status, refused.json()), (StatusCode::FORBIDDEN, detail));
    assert!(service.api.all("codeexecutions").is_empty());
}

#[tokio::test]
async fn a_tenant_whose_rights_are_gone_does_not_take_the_service_from_the_others() {
    let service = tenants(ending(completed("")), Arc::new(NoLiveOutput)).await;
    let get = |path: &'static str| {
        let service = &service;
        async move { send(service, request("GET", path).body(Body::empty()).expect("a request")).await }
    };
    assert_eq!(get("/ready").await.status, StatusCode::OK);
    // The default tenant, which is asked first, and whose watch is lost.
    *service.api.forbidden.lock() = Some("shared".to_owned());
    cut(&service, &["ns-a", "ns-b", "shared"], Watches { cut: true, ..Watches::default() }).await;
    mend(&service);
    until("refused", || service.api.refusals.load(std::sync::atomic::Ordering::Relaxed) > 0).await;
    let out_of_sync = async {
        while !get("/metrics").await.text.contains("\ncarrel_shim_tenants_out_of_sync 1\n") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), out_of_sync).await.expect("one is left");
    let ready = get("/ready").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (StatusCode::OK, Some("ok")));
    assert_eq!(run(&service, "a", &json!({"code": ""})).await.status, StatusCode::OK);
}
