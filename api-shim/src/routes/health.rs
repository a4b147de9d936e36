//! `GET /health` and `GET /ready`: the same body, from memory and from a live check.

use axum::{Json, extract::State};
use http::StatusCode;

use crate::{health::HealthAnswer, state::Shared};

/// The state of the backend as last seen; 503 only when nobody has seen it for too long.
#[utoipa::path(get, path = "/health", tag = "service",
    responses((status = 200, body = HealthAnswer), (status = 503, body = HealthAnswer)))]
pub async fn health(State(app): State<Shared>) -> (StatusCode, Json<HealthAnswer>) {
    let (answer, fine) = app.health.remembered();
    (status(fine), Json(answer))
}

/// The state of the backend now.
#[utoipa::path(get, path = "/ready", tag = "service",
    responses((status = 200, body = HealthAnswer), (status = 503, body = HealthAnswer)))]
pub async fn ready(State(app): State<Shared>) -> (StatusCode, Json<HealthAnswer>) {
    let (answer, ready) = app.health.live().await;
    (status(ready), Json(answer))
}

const fn status(fine: bool) -> StatusCode {
    if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
