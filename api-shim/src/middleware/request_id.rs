//! `X-Request-Id`: taken from the request when it is well-formed, made otherwise, on every answer and in
//! every log line of the request.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use telemetry::TraceParent;
use tracing::{Instrument, Span, field::Empty};
use uuid::Uuid;

use super::is_probe;
use crate::executions::Origin;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

const TRACE_PARENT: &str = "traceparent";

/// The field of the request's span that says whose request it is, once that is known.
pub(super) const NAMESPACE: &str = "namespace";

/// The middleware. It leaves an [`Origin`] with the request.
pub async fn request_id(mut request: Request, next: Next) -> Response {
    let id = sent_id(request.headers()).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let span = span(&id, request.method().as_str(), request.uri().path());
    // Both forms of an id are ASCII, so the header can always be made.
    let header = HeaderValue::from_str(&id);
    let sent = sent_trace(request.headers());
    if let Some(context) = sent {
        telemetry::continue_trace(&span, context);
    }
    // Without a collector there is no span of ours to go on from.
    let trace_parent = telemetry::trace_parent(&span).or(sent).map(|context| context.to_string());
    request.extensions_mut().insert(Origin { request_id: id, trace_parent });
    let mut response = next.run(request).instrument(span).await;
    if let Ok(header) = header {
        response.headers_mut().insert(HEADER, header);
    }
    response
}

/// That of a request. Probes have none: each replica would send a collector a few of them every second, for ever.
fn span(id: &str, method: &str, path: &str) -> Span {
    if is_probe(path) {
        return Span::none();
    }
    // At the highest level, so that no setting of the logs takes the id from the lines that are left.
    tracing::error_span!("request", request_id = %id, method, path, namespace = Empty)
}

/// `^[0-9A-Za-z._-]{1,128}$`
fn sent_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    ((1..=128).contains(&id.len()) && plain).then_some(id)
}

/// What is no trace context is not passed on.
fn sent_trace(headers: &HeaderMap) -> Option<TraceParent> {
    TraceParent::parse(headers.get(TRACE_PARENT)?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_have_no_span_and_all_others_have() {
        // Also where nobody wants it, a span knows what it is; only none at all knows nothing.
        let has_span = |path| span("r-1", "GET", path).metadata().is_some();
        for path in ["/health", "/ready", "/metrics"] {
            assert!(!has_span(path), "{path}");
        }
        for path in ["/v1/execute", "/image/x", "/docs", "/healthy"] {
            assert!(has_span(path), "{path}");
        }
    }

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

    #[test]
    fn only_a_well_formed_trace_context_is_passed_on() {
        let sent = |value: &'static str| {
            HeaderMap::from_iter([(HeaderName::from_static(TRACE_PARENT), HeaderValue::from_static(value))])
        };
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(sent_trace(&sent(good)).map(|context| context.to_string()).as_deref(), Some(good));
        for bad in ["", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] {
            assert_eq!(sent_trace(&sent(bad)), None, "{bad}");
        }
    }
}
