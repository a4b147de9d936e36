//! `POST /v1/executions/{uid}/reset`: the acknowledged run is over in every respect; another one may follow it.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use protocol::Method;

use crate::{app::App, error::ApiError, reset};

pub(crate) async fn post(
    State(app): State<Arc<App>>,
    Path(uid): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let claims = app.authorize(&headers, Method::Reset, Some(&uid))?;
    reset::reset(app, &uid, &claims).await?;
    Ok(StatusCode::NO_CONTENT)
}
