//! The guard in front of one route; the decision itself is in `crate::guard`.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use crate::{error::ShimError, guard::Connection, routes::error_key, state::Shared};

/// The middleware.
pub async fn guard(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().copied();
    match app.config.guard.check(connection, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => ShimError::Guarded(why).respond(error_key(request.uri().path())),
    }
}
