//! `X-Request-Id`: taken from the request when it is well-formed, made otherwise, on every answer and in
//! every log line of the request.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument;
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request that is being served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// The middleware.
pub async fn request_id(mut request: Request, next: Next) -> Response {
    let id = sent_id(request.headers()).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let span = tracing::info_span!("request", request_id = %id, method = %request.method(), path = request.uri().path());
    // Both forms of an id are ASCII, so the header can always be made.
    let header = HeaderValue::from_str(&id);
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).instrument(span).await;
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

/// `^[0-9A-Za-z._-]{1,128}$`
fn sent_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    ((1..=128).contains(&id.len()) && plain).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_id_is_taken() {
        let sent =
            |value: &str| HeaderMap::from_iter([(HEADER, HeaderValue::from_str(value).expect("a value"))]);
        for good in ["a", "A-1_b.c", &"x".repeat(128)] {
            assert_eq!(sent_id(&sent(good)), Some(good));
        }
        for bad in ["", "a b", "a/b", "é", &"x".repeat(129)] {
            assert_eq!(sent_id(&sent(bad)), None, "{bad:?}");
        }
    }
}
