//! The service over its routes, against an API in memory: what a client sends and what it reads.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests only by their attribute, and these files hold nothing but tests and their helpers"
)]

mod about;
mod access;
mod cancels;
mod capacity;
mod execute;
mod inputs;
mod replicas;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod tenants;
mod token_review;
mod watches;

use std::{sync::Arc, time::Duration};

use api_shim::{
    App, ShimConfig,
    auth::Tokens,
    guard::Connection,
    live::{LiveOutput, NoLiveOutput},
    token_file::TokenFile,
};
use axum::{Router, body::Body};
use blobs::{Blobs, BlobsConfig};
use futures::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::{FakeApi, Script, Watches};
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
    api.put("sandboxpools", pool_in("default"));
    service_on(api, Arc::new(NoLiveOutput), change).await
}

fn pool_in(namespace: &str) -> Value {
    json!({"apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": "default",
        "namespace": namespace}, "spec": {}, "status": {"isolation": []}})
}

async fn service_on(
    api: Arc<FakeApi>,
    live: Arc<dyn LiveOutput>,
    change: impl FnOnce(&mut ShimConfig),
) -> Service {
    let client = api.client();
    service_of(api, client, live, change).await
}

/// With a client that may reach more than the objects of `api`.
async fn service_of(
    api: Arc<FakeApi>,
    client: kube::Client,
    live: Arc<dyn LiveOutput>,
    change: impl FnOnce(&mut ShimConfig),
) -> Service {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = Blobs::open(BlobsConfig::local(folder.path().join("blobs"))).await.expect("a store");
    let mut config = ShimConfig::standalone("default");
    change(&mut config);
    let app = App::new(config, client, blobs.clone(), live);
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

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Breaks the watches of executions in these namespaces, and keeps them broken.
async fn cut(service: &Service, namespaces: &[&str], wrong: Watches) {
    service.api.cuts.lock().clear();
    service.api.watches.send_replace(wrong);
    let is_cut = |namespace: &&str| service.api.cuts.lock().iter().any(|cut| cut == namespace);
    until("cut", || namespaces.iter().all(is_cut)).await;
}

/// Lets watches be as they should.
fn mend(service: &Service) {
    service.api.watches.send_replace(Watches::default());
}
