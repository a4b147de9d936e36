//! Everything a route can refuse or fail with: one enum, one status and one body each (contract, section 3).
//! A 4xx tells, a 5xx hides: its cause goes to the log only, found by the request id.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{paths::OnyxPathError, reasons::NoRoom, validate::Problems};

/// A cause that is logged and never shown.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// No usable credential was sent.
    #[error("not authenticated")]
    NotAuthenticated,
    /// The credential is unknown.
    #[error("invalid token")]
    InvalidToken,
    /// The identity is in no tenant.
    #[error("the identity is in no tenant")]
    NoTenant,
    /// The identity may not run programs in its tenant.
    #[error("the identity may not create executions in its tenant")]
    NotAllowed,
    /// The guard refused it.
    #[error("refused by the guard: {0}")]
    Guarded(&'static str),
    /// Above the body limit.
    #[error("the body is too large")]
    BodyTooLarge,
    /// The body stopped coming.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// The body is no text.
    #[error("the body cannot be read")]
    BodyUnreadable,
    /// The dialect header names none.
    #[error("unknown dialect")]
    UnknownDialect,
    /// What is wrong with the body.
    #[error("the body is refused")]
    Problems(Problems),
    /// The chat id is empty.
    #[error("the chat id is empty")]
    ChatIdMissing,
    /// `timeout_ms` is above this.
    #[error("timeout_ms is above {0}")]
    TimeoutTooLong(i64),
    /// An onyx path.
    #[error(transparent)]
    OnyxPath(OnyxPathError),
    /// A bee/tgpt input.
    #[error("no input for {path}")]
    BeeFileNotFound {
        /// The key of `files`.
        path: String,
    },
    /// An onyx input.
    #[error("no file {id} for {path}")]
    OnyxFileNotFound {
        /// The id.
        id: String,
        /// The path.
        path: String,
    },
    /// All slots are taken.
    #[error("all slots are taken")]
    Saturated {
        /// `Retry-After` in seconds.
        retry_after_seconds: u64,
    },
    /// The cluster has no room.
    #[error("the cluster has no room: {room:?}")]
    NoRoom {
        /// Why.
        room: NoRoom,
        /// `Retry-After` in seconds.
        retry_after_seconds: u64,
    },
    /// Something that is needed does not answer now.
    #[error("{why}")]
    Unavailable {
        /// For the log.
        why: String,
        /// `Retry-After` in seconds.
        retry_after_seconds: u64,
    },
    /// No such path.
    #[error("no such path")]
    NotFound,
    /// Not with this method.
    #[error("no such method")]
    MethodNotAllowed,
    /// Anything else.
    #[error("{context}")]
    Internal {
        /// What was being done.
        context: &'static str,
        /// Why it failed.
        #[source]
        cause: Cause,
    },
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    detail: &'a [crate::validate::Problem],
}

impl ShimError {
    /// A failure that is not the client's.
    pub fn internal(context: &'static str, cause: impl Into<Cause>) -> Self {
        Self::Internal { context, cause: cause.into() }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotAuthenticated | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::NoTenant | Self::NotAllowed | Self::Guarded(_) | Self::ChatIdMissing => {
                StatusCode::FORBIDDEN
            }
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyUnreadable | Self::UnknownDialect => StatusCode::BAD_REQUEST,
            Self::Problems(_) | Self::TimeoutTooLong(_) | Self::OnyxPath(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::BeeFileNotFound { .. } | Self::OnyxFileNotFound { .. } | Self::NotFound => {
                StatusCode::NOT_FOUND
            }
            Self::Saturated { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NoRoom { .. } | Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Internal { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The sentence of the answer.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::NotAuthenticated => "Not authenticated".to_owned(),
            Self::InvalidToken => "Invalid token".to_owned(),
            Self::NoTenant => "This identity belongs to no tenant".to_owned(),
            Self::NotAllowed => {
                "This identity may not create codeexecutions.carrel.dev in the namespace of its tenant"
                    .to_owned()
            }
            Self::Guarded(_) => "Spawn requests must originate from an internal URL / IP".to_owned(),
            Self::BodyTooLarge => "Request body too large".to_owned(),
            Self::BodyTimeout => "Request body did not arrive in time".to_owned(),
            Self::BodyUnreadable => "There was an error parsing the body".to_owned(),
            Self::UnknownDialect => "Unknown dialect".to_owned(),
            Self::Problems(_) => "Unprocessable Entity".to_owned(),
            Self::ChatIdMissing => "Chat ID required but missing".to_owned(),
            Self::TimeoutTooLong(most) => format!("timeout_ms exceeds maximum of {most} ms"),
            Self::OnyxPath(error) => error.to_string(),
            Self::BeeFileNotFound { .. } => "File not found".to_owned(),
            Self::OnyxFileNotFound { id, path } => {
                format!("File with ID '{id}' not found for path '{path}'.")
            }
            Self::Saturated { .. } => {
                "Execution capacity on this replica is saturated. Retry after the Retry-After delay."
                    .to_owned()
            }
            Self::NoRoom { room: NoRoom::Quota, .. } => {
                "Executor capacity unavailable (quota_exceeded): the quota for sandboxes is used up"
                    .to_owned()
            }
            Self::NoRoom { room: NoRoom::Unschedulable, .. } => {
                "Executor capacity unavailable (unschedulable): no sandbox became ready in time".to_owned()
            }
            Self::NoRoom { room: NoRoom::QueueFull, .. } => {
                "Executor capacity unavailable (unschedulable): no sandbox is free and the queue is full"
                    .to_owned()
            }
            Self::Unavailable { .. } => {
                "The service is unavailable. Retry after the Retry-After delay.".to_owned()
            }
            Self::NotFound => "Not Found".to_owned(),
            Self::MethodNotAllowed => "Method Not Allowed".to_owned(),
            Self::Internal { .. } => "Internal Server Error".to_owned(),
        }
    }

    /// The whole answer; `key` is what the route's dialect calls an error.
    #[must_use]
    pub fn respond(&self, key: &str) -> Response {
        self.log();
        let mut response = match self {
            Self::Problems(problems) => {
                (self.status(), Json(ProblemBody { detail: problems.entries() })).into_response()
            }
            _ => (self.status(), Json(self.body(key))).into_response(),
        };
        let headers = response.headers_mut();
        if let Self::Saturated { retry_after_seconds }
        | Self::NoRoom { retry_after_seconds, .. }
        | Self::Unavailable { retry_after_seconds, .. } = self
        {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_seconds));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    fn body(&self, key: &str) -> Value {
        match self {
            Self::BeeFileNotFound { path } => json!({ key: self.detail(), "path": path }),
            _ => json!({ key: self.detail() }),
        }
    }

    /// Logs what an answer hides.
    pub fn log(&self) {
        match self {
            Self::Internal { context, cause } => {
                tracing::error!(error = %telemetry::with_causes(cause.as_ref()), "request failed: {context}");
            }
            Self::Guarded(why) => tracing::info!("refused by the guard: {why}"),
            Self::NoRoom { .. } | Self::Unavailable { .. } => tracing::warn!("{self}"),
            _ => tracing::debug!("request refused: {self}"),
        }
    }
}

impl IntoResponse for ShimError {
    fn into_response(self) -> Response {
        self.respond("detail")
    }
}
