//! `POST /v1/execute` in two dialects: the body decides which (contract, sections 2.2, 6 and 9.1).

use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Local, TimeDelta, Utc};
use crds::code_execution::Outputs;
use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use crate::{
    answer::{Finished, TgptExtras, bee_answer, onyx_answer},
    dispatch::{BeeForm, DIALECT_HEADER, DispatchError, Dispatched, dispatch},
    draft::Draft,
    error::ShimError,
    executions::Origin,
    gate::Admitted,
    metrics::Operation,
    prepare::{self, Asked},
    schema::{ExecuteAnswer, ExecuteBody},
    state::{AppState, Shared},
};

/// Runs a program once.
#[utoipa::path(post, path = "/v1/execute", tag = "execute", request_body = ExecuteBody, responses(
    (status = 200, body = ExecuteAnswer), (status = 400), (status = 401), (status = 403), (status = 404),
    (status = 413), (status = 422), (status = 429), (status = 500), (status = 503)))]
pub async fn execute(
    State(app): State<Shared>,
    Extension(admitted): Extension<Admitted>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ShimError> {
    let asked = Asked::now(admitted, origin);
    let (value, held) = app.bodies.read_json(Operation::execute, &headers, body).await?;
    let forced = headers.get(DIALECT_HEADER).map(http::HeaderValue::as_bytes);
    match dispatch(forced, &value).map_err(refused)? {
        Dispatched::Bee(body, form) => {
            let request = prepare::bee_request(&app, body, &asked)?;
            drop(value);
            let draft = prepare::bee_draft(&request, &asked).await?;
            let outputs = draft.spec.outputs.clone();
            let finished = run(&app, &asked, draft.holding(held)).await?;
            let extras = (form == BeeForm::Tgpt).then(|| extras(request.chat_id, &outputs, &finished));
            Ok(Json(bee_answer(&finished, prepare::output_limit(&app), extras)).into_response())
        }
        Dispatched::Onyx(body) => {
            let request = prepare::onyx_request(&app, body)?;
            drop(value);
            let draft = prepare::onyx_draft(&request, &asked).await?;
            let finished = run(&app, &asked, draft.holding(held)).await?;
            Ok(Json(onyx_answer(&finished, prepare::output_limit(&app))).into_response())
        }
    }
}

fn refused(error: DispatchError) -> ShimError {
    match error {
        DispatchError::UnknownDialect => ShimError::UnknownDialect,
        DispatchError::Problems(problems) => ShimError::Problems(problems),
    }
}

/// Runs to the end, whether or not the client stays.
async fn run(app: &AppState, asked: &Asked, draft: Draft) -> Result<Finished, ShimError> {
    let slot = app.enter(asked, Operation::execute).await?;
    let running = asked.tenant.runs.start(draft, slot, CancellationToken::new());
    running.result.await.map_err(|error| ShimError::internal("running an execution", error))?
}

fn extras(chat_id: String, outputs: &Outputs, finished: &Finished) -> TgptExtras {
    let end = finished.status.completion_time.unwrap_or_else(Utc::now);
    let expires_at =
        outputs.ttl_seconds.and_then(TimeDelta::try_seconds).and_then(|ttl| end.checked_add_signed(ttl));
    // The clients' clock is ours: local time without an offset.
    let local = |end: DateTime<Utc>| end.with_timezone(&Local).naive_local();
    TgptExtras { chat_id, max_downloads: outputs.max_downloads, expires_at: expires_at.map(local) }
}
