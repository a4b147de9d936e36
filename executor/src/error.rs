//! Every refusal of the HTTP surface: one enum, its code, and what the caller is told.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use protocol::{ErrorBody, ErrorCode, TokenError};

use crate::{
    body::BodyError,
    registry::{ClaimError, ResetError, StillRunning},
    request::Invalid,
    reset::Unproved,
};

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    StillRunning(#[from] StillRunning),
    #[error(transparent)]
    Reset(#[from] ResetError),
    #[error("something may be left of the run: {0}")]
    Unproved(#[from] Unproved),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("no such execution is held here")]
    UnknownExecution,
    #[error("no such route")]
    UnknownRoute,
    #[error("no such file in this outcome")]
    UnknownFile,
    #[error("internal error")]
    Internal(#[source] std::io::Error),
}

impl ApiError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Token(error)
            | Self::Claim(ClaimError::Token(error))
            | Self::Reset(ResetError::Token(error)) => error.into(),
            Self::Claim(ClaimError::Acknowledged | ClaimError::Occupied)
            | Self::StillRunning(_)
            | Self::Reset(ResetError::NotSpent | ResetError::UsedUp)
            | Self::Unproved(_) => ErrorCode::Occupied,
            Self::Claim(ClaimError::Draining) | Self::Reset(ResetError::Draining) | Self::NotReady(_) => {
                ErrorCode::Draining
            }
            Self::Body(BodyError::LineTooLong) => ErrorCode::TooLarge,
            Self::Invalid(_) | Self::Body(BodyError::TooLong) => ErrorCode::InvalidRequest,
            Self::UnknownExecution | Self::UnknownRoute | Self::UnknownFile => ErrorCode::UnknownExecution,
            // The line did not arrive. That is not the user's fault, and nothing was started: the sender may try again.
            Self::Body(BodyError::Ended | BodyError::Silent | BodyError::Transport(_))
            | Self::Internal(_) => ErrorCode::Internal,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.code();
        if let Self::Internal(source) = &self {
            tracing::error!(error = %source, "request failed");
        }
        if let Self::Body(error) = &self {
            tracing::warn!(%error, "the request could not be read");
        }
        if let Self::Unproved(error) = &self {
            tracing::warn!(%error, "the sandbox is not used again");
        }
        let field = if let Self::Invalid(invalid) = &self { invalid.field.clone() } else { None };
        let epoch = match &self {
            Self::Token(TokenError::OldEpoch { highest, .. })
            | Self::Claim(ClaimError::Token(TokenError::OldEpoch { highest, .. }))
            | Self::Reset(ResetError::Token(TokenError::OldEpoch { highest, .. })) => Some(*highest),
            _ => None,
        };
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(ErrorBody { code, message: self.to_string(), field, epoch })).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_did_not_arrive_is_not_an_invalid_one() {
        let broken = axum::Error::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        for (error, code) in [
            (BodyError::Ended, ErrorCode::Internal),
            (BodyError::Silent, ErrorCode::Internal),
            (BodyError::Transport(broken), ErrorCode::Internal),
            (BodyError::LineTooLong, ErrorCode::TooLarge),
            (BodyError::TooLong, ErrorCode::InvalidRequest),
        ] {
            let error = ApiError::from(error);
            assert_eq!(error.code(), code, "{error}");
        }
    }
}
