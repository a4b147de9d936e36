//! `POST /v1/executions/{uid}/cancel`: asks for the end; the outcome says when it came.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use protocol::Method;

use crate::{app::App, error::ApiError};

pub(crate) async fn post(
    State(app): State<Arc<App>>,
    Path(uid): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    app.authorize(&headers, Method::Cancel, Some(&uid))?;
    app.held(&uid)?.cancel.cancel();
    Ok(StatusCode::ACCEPTED)
}
