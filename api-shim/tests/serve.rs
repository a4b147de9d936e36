//! The service on real sockets: what only a connection can show.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy knows tests only by their attribute, and these files hold nothing but tests and their helpers"
)]

mod support;

use std::{sync::Arc, time::Duration};

use api_shim::{App, ShimConfig, live::NoLiveOutput};
use blobs::{Blobs, BlobsConfig};
use serde_json::{Value, json};
use support::FakeApi;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

struct Served {
    address: std::net::SocketAddr,
    api: Arc<FakeApi>,
    stop: CancellationToken,
    running: JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

async fn serve(statuses: Vec<Value>) -> Served {
    serve_with(statuses, |_| {}).await
}

async fn serve_with(statuses: Vec<Value>, change: impl FnOnce(&mut ShimConfig)) -> Served {
    let api = FakeApi::new(Box::new(move |_| statuses.clone()));
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = Blobs::open(BlobsConfig::local(folder.path().join("blobs"))).await.expect("a store");
    let mut config = ShimConfig::standalone("default");
    change(&mut config);
    let app = App::new(config, api.client(), blobs, Arc::new(NoLiveOutput));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run(vec![listener], stop.clone()));
    Served { address, api, stop, running, _folder: folder }
}

async fn connect(served: &Served, path: &str, host: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).await.expect("a connection");
    let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).await.expect("sent");
    stream
}

type Http2 = hyper::client::conn::http2::SendRequest<axum::body::Body>;

