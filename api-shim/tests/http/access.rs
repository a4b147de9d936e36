//! Who is let in, and what does not exist.

use super::*;

#[tokio::test]
async fn credentials_are_checked_before_anything_else() {
    let mut tokens = Tokens::default();
    tokens.replace_file("{\"alice\": \"secret\"}").expect("a file");
    let service = service_with(ending(completed("")), |config| {
        config.guard.authenticated = true;
        config.tokens = tokens;
    })
    .await;
    for path in ["/v1/execute", "/docs", "/nowhere"] {
        let answer = post(&service, path, "").await;
        assert_eq!(
            (answer.status, answer.json()),
            (StatusCode::UNAUTHORIZED, json!({"detail": "Not authenticated"})),
            "{path}"
        );
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let sent = |token: &str| {
        request("POST", "/v1/execute")
            .header("authorization", token)
            .body(Body::from("{\"code\":\"\"}"))
            .expect("a request")
    };
    assert_eq!(send(&service, sent("Bearer wrong")).await.json(), json!({"detail": "Invalid token"}));
    assert_eq!(send(&service, sent("Bearer secret")).await.status, StatusCode::OK);
    assert_eq!(service.api.all("codeexecutions")[0]["spec"]["scope"], "alice");
    for path in ["/health", "/ready", "/metrics"] {
        let open = send(&service, request("GET", path).body(Body::empty()).expect("a request")).await;
        assert_eq!(open.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_file_of_tokens_that_changes_counts_without_a_restart() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let write = |content: &str| std::fs::write(file.path(), content).expect("written");
    write("{\"alice\": \"first\"}");
    let service = service_with(ending(completed("")), |config| {
        config.tokens.replace_file("{\"alice\": \"first\"}").expect("a file");
        config.guard.authenticated = true;
        config.token_file =
            Some(TokenFile { interval: Duration::from_millis(1), ..TokenFile::new(file.path()) });
    })
    .await;
    let status = async |token: &str| {
        let sent = request("GET", "/").header("authorization", format!("Bearer {token}"));
        send(&service, sent.body(Body::empty()).expect("a request")).await.status
    };
    let comes = async |token: &str, wanted: StatusCode| {
        let wait = async {
            while status(token).await != wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the file was read");
    };
    assert_eq!(status("first").await, StatusCode::OK);
    write("{\"alice\": [\"first\", \"second\"]}");
    comes("second", StatusCode::OK).await;
    write("{\"alice\": \"second\"}");
    comes("first", StatusCode::UNAUTHORIZED).await;
    assert_eq!(status("second").await, StatusCode::OK);
    // No JSON is a mistake and changes nothing; JSON without tokens is meant.
    write("");
    write("{}");
    comes("second", StatusCode::UNAUTHORIZED).await;
    let nobody = send(&service, request("GET", "/").body(Body::empty()).expect("a request")).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "an emptied file does not open the service");
    write("{\"alice\": \"third\"}");
    comes("third", StatusCode::OK).await;
}

#[tokio::test]
async fn the_guard_answers_before_the_body_is_read() {
    let service = service(ending(completed(""))).await;
    let never = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let foreign = request("POST", "/v1/execute")
        .header("origin", "https://evil.example")
        .body(never)
        .expect("a request");
    let answer = send(&service, foreign).await;
    let detail = "Spawn requests must originate from an internal URL / IP";
    assert_eq!((answer.status, answer.json()), (StatusCode::FORBIDDEN, json!({"detail": detail})));
    // What starts nothing is not guarded.
    let health = request("GET", "/health").header("origin", "https://evil.example").body(Body::empty());
    assert_eq!(send(&service, health.expect("a request")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told() {
    let service = service(ending(completed(""))).await;
    let unknown = send(&service, request("GET", "/v1/nowhere").body(Body::empty()).expect("a request")).await;
    assert_eq!((unknown.status, unknown.json()), (StatusCode::NOT_FOUND, json!({"detail": "Not Found"})));
    assert!(unknown.headers.contains_key("x-request-id"));
    let method = send(&service, request("GET", "/v1/execute").body(Body::empty()).expect("a request")).await;
    assert_eq!(
        (method.status, method.json()),
        (StatusCode::METHOD_NOT_ALLOWED, json!({"detail": "Method Not Allowed"}))
    );
    assert_eq!(method.headers["allow"], "POST");
    let leezhu = send(&service, request("GET", "/image/x").body(Body::empty()).expect("a request")).await;
    assert_eq!(leezhu.json(), json!({"error": "Not Found"}));
}
