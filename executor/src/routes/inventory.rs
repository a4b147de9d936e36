//! `GET /v1/inventory`: who this is and what it holds.

use std::sync::Arc;

use axum::{Json, extract::State, http::HeaderMap};
use protocol::{Inventory, Method};

use crate::{app::App, error::ApiError};

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Json<Inventory>, ApiError> {
    app.authorize(&headers, Method::Inventory, None)?;
    Ok(Json(app.inventory()))
}
