//! Every route on one screen.

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{MethodRouter, get, post},
};

use crate::{middleware, routes, state::Shared};

/// The service's routes with their middleware; the order is explained in `middleware`.
pub(crate) fn router(app: Shared) -> Router {
    let guarded = |route: MethodRouter<Shared>| {
        route.route_layer(from_fn_with_state(app.clone(), middleware::guard::guard))
    };
    Router::new()
        .route("/v1/execute", guarded(post(routes::execute::execute)))
        .route("/v1/execute/stream", guarded(post(routes::execute_stream::execute_stream)))
        .route("/", get(routes::root::root))
        .route("/health", get(routes::health::health))
        .route("/ready", get(routes::health::ready))
        .route("/metrics", get(routes::metrics::metrics))
        .route("/openapi.json", get(routes::docs::openapi))
        .route("/docs", get(routes::docs::page))
        .route("/redoc", get(routes::docs::page))
        .route("/doc/", get(routes::docs::redirect))
        .fallback(routes::fallback::not_found)
        .method_not_allowed_fallback(routes::fallback::method_not_allowed)
        .layer(from_fn_with_state(app.clone(), middleware::authenticate::authenticate))
        .layer(from_fn(middleware::request_id::request_id))
        .with_state(app)
}
