//! Server-sent events.

use super::*;

#[tokio::test]
async fn a_stream_has_headers_output_and_a_result() {
    let service = service(ending(completed("hi\n"))).await;
    let answer = post(&service, "/v1/execute/stream", "{\"code\":\"print('hi')\"}").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(answer.headers["cache-control"], "no-cache");
    assert_eq!(answer.headers["x-accel-buffering"], "no");
    let frames: Vec<_> = answer.text.split_terminator("\n\n").collect();
    assert_eq!(frames[0], "event: output\ndata: {\"stream\":\"stdout\",\"data\":\"hi\\n\"}");
    assert_eq!(
        frames[1],
        "event: result\ndata: {\"exit_code\":0,\"timed_out\":false,\"duration_ms\":11,\"files\":[]}"
    );
    assert_eq!(frames.len(), 2);
}

#[tokio::test]
async fn what_is_wrong_with_a_stream_is_decided_before_it_opens() {
    let lost = service(ending(json!({"phase": "Failed", "reason": "StartDeadlineExceeded"}))).await;
    assert_eq!(
        post(&lost, "/v1/execute/stream", "{\"code\":\"\"}").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        post(&lost, "/v1/execute/stream", "{}").await.json()["detail"][0]["loc"],
        json!(["body", "code"])
    );
}
