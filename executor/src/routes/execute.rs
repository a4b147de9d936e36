//! `PUT /v1/executions/{uid}`: starts the execution, or attaches to it when it is held already.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use protocol::Method;

use crate::{
    app::App,
    body::RequestBody,
    error::ApiError,
    registry::Claimed,
    request::{Invalid, ValidRequest},
    run,
};

pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Path(uid): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let claims = app.authorize(&headers, Method::Execute, Some(&uid))?;
    check_uid(&uid)?;
    let mut body = RequestBody::new(body);
    if let Ok(run) = app.held(&uid) {
        tokio::spawn(body.discard());
        return Ok(super::frames(run).await);
    }
    let request = ValidRequest::parse(&body.line().await?)?;
    let run = match app.claim(&uid, &claims)? {
        Claimed::New(run) => {
            // From here on the caller may go away: the run is its own task.
            run::start(Arc::clone(&app), Arc::clone(&run), request, body);
            run
        }
        Claimed::Held(run) => {
            tokio::spawn(body.discard());
            run
        }
    };
    Ok(super::frames(run).await)
}

/// The uid becomes the name of a directory.
fn check_uid(uid: &str) -> Result<(), Invalid> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (1..=64).contains(&uid.len()) && uid.bytes().all(allowed) {
        Ok(())
    } else {
        let message = "must be 1 to 64 letters, digits or '-'".to_owned();
        Err(Invalid { field: Some("uid".to_owned()), message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_cannot_be_a_path() {
        assert!(check_uid("1b4e28ba-2fa1-11d2-883f-0016d3cca427").is_ok());
        let long = "x".repeat(65);
        for uid in ["", ".", "..", "a/b", "a\0", "é", &long] {
            assert_eq!(check_uid(uid).unwrap_err().field.as_deref(), Some("uid"), "{uid:?}");
        }
    }
}
