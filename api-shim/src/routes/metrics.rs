//! `GET /metrics`: all series as text.

use axum::{extract::State, response::Response};

use crate::state::Shared;

/// All series in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "service", responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(State(app): State<Shared>) -> Response {
    telemetry::exposition(&app.registry)
}
