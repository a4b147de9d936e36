//! One verb per file: check the permission, call, respond. The router is in `server.rs`.

pub(crate) mod acknowledge;
pub(crate) mod attach;
pub(crate) mod cancel;
pub(crate) mod execute;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod inventory;
pub(crate) mod reset;

use std::sync::Arc;

use axum::{
    body::Body,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use protocol::routes::FRAMES_MEDIA_TYPE;

use crate::{frames::FrameLog, held::HeldRun};

/// Answers with all frames of the run from its beginning; waits for the first one.
async fn frames(run: Arc<HeldRun>) -> Response {
    run.frames.begun().await;
    let body = Body::from_stream(FrameLog::lines(run));
    ([(CONTENT_TYPE, FRAMES_MEDIA_TYPE)], body).into_response()
}
