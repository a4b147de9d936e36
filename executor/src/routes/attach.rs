//! `GET /v1/executions/{uid}`: the frames of a held execution from its beginning. Never starts anything.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use protocol::Method;

use crate::{app::App, error::ApiError};

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(uid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    app.authorize(&headers, Method::Attach, Some(&uid))?;
    Ok(super::frames(app.held(&uid)?).await)
}
