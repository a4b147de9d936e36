//! The error body and its closed set of codes.

use serde::{Deserialize, Serialize};

use crate::TokenError;

/// Body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// What kind of error.
    pub code: ErrorCode,
    /// For a person.
    pub message: String,
    /// The field of the request at fault, when one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The highest epoch that the executor has met, with [`ErrorCode::OldEpoch`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// What kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// No token, a forged one, or one for something else.
    BadToken,
    /// The token came too late.
    TokenExpired,
    /// The token is for another pod.
    WrongPod,
    /// A newer leader has been here.
    OldEpoch,
    /// The request makes no sense; `field` says where.
    InvalidRequest,
    /// The request is larger than an executor takes.
    TooLarge,
    /// No such execution is held.
    UnknownExecution,
    /// Another execution is held or was held, or the state does not allow the request.
    Occupied,
    /// The executor starts nothing any more, or not yet.
    Draining,
    /// The executor failed.
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 10] = [
        Self::BadToken,
        Self::TokenExpired,
        Self::WrongPod,
        Self::OldEpoch,
        Self::InvalidRequest,
        Self::TooLarge,
        Self::UnknownExecution,
        Self::Occupied,
        Self::Draining,
        Self::Internal,
    ];

    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::BadToken | Self::TokenExpired => 401,
            Self::WrongPod | Self::OldEpoch => 403,
            Self::UnknownExecution => 404,
            Self::Occupied => 409,
            Self::TooLarge => 413,
            Self::Internal => 500,
            Self::Draining => 503,
        }
    }
}

impl From<&TokenError> for ErrorCode {
    fn from(error: &TokenError) -> Self {
        match error {
            TokenError::Malformed
            | TokenError::UnknownKey
            | TokenError::BadSignature
            | TokenError::WrongMethod
            | TokenError::WrongExecution
            | TokenError::TooFarAhead => Self::BadToken,
            TokenError::Expired => Self::TokenExpired,
            TokenError::WrongPod => Self::WrongPod,
            TokenError::OldEpoch { .. } => Self::OldEpoch,
        }
    }
}
