//! Live output over the operator's port, against an operator in memory whose leadership moves and whose
//! connections break off.

#![expect(
    clippy::expect_used,
    reason = "clippy knows tests only by their attribute, and these files hold nothing but tests and their helpers"
)]

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api_shim::{
    leader::Leader,
    live::{LiveOutput, OutputChunk, OutputStream},
    live_http::OperatorLive,
};
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::StreamExt;
use http::{HeaderMap, Request, StatusCode, Uri};
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceExt;

const PROCESS: &str = "6f1e0a52-6b0e-4f9e-8f7a-0c1d2e3f4a5b";

/// What the operator answers to one connection after another.
#[derive(Clone, Copy)]
enum Answer {
    Status(u16),
    /// These lines, then a cut.
    Cut(&'static str),
    /// These lines, then an orderly end.
    Whole(&'static str),
}

struct Operator {
    answers: Vec<Answer>,
    asked: AtomicUsize,
}

async fn live(State(operator): State<Arc<Operator>>, uri: Uri, headers: HeaderMap) -> Response {
    assert_eq!(uri.path_and_query().expect("a path"), "/v1/live/default/run-1?uid=u1");
    assert_eq!(headers.get("authorization").expect("a token"), "Bearer secret");
    let asked = operator.asked.fetch_add(1, Ordering::SeqCst);
    match operator.answers.get(asked).copied().expect("one more answer") {
        Answer::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Answer::Whole(lines) => lines.into_response(),
        Answer::Cut(lines) => {
            let parts = [Ok(lines), Err(std::io::Error::other("cut"))];
            // The head and the lines go out before the cut.
            let parts = futures::stream::iter(parts).then(|part| async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                part
            });
            Body::from_stream(parts).into_response()
        }
    }
}

/// The API: a Lease whose holder is a pod on this machine.
fn api(holder: &'static str) -> kube::Client {
    let lease = move || async move {
        Json(
            json!({"metadata": {"name": "carrel-operator"}, "spec": {"holderIdentity": format!("{holder}-{PROCESS}")}}),
        )
    };
    let pod = |Path(name): Path<String>| async move {
        Json(
            json!({"metadata": {"name": name}, "spec": {"containers": []}, "status": {"podIP": "127.0.0.1"}}),
        )
    };
    let router = Router::new()
        .route("/apis/coordination.k8s.io/v1/namespaces/carrel-system/leases/carrel-operator", get(lease))
        .route("/api/v1/namespaces/carrel-system/pods/{name}", get(pod));
    let service = router.map_request(|request: Request<kube::client::Body>| request.map(Body::new));
    kube::Client::new(service, "default")
}

async fn serve(operator: Arc<Operator>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().fallback(live).with_state(operator);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Everything that a follower reads, and how often it asked.
async fn follow(answers: Vec<Answer>) -> (Vec<OutputChunk>, usize) {
    let operator = Arc::new(Operator { answers, asked: AtomicUsize::new(0) });
    let address = serve(Arc::clone(&operator)).await;
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), "secret\n").expect("written");
    let leader = Leader::new(api("operator-0"), "carrel-system", address.port());
    let live = OperatorLive::new(leader, token.path().to_owned());
    let chunks = live.follow("default", "run-1", "u1").await.expect("a stream");
    let read =
        tokio::time::timeout(Duration::from_secs(30), chunks.collect::<Vec<_>>()).await.expect("an end");
    (read, operator.asked.load(Ordering::SeqCst))
}

fn chunk(stream: OutputStream, text: &str) -> OutputChunk {
    OutputChunk { stream, text: text.to_owned() }
}

#[tokio::test]
async fn output_comes_from_the_pod_that_the_lease_names() {
    let lines = "{\"stream\":\"Stdout\",\"text\":\"a\\n\"}\n{\"stream\":\"Stderr\",\"text\":\"é\"}\n";
    let (read, asked) = follow(vec![Answer::Whole(lines)]).await;
    assert_eq!(read, [chunk(OutputStream::Stdout, "a\n"), chunk(OutputStream::Stderr, "é")]);
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn what_breaks_off_is_followed_anew_and_nothing_is_said_twice() {
    let first = "{\"stream\":\"Stdout\",\"text\":\"one é\"}\n{\"stream\":\"Stderr\",\"text\":\"x\"}\n{\"stream\":\"Std";
    // The next leader has the same output in other pieces.
    let again = "{\"stream\":\"Stderr\",\"text\":\"x\"}\n{\"stream\":\"Stdout\",\"text\":\"on\"}\n{\"stream\":\"Stdout\",\"text\":\"e é two\"}\n";
    let answers = vec![Answer::Cut(first), Answer::Status(503), Answer::Whole(again)];
    let (read, asked) = follow(answers).await;
    assert_eq!(
        read,
        [
            chunk(OutputStream::Stdout, "one é"),
            chunk(OutputStream::Stderr, "x"),
            chunk(OutputStream::Stdout, " two")
        ]
    );
    assert_eq!(asked, 3);
}

#[tokio::test]
async fn who_is_refused_does_not_ask_again() {
    for status in [401, 403, 404] {
        assert_eq!(follow(vec![Answer::Status(status)]).await, (vec![], 1));
    }
    assert_eq!(follow(vec![Answer::Whole("no JSON\n")]).await, (vec![], 1));
}

#[tokio::test]
async fn a_service_without_a_cluster_has_no_leader() {
    let client = kube::Client::new(
        tower::service_fn(|_: Request<kube::client::Body>| async {
            Ok::<_, Infallible>(StatusCode::FORBIDDEN.into_response())
        }),
        "default",
    );
    assert!(Leader::new(client, "carrel-system", 1).address().await.is_err());
}
