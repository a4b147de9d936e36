//! `GET /healthz` and `GET /readyz`: for the kubelet, without a token.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::app::App;

/// The process serves.
pub(crate) async fn healthz() -> &'static str {
    "ok"
}

/// A run can start.
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Response {
    let readiness = app.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}
