//! Bad requests: each ends in a clear refusal, and the executor stays vacant and well.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::{Read as _, Write as _};

use axum::http::Method as Verb;
use common::{Executor, UID, body, python, signed};
use protocol::{
    End, EnvVariable, ExecuteRequest, InputFile, Interpreter, MAX_REQUEST_LINE_BYTES, Method, routes,
};

async fn put(executor: &Executor, body: Vec<u8>) -> (u16, String, Option<String>) {
    let token = signed(Method::Execute, Some(UID));
    executor.request(Verb::PUT, &routes::execution(UID), Some(&token), body).await.refusal()
}

fn invalid(field: Option<&str>) -> (u16, String, Option<String>) {
    (400, "InvalidRequest".to_owned(), field.map(str::to_owned))
}

#[tokio::test]
async fn malformed_bodies_are_refused_and_leave_the_executor_vacant() {
    let executor = Executor::start().await;
    for bytes in [&b"{\n"[..], b"[]\n", b"\n", b"\xff\xfe\n", b"null\n", b"{\"code\":1}\n"] {
        let refusal = put(&executor, bytes.to_vec()).await;
        assert_eq!((refusal.0, refusal.1.as_str()), (400, "InvalidRequest"), "{bytes:?}");
    }
    let nested = format!("{}{}\n", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(put(&executor, nested.into_bytes()).await.0, 400);
    assert!(executor.inventory().await.vacant);
    executor.run("print(1)").await.ok();
}

#[tokio::test]
async fn a_request_that_arrives_in_part_is_nobodys_fault_and_can_be_sent_again() {
    let executor = Executor::start().await;
    for bytes in [&b""[..], b"{}", b"{"] {
        let refusal = put(&executor, bytes.to_vec()).await;
        assert_eq!((refusal.0, refusal.1.as_str()), (500, "Internal"), "{bytes:?}");
    }
    assert!(executor.inventory().await.vacant);
    executor.run("print(1)").await.ok();
}

#[tokio::test]
async fn the_field_at_fault_is_named() {
    let executor = Executor::start().await;
    let env = |name: &str, value: &str| EnvVariable { name: name.to_owned(), value: value.to_owned() };
    let base = || python("print(1)");
    let cases = [
        (ExecuteRequest { interpreter: Interpreter::Bash, code: "a\0b".to_owned(), ..base() }, "code"),
        (ExecuteRequest { args: vec!["\0".to_owned()], ..base() }, "args[0]"),
        (ExecuteRequest { env: vec![env("A", "\0")], ..base() }, "env[0].value"),
        (ExecuteRequest { env: vec![env("A\0", "")], ..base() }, "env[0].name"),
        (ExecuteRequest { entry_path: "../m.py".to_owned(), ..base() }, "entryPath"),
        (ExecuteRequest { variables_json: Some("[]".to_owned()), ..base() }, "variablesJson"),
        (ExecuteRequest { timeout_milliseconds: 0, ..base() }, "timeoutMilliseconds"),
    ];
    for (request, field) in cases {
        assert_eq!(put(&executor, body(&request, &[])).await, invalid(Some(field)));
    }
    let unknown = br#"{"code":"1","entryPath":"m","timeoutMilliseconds":1,"sealed":1}"#;
    assert_eq!(put(&executor, [unknown, &b"\n"[..]].concat()).await, invalid(Some("sealed")));
}

#[tokio::test]
async fn a_first_line_without_end_is_too_large() {
    let executor = Executor::start().await;
    let refusal = put(&executor, vec![b' '; MAX_REQUEST_LINE_BYTES + 1]).await;
    assert_eq!((refusal.0, refusal.1.as_str()), (413, "TooLarge"));
    assert!(executor.inventory().await.vacant);
}

#[tokio::test]
async fn a_source_of_several_mebibytes_runs() {
    let executor = Executor::start().await;
    let code = format!("x = '''{}'''\nprint(len(x))", "\n".repeat(4 << 20));
    assert_eq!(executor.run(&code).await.ok().stdout(), format!("{}\n", 4 << 20));
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_is_never_run() {
    for (declared, sent) in [(5, &b"abc"[..]), (2, b"abc")] {
        let executor = Executor::start().await;
        let mut request = python("open('ran', 'w')");
        request.inputs = vec![InputFile { path: "a".to_owned(), size_bytes: declared, sha256: None }];
        let answer = executor.put_as(UID, &request, &[sent]).await;
        assert!(matches!(answer.end(), End::NeverStarted { .. }), "{:?}", answer.body);
        assert_eq!(answer.frames().len(), 1);
        assert!(!executor.workspace().join("ran").exists());
        // The uid keeps this outcome.
        assert_eq!(executor.run("print(1)").await.body, answer.body);
    }
}

#[tokio::test]
async fn a_sender_that_goes_away_in_the_middle_leaves_an_outcome() {
    let executor = Executor::start().await;
    let mut request = python("print(1)");
    request.inputs = vec![InputFile { path: "a".to_owned(), size_bytes: 1000, sha256: None }];
    let bytes = body(&request, &[b"only this"]);
    let mut stream = std::net::TcpStream::connect(executor.address).unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-length: {}\r\n\r\n",
        routes::execution(UID),
        signed(Method::Execute, Some(UID)),
        bytes.len() + 991
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&bytes).unwrap();
    executor.until(async || !executor.inventory().await.vacant).await;
    drop(stream);
    assert!(matches!(executor.attach(UID).await.end(), End::NeverStarted { field: None, .. }));
}

#[tokio::test]
async fn a_cancel_while_inputs_come_ends_as_cancelled() {
    let executor = Executor::start().await;
    let mut request = python("print(1)");
    request.inputs = vec![InputFile { path: "a".to_owned(), size_bytes: 1000, sha256: None }];
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(1);
    sender.send(Ok(body(&request, &[b"part"]).into())).await.unwrap();
    let slow = axum::body::Body::from_stream(futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }));
    let token = signed(Method::Execute, Some(UID));
    let path = routes::execution(UID);
    let cancel = async {
        executor.until(async || !executor.inventory().await.vacant).await;
        assert_eq!(executor.cancel(UID).await.status, 202);
        assert_eq!(executor.attach(UID).await.end(), End::Cancelled);
        drop(sender);
    };
    tokio::join!(executor.open(Verb::PUT, &path, Some(&token), slow), cancel);
}

#[tokio::test]
async fn unknown_routes_and_verbs_are_refused_with_our_body() {
    let executor = Executor::start().await;
    for (verb, path) in
        [(Verb::GET, "/"), (Verb::POST, "/v1/executions/a"), (Verb::GET, "/v1/executions/a/b/c")]
    {
        assert_eq!(executor.request(verb, path, None, Vec::new()).await.refusal().0, 404);
    }
    let token = signed(Method::Execute, Some("a.b"));
    let answer = executor.request(Verb::PUT, "/v1/executions/a.b", Some(&token), Vec::new()).await;
    assert_eq!(answer.refusal(), invalid(Some("uid")));
    let token = signed(Method::ReadFile, Some(UID));
    let path = format!("/v1/executions/{UID}/files/-1");
    let answer = executor.request(Verb::GET, &path, Some(&token), Vec::new()).await;
    assert_eq!(answer.refusal(), invalid(Some("index")));
}

#[tokio::test]
async fn a_request_with_two_lengths_is_not_taken() {
    let executor = Executor::start().await;
    let mut stream = std::net::TcpStream::connect(executor.address).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}
