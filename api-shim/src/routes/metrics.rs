//! `GET /metrics`: all series as text.

use axum::{extract::State, response::Response};

use crate::state::Shared;

/// All series in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "service", responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(State(app): State<Shared>) -> Response {
    let out_of_sync = app.gate.tenants().filter(|tenant| !tenant.is_in_sync()).count();
    app.metrics.set_out_of_sync(out_of_sync);
    telemetry::exposition(&app.registry)
}
