//! Reading a JSON body: bounded in bytes and in time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use crate::{
    error::ShimError,
    json::{Value, parse},
    validate::Problems,
};

/// A body that does not go on for so long is given up.
const PAUSE: Duration = Duration::from_secs(30);
/// What is read and dropped of a body that is too large, so that a client that sends first and reads later
/// gets the answer and not a reset.
const DRAINED_BYTES: usize = 64 * 1024 * 1024;
const DRAINED_FOR: Duration = Duration::from_secs(10);

/// Reads a body of at most `limit` bytes.
pub async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, ShimError> {
    read_paced(headers, body, limit, PAUSE).await
}

async fn read_paced(
    headers: &HeaderMap,
    mut body: Body,
    limit: usize,
    pause: Duration,
) -> Result<Bytes, ShimError> {
    if declared_length(headers).is_some_and(|length| length > limit) {
        // A client that waits for `100 Continue` has not sent anything yet and must not.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut body).await;
        }
        return Err(ShimError::BodyTooLarge);
    }
    let mut content = BytesMut::new();
    while let Some(piece) = next_piece(&mut body, pause).await? {
        if content.len() + piece.len() > limit {
            drain(&mut body).await;
            return Err(ShimError::BodyTooLarge);
        }
        content.extend_from_slice(&piece);
    }
    Ok(content.freeze())
}

/// Reads a body as JSON.
pub fn read_json(content: &[u8]) -> Result<Value, ShimError> {
    if content.is_empty() {
        return Err(ShimError::Problems(Problems::empty_body()));
    }
    parse(content)
        .map_err(|error| Problems::not_json(&error).map_or(ShimError::BodyUnreadable, ShimError::Problems))
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn next_piece(body: &mut Body, pause: Duration) -> Result<Option<Bytes>, ShimError> {
    loop {
        let frame = tokio::time::timeout(pause, body.frame()).await.map_err(|_| ShimError::BodyTimeout)?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(ShimError::BodyUnreadable),
            // Trailers say nothing we need.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn drain(body: &mut Body) {
    let read = async {
        let mut dropped = 0;
        while let Ok(Some(piece)) = next_piece(body, PAUSE).await {
            dropped += piece.len();
            if dropped > DRAINED_BYTES {
                return;
            }
        }
    };
    let _too_slow = tokio::time::timeout(DRAINED_FOR, read).await;
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    async fn read(content: &'static str, limit: usize) -> Result<Bytes, ShimError> {
        read_body(&HeaderMap::new(), Body::from(content), limit).await
    }

    #[tokio::test]
    async fn a_body_at_the_limit_is_read_and_one_above_it_is_refused() {
        assert_eq!(read("12345", 5).await.expect("read"), "12345");
        assert!(matches!(read("123456", 5).await, Err(ShimError::BodyTooLarge)));
    }

    #[tokio::test]
    async fn a_declared_length_is_enough_to_refuse() {
        let headers = HeaderMap::from_iter([
            (header::CONTENT_LENGTH, HeaderValue::from_static("6")),
            (header::EXPECT, HeaderValue::from_static("100-continue")),
        ]);
        let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert!(matches!(read_body(&headers, never, 5).await, Err(ShimError::BodyTooLarge)));
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let stuck = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let read = read_paced(&HeaderMap::new(), stuck, 5, Duration::from_millis(1)).await;
        assert!(matches!(read, Err(ShimError::BodyTimeout)));
    }

    #[test]
    fn an_empty_body_lacks_everything() {
        let Err(ShimError::Problems(problems)) = read_json(b"") else { panic!("not refused") };
        let entry = serde_json::to_value(&problems.entries()[0]).expect("JSON");
        let expected =
            serde_json::json!({"type": "missing", "loc": ["body"], "msg": "Field required", "input": null});
        assert_eq!(entry, expected);
    }

    #[test]
    fn malformed_json_is_told_with_its_offset() {
        let Err(ShimError::Problems(problems)) = read_json(b"{") else { panic!("not refused") };
        let entry = serde_json::to_value(&problems.entries()[0]).expect("JSON");
        let expected = serde_json::json!({
            "type": "json_invalid", "loc": ["body", 1], "msg": "JSON decode error", "input": {},
            "ctx": {"error": "Expecting property name enclosed in double quotes"},
        });
        assert_eq!(entry, expected);
        assert!(matches!(read_json(b"\xff"), Err(ShimError::BodyUnreadable)));
    }
}
