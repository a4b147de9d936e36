//! Paths and methods that do not exist.

use axum::response::Response;
use http::Uri;

use super::error_key;
use crate::error::ShimError;

/// No such path.
pub async fn not_found(uri: Uri) -> Response {
    ShimError::NotFound.respond(error_key(uri.path()))
}

/// The path exists, the method does not; the router adds `Allow`.
pub async fn method_not_allowed(uri: Uri) -> Response {
    ShimError::MethodNotAllowed.respond(error_key(uri.path()))
}