async fn connect_http2(served: &Served) -> (Http2, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(served.address).await.expect("a connection");
    let (client, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .expect("HTTP/2");
    (client, tokio::spawn(connection))
}

/// The host goes into `:authority`; there is no `Host`.
fn http2_execute(host: &str) -> http::Request<axum::body::Body> {
    let request = http::Request::post(format!("http://{host}/v1/execute"));
    request.body(axum::body::Body::from("{\"code\":\"\"}")).expect("a request")
}

/// Reads until the answer has this text.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = String::new();
    let mut buffer = [0; 1024];
    while !read.contains(text) {
        let count = stream.read(&mut buffer).await.expect("read");
        assert!(count > 0, "the connection ended after {read:?}");
        read.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    read
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn is_cancelled(api: &FakeApi) -> bool {
    api.all("codeexecutions").iter().any(|object| object["spec"]["cancel"] == json!(true))
}

#[tokio::test]
async fn a_stream_whose_connection_closes_is_cancelled() {
    let served = serve(vec![json!({"phase": "Running"})]).await;
    let mut client = connect(&served, "/v1/execute/stream", "localhost", "{\"code\":\"\"}").await;
    let head = read_until(&mut client, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("connection: keep-alive"), "{head}");
    drop(client);
    eventually("cancelled", || is_cancelled(&served.api)).await;
}

#[tokio::test]
async fn a_stream_whose_connection_closes_before_the_start_is_cancelled_too() {
    let served = serve(vec![]).await;
    let client = connect(&served, "/v1/execute/stream", "localhost", "{\"code\":\"\"}").await;
    eventually("created", || !served.api.all("codeexecutions").is_empty()).await;
    drop(client);
    eventually("cancelled", || is_cancelled(&served.api)).await;
}

#[tokio::test]
async fn a_foreign_name_for_this_machine_is_refused() {
    let served = serve(vec![]).await;
    let mut client = connect(&served, "/v1/execute", "evil.example", "{\"code\":\"\"}").await;
    assert!(read_until(&mut client, "}").await.starts_with("HTTP/1.1 403"));
    assert!(served.api.all("codeexecutions").is_empty());
}

#[tokio::test]
async fn a_foreign_name_for_this_machine_is_refused_over_http2_too() {
    let done = json!({"phase": "Succeeded", "reason": "Completed", "exitCode": 0});
    let served = serve(vec![done]).await;
    let (mut client, _connection) = connect_http2(&served).await;
    let mut two_names = http2_execute("evil.example");
    two_names.headers_mut().insert("host", http::HeaderValue::from_static("localhost"));
    for refused in [http2_execute("evil.example"), two_names] {
        let response = client.send_request(refused).await.expect("an answer");
        assert_eq!((response.status().as_u16(), response.version()), (403, http::Version::HTTP_2));
    }
    assert!(served.api.all("codeexecutions").is_empty());
    assert_eq!(client.send_request(http2_execute("localhost")).await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_host_of_the_list_is_found_over_http2() {
    let done = json!({"phase": "Succeeded", "reason": "Completed", "exitCode": 0});
    let hosts = vec!["carrel.internal".to_owned()];
    let served = serve_with(vec![done], |config| config.guard.hosts = hosts).await;
    let (mut client, _connection) = connect_http2(&served).await;
    for (host, status) in [("carrel.internal:8000", 200), ("localhost", 403)] {
        let response = client.send_request(http2_execute(host)).await.expect("an answer");
        assert_eq!(response.status(), status, "{host}");
    }
}

#[tokio::test]
async fn a_shutdown_lets_a_request_end_and_closes_idle_connections() {
    let served = serve(vec![]).await;
    let mut idle = TcpStream::connect(served.address).await.expect("a connection");
    let mut busy = connect(&served, "/v1/execute", "localhost", "{\"code\":\"\"}").await;
    eventually("created", || !served.api.all("codeexecutions").is_empty()).await;
    served.stop.cancel();
    assert_eq!(idle.read(&mut [0; 16]).await.expect("closed"), 0);
    served.api.set_status(&json!({"phase": "Succeeded", "reason": "Completed", "exitCode": 0}));
    assert!(read_until(&mut busy, "}").await.starts_with("HTTP/1.1 200"));
    served.running.await.expect("no panic").expect("an orderly end");
}

#[tokio::test]
async fn a_client_that_speaks_http2_is_served_and_its_idle_connection_ends_at_a_shutdown() {
    let served = serve(vec![json!({"phase": "Succeeded", "reason": "Completed", "exitCode": 0})]).await;
    let (mut client, connection) = connect_http2(&served).await;
    let response = client.send_request(http2_execute("localhost")).await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    drop(response);
    served.stop.cancel();
    connection.await.expect("no panic").expect("an orderly end");
    served.running.await.expect("no panic").expect("an orderly end");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_and_its_connection_closed() {
    let served = serve_with(vec![], |config| config.body.grace = Duration::from_millis(5)).await;
    let mut client = TcpStream::connect(served.address).await.expect("a connection");
    let head = "POST /v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{";
    client.write_all(head.as_bytes()).await.expect("sent");
    let answer = read_until(&mut client, "}").await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("did not arrive in time"), "{answer}");
    assert_eq!(client.read(&mut [0; 16]).await.expect("closed"), 0);
}

#[tokio::test]
async fn a_service_that_is_told_to_stop_is_not_ready_and_still_takes_requests_for_a_moment() {
    let done = json!({"phase": "Succeeded", "reason": "Completed", "exitCode": 0});
    let served = serve_with(vec![done], |config| config.linger = Duration::from_hours(1)).await;
    served.api.put(
        "sandboxpools",
        json!({"apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": "default"}, "spec": {}}),
    );
    let ready = async || {
        let mut probe = TcpStream::connect(served.address).await.expect("a connection");
        probe.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
        read_until(&mut probe, "}").await
    };
    assert!(ready().await.starts_with("HTTP/1.1 200"));
    served.stop.cancel();
    let not_ready = async { while !ready().await.starts_with("HTTP/1.1 503") {} };
    tokio::time::timeout(Duration::from_secs(30), not_ready).await.expect("not ready");
    assert!(ready().await.contains("shutting down"));
    let mut late = connect(&served, "/v1/execute", "localhost", "{\"code\":\"\"}").await;
    assert!(read_until(&mut late, "}").await.starts_with("HTTP/1.1 200"));
    served.running.abort();
}
