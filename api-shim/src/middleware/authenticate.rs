//! Who sent the request; everybody else is turned away here, whatever they ask for.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use crate::{routes::error_key, state::Shared};

/// Probes and scrapers have no credential; the UUID in an image's name is one.
fn is_open(path: &str) -> bool {
    matches!(path, "/health" | "/ready" | "/metrics") || path.starts_with("/image/")
}

/// The middleware. It leaves the [`crate::auth::Identity`] with the request.
pub async fn authenticate(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    if is_open(request.uri().path()) {
        return next.run(request).await;
    }
    match app.config.tokens.identify(request.headers()) {
        Ok(identity) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(error) => error.respond(error_key(request.uri().path())),
    }
}
