//! `POST /v1/execute/stream`: as execute in the onyx dialect, with the output while it comes
//! (contract, section 9.2). Every status is decided before the headers go out.

use axum::{
    Extension,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Version, header};
use tokio_util::sync::CancellationToken;

use crate::{
    error::ShimError,
    events::Events,
    executions::Origin,
    gate::Admitted,
    metrics::Operation,
    prepare::{self, Asked},
    schema::OnyxBody,
    state::Shared,
};

/// Runs a program once and streams its output as server-sent events.
#[utoipa::path(post, path = "/v1/execute/stream", tag = "execute", request_body = OnyxBody, responses(
    (status = 200, body = String, content_type = "text/event-stream"), (status = 400), (status = 401),
    (status = 403), (status = 404), (status = 413), (status = 422), (status = 429), (status = 500), (status = 503)))]
pub async fn execute_stream(
    State(app): State<Shared>,
    Extension(admitted): Extension<Admitted>,
    Extension(origin): Extension<Origin>,
    version: Version,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ShimError> {
    let asked = Asked::now(admitted, origin);
    let (value, held) = app.bodies.read_json(Operation::execute_stream, &headers, body).await?;
    let request = prepare::onyx_request(&app, &value)?;
    drop(value);
    let draft = prepare::onyx_draft(&request, &asked).await?;
    drop(request);
    let slot = app.enter(&asked, Operation::execute_stream).await?;
    // A client that goes away drops this future or the body, and the run with either.
    let cancel = CancellationToken::new();
    let client = cancel.clone().drop_guard();
    let running = asked.tenant.runs.start(draft.holding(held), slot, cancel);
    let events = Events::open(running, &asked.tenant.namespace, app.live.as_ref(), client).await?;
    Ok(respond(events, version))
}

fn respond(events: Events, version: Version) -> Response {
    let mut response = Body::from_stream(events.into_stream()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if version == Version::HTTP_11 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
    }
    response
}
