//! What a failed request to an executor means for a run: pure. On this rests that nothing is started twice.

use protocol::{ErrorBody, ErrorCode};

use crate::executor_client::CallError;

/// What a failed request means for the run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It certainly was not started there and will not be.
    Elsewhere,
    /// No pod will start it.
    Invalid,
    /// It was not started, for the request took too long.
    TooLate,
    /// It may run there: ask the same pod again.
    Again,
    /// It may have run there, and the pod knows nothing of it any more.
    Unknown,
}

/// `accepted` is whether an earlier request may have started it.
pub(crate) fn verdict(error: &CallError, accepted: bool) -> Verdict {
    match error {
        CallError::Connect(_) if !accepted => Verdict::Elsewhere,
        CallError::Connect(_) | CallError::Broken(_) | CallError::NotLeader(_) | CallError::Malformed(_) => {
            Verdict::Again
        }
        CallError::Refused(body) => refusal(body, accepted),
    }
}

fn refusal(body: &ErrorBody, accepted: bool) -> Verdict {
    match (body.code, accepted) {
        (ErrorCode::TokenExpired, false) => Verdict::TooLate,
        (ErrorCode::TokenExpired | ErrorCode::OldEpoch, true) | (ErrorCode::Internal, _) => Verdict::Again,
        (ErrorCode::InvalidRequest | ErrorCode::TooLarge, false) => Verdict::Invalid,
        (_, false) => Verdict::Elsewhere,
        // The same address is another pod by now, or the executor has forgotten the run.
        (_, true) => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn refused(code: ErrorCode) -> CallError {
        CallError::Refused(Box::new(ErrorBody { code, message: String::new(), field: None, epoch: None }))
    }

    #[test]
    fn only_what_was_certainly_not_accepted_goes_elsewhere() {
        let connect = || CallError::Connect(io::Error::from(io::ErrorKind::ConnectionRefused));
        let broken = || CallError::Broken("gone".into());
        for (error, fresh, accepted) in [
            (connect(), Verdict::Elsewhere, Verdict::Again),
            (broken(), Verdict::Again, Verdict::Again),
            (CallError::Malformed(String::new()), Verdict::Again, Verdict::Again),
            (refused(ErrorCode::Occupied), Verdict::Elsewhere, Verdict::Unknown),
            (refused(ErrorCode::Draining), Verdict::Elsewhere, Verdict::Unknown),
            (refused(ErrorCode::OldEpoch), Verdict::Elsewhere, Verdict::Again),
            (refused(ErrorCode::WrongPod), Verdict::Elsewhere, Verdict::Unknown),
            (refused(ErrorCode::TokenExpired), Verdict::TooLate, Verdict::Again),
            (refused(ErrorCode::InvalidRequest), Verdict::Invalid, Verdict::Unknown),
            (refused(ErrorCode::UnknownExecution), Verdict::Elsewhere, Verdict::Unknown),
            (refused(ErrorCode::Internal), Verdict::Again, Verdict::Again),
        ] {
            assert_eq!(verdict(&error, false), fresh, "{error:?}");
            assert_eq!(verdict(&error, true), accepted, "{error:?} after a request that may have arrived");
        }
    }
}
