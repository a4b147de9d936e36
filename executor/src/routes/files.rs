//! `GET /v1/executions/{uid}/files/{index}`: the bytes of one changed file, streamed.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{
        HeaderMap,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use protocol::Method;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::{app::App, error::ApiError, request::Invalid};

const CHUNK_BYTES: usize = 256 * 1024;

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path((uid, index)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    app.authorize(&headers, Method::ReadFile, Some(&uid))?;
    let index: usize = index.parse().map_err(|error: std::num::ParseIntError| Invalid {
        field: Some("index".to_owned()),
        message: error.to_string(),
    })?;
    let run = app.held(&uid)?;
    let files = run.files.get().ok_or(ApiError::UnknownFile)?;
    let (file, size) = files.open(index).map_err(ApiError::Internal)?.ok_or(ApiError::UnknownFile)?;
    // Never more than was announced, even if the file could still grow.
    let reader = tokio::fs::File::from_std(file).take(size);
    // Who takes a large file slowly is still there.
    let chunks = ReaderStream::with_capacity(reader, CHUNK_BYTES).inspect(move |_| app.hear());
    let body = Body::from_stream(chunks);
    let headers = [(CONTENT_LENGTH, size.to_string()), (CONTENT_TYPE, "application/octet-stream".to_owned())];
    Ok((headers, body).into_response())
}
