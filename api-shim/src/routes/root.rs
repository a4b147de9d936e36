//! `GET /`: who answers here.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::Shared;

/// The answer of `GET /`.
#[derive(Debug, Serialize, ToSchema)]
pub struct RootAnswer {
    /// Always `carrel`.
    name: &'static str,
    /// Our semantic version.
    version: String,
}

/// The service and its version.
#[utoipa::path(get, path = "/", tag = "service", responses((status = 200, body = RootAnswer)))]
pub async fn root(State(app): State<Shared>) -> Json<RootAnswer> {
    Json(RootAnswer { name: "carrel", version: app.config.health.version.clone() })
}
