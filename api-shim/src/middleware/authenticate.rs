//! Who sent the request; everybody else is turned away here, whatever they ask for.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tracing::Span;

use super::{is_probe, request_id::NAMESPACE};
use crate::{routes::error_key, state::Shared};

/// Probes and scrapers have no credential; the UUID in an image's name is one.
fn is_open(path: &str) -> bool {
    is_probe(path) || path.starts_with("/image/")
}

/// The middleware. It leaves who was let in, as [`crate::gate::Admitted`], with the request.
pub async fn authenticate(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    if is_open(request.uri().path()) {
        return next.run(request).await;
    }
    match app.gate.admit(request.headers()).await {
        Ok(admitted) => {
            Span::current().record(NAMESPACE, admitted.tenant.namespace.as_str());
            request.extensions_mut().insert(admitted);
            next.run(request).await
        }
        Err(error) => error.respond(error_key(request.uri().path())),
    }
}
