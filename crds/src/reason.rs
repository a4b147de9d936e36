//! Why an execution ended: a closed set, each with a class and whether trying again can help.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an execution ended. The set is part of the API; what each means in a wire dialect is in
/// `docs/REASONS.md` and in one table of the shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    /// The program ended with 0.
    Completed,
    /// The program ended with another code.
    NonZeroExit,
    /// A signal ended the program.
    Signalled,
    /// The program ran longer than `timeoutMilliseconds`.
    TimedOut,
    /// The program was ended because it used more memory than it may.
    OutOfMemory,
    /// The workspace could not take the inputs.
    DiskFull,
    /// `cancel` was set.
    Cancelled,
    /// The spec cannot be run; `failure` names the field.
    Invalid,
    /// A file that the spec names does not exist, is not ready or has expired; `failure` names it.
    FileUnavailable,
    /// No sandbox was free within `startDeadlineSeconds`.
    StartDeadlineExceeded,
    /// No sandbox can be had: a quota is used up or the pool cannot start pods.
    CapacityUnavailable,
    /// The sandbox was lost while the program may have run. It is never run a second time.
    Lost,
}

/// Whose fault an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The program or its request.
    User,
    /// Carrel or the cluster.
    Platform,
}

impl Reason {
    /// All reasons, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Completed,
        Self::NonZeroExit,
        Self::Signalled,
        Self::TimedOut,
        Self::OutOfMemory,
        Self::DiskFull,
        Self::Cancelled,
        Self::Invalid,
        Self::FileUnavailable,
        Self::StartDeadlineExceeded,
        Self::CapacityUnavailable,
        Self::Lost,
    ];

    /// Whose fault it is.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::StartDeadlineExceeded | Self::CapacityUnavailable | Self::Lost => Class::Platform,
            Self::Completed
            | Self::NonZeroExit
            | Self::Signalled
            | Self::TimedOut
            | Self::OutOfMemory
            | Self::DiskFull
            | Self::Cancelled
            | Self::Invalid
            | Self::FileUnavailable => Class::User,
        }
    }

    /// Whether the same request may succeed later. `Lost` may have run, so only its owner can decide.
    #[must_use]
    pub fn retryable(self) -> bool {
        matches!(self, Self::StartDeadlineExceeded | Self::CapacityUnavailable)
    }

    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::NonZeroExit => "NonZeroExit",
            Self::Signalled => "Signalled",
            Self::TimedOut => "TimedOut",
            Self::OutOfMemory => "OutOfMemory",
            Self::DiskFull => "DiskFull",
            Self::Cancelled => "Cancelled",
            Self::Invalid => "Invalid",
            Self::FileUnavailable => "FileUnavailable",
            Self::StartDeadlineExceeded => "StartDeadlineExceeded",
            Self::CapacityUnavailable => "CapacityUnavailable",
            Self::Lost => "Lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_what_serde_writes() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }

    #[test]
    fn only_platform_failures_that_never_started_are_worth_a_retry() {
        for reason in Reason::ALL.into_iter().filter(|r| r.retryable()) {
            assert_eq!(reason.class(), Class::Platform, "{reason:?}");
        }
        assert!(!Reason::Lost.retryable());
    }
}
