//! How an execution ended → what a dialect answers: the one table, exhaustive over the reasons. Pure.
//!
//! | reason | bee/tgpt | onyx |
//! |---|---|---|
//! | Completed, NonZeroExit | 200, the exit code | 200, the exit code |
//! | Signalled | 200, -1 | 200, 128 + signal |
//! | OutOfMemory, Cancelled | 200, -1 | 200, 137 (SIGKILL) |
//! | TimedOut | 200, -1 and a line on stderr | 200, null and `timed_out` |
//! | FileUnavailable | 404 of the input | 404 of the input |
//! | DiskFull | 200, 1, the message on stderr | 200, 1, the message on stderr |
//! | StartDeadlineExceeded, CapacityUnavailable | by `failure.cause`: 503 quota or unschedulable, 500 when it can never start | the same |
//! | Invalid, Lost | 500 | 500 |

use crds::{
    CodeExecutionStatus, Reason,
    code_execution::{Failure, FailureCause},
};

const SIGKILL: i32 = 9;

/// How a program that ran has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal.
    Killed(i32),
    /// At its deadline.
    TimedOut,
    /// Before its start: the workspace could not take the inputs.
    NoSpace,
}

impl Ending {
    /// bee's `exit_code`.
    #[must_use]
    pub fn bee_code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::NoSpace => 1,
            Self::Killed(_) | Self::TimedOut => -1,
        }
    }

    /// onyx's `exit_code`.
    #[must_use]
    pub fn onyx_code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            Self::NoSpace => Some(1),
            Self::Killed(signal) => Some(128 + signal),
            Self::TimedOut => None,
        }
    }
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// A quota is used up.
    Quota,
    /// No node fits, or no sandbox became ready in time.
    Unschedulable,
    /// The pool has neither a free sandbox nor a place in its queue; told before anything is created.
    QueueFull,
}

/// Why a program did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRun {
    /// An input is gone; the place in `spec.files` when it is known.
    FileUnavailable(Option<usize>),
    /// No room.
    NoRoom(NoRoom),
    /// Nothing the client can do anything about; the text is for the log only.
    Broken(String),
}

/// Reads a terminal status.
pub fn ending(status: &CodeExecutionStatus) -> Result<Ending, NotRun> {
    let Some(reason) = status.reason else {
        return Err(NotRun::Broken("finished without a reason".to_owned()));
    };
    match reason {
        Reason::Completed => Ok(Ending::Exited(status.exit_code.unwrap_or(0))),
        Reason::NonZeroExit => Ok(Ending::Exited(status.exit_code.unwrap_or(1))),
        Reason::Signalled => Ok(Ending::Killed(status.signal.unwrap_or(SIGKILL))),
        Reason::OutOfMemory | Reason::Cancelled => Ok(Ending::Killed(SIGKILL)),
        Reason::TimedOut => Ok(Ending::TimedOut),
        Reason::FileUnavailable => {
            Err(NotRun::FileUnavailable(status.failure.as_ref().and_then(input_index)))
        }
        Reason::DiskFull => Ok(Ending::NoSpace),
        Reason::StartDeadlineExceeded | Reason::CapacityUnavailable => {
            Err(no_sandbox(reason, status.failure.as_ref()))
        }
        Reason::Invalid | Reason::Lost => Err(NotRun::Broken(described(reason, status.failure.as_ref()))),
    }
}

/// A pool whose pods can never start is a fault of the installation: waiting does not help (contract, section
/// 2.8). Without a cause no sandbox became ready in time.
fn no_sandbox(reason: Reason, failure: Option<&Failure>) -> NotRun {
    match failure.and_then(|failure| failure.cause) {
        Some(FailureCause::QuotaExceeded) => NotRun::NoRoom(NoRoom::Quota),
        Some(FailureCause::CannotStart) => NotRun::Broken(described(reason, failure)),
        Some(FailureCause::Unschedulable | FailureCause::VolumeUnavailable) | None => {
            NotRun::NoRoom(NoRoom::Unschedulable)
        }
    }
}

fn described(reason: Reason, failure: Option<&Failure>) -> String {
    let failure = failure.cloned().unwrap_or_default();
    format!("{}: {} {}", reason.as_str(), failure.field.unwrap_or_default(), failure.message)
}

/// The number in `files[3].source`.
fn input_index(failure: &Failure) -> Option<usize> {
    let (_, rest) = failure.field.as_deref()?.split_once("files[")?;
    rest.split_once(']')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(reason: Reason, exit_code: Option<i32>, signal: Option<i32>) -> CodeExecutionStatus {
        CodeExecutionStatus { reason: Some(reason), exit_code, signal, ..CodeExecutionStatus::default() }
    }

    #[test]
    fn every_reason_has_its_row() {
        let rows: Vec<_> = Reason::ALL
            .into_iter()
            .map(|reason| match ending(&status(reason, Some(3), Some(11))) {
                Ok(ended) => (reason, Some((ended.bee_code(), ended.onyx_code()))),
                Err(_) => (reason, None),
            })
            .collect();
        assert_eq!(
            rows,
            [
                (Reason::Completed, Some((3, Some(3)))),
                (Reason::NonZeroExit, Some((3, Some(3)))),
                (Reason::Signalled, Some((-1, Some(139)))),
                (Reason::TimedOut, Some((-1, None))),
                (Reason::OutOfMemory, Some((-1, Some(137)))),
                (Reason::DiskFull, Some((1, Some(1)))),
                (Reason::Cancelled, Some((-1, Some(137)))),
                (Reason::Invalid, None),
                (Reason::FileUnavailable, None),
                (Reason::StartDeadlineExceeded, None),
                (Reason::CapacityUnavailable, None),
                (Reason::Lost, None),
            ]
        );
    }

    fn failed(reason: Reason, field: Option<&str>, message: &str) -> Option<NotRun> {
        let failure = Failure {
            cause: None,
            field: field.map(str::to_owned),
            value: None,
            message: message.to_owned(),
        };
        ending(&CodeExecutionStatus { failure: Some(failure), ..status(reason, None, None) }).err()
    }

    #[test]
    fn the_failed_input_is_found_by_its_place() {
        let found = |field| failed(Reason::FileUnavailable, field, "gone");
        assert_eq!(found(Some("files[3].source")), Some(NotRun::FileUnavailable(Some(3))));
        assert_eq!(found(Some("spec.files[0].source.sha256")), Some(NotRun::FileUnavailable(Some(0))));
        assert_eq!(found(None), Some(NotRun::FileUnavailable(None)));
    }

    #[test]
    fn the_cause_decides_and_not_the_words() {
        let cause = |reason, cause| {
            let message = "exceeded quota: q; ErrImagePull: x".to_owned();
            let failure = Failure { cause, message, ..Failure::default() };
            ending(&CodeExecutionStatus { failure: Some(failure), ..status(reason, None, None) }).err()
        };
        for reason in [Reason::CapacityUnavailable, Reason::StartDeadlineExceeded] {
            for (given, expected) in [
                (None, NoRoom::Unschedulable),
                (Some(FailureCause::QuotaExceeded), NoRoom::Quota),
                (Some(FailureCause::Unschedulable), NoRoom::Unschedulable),
                (Some(FailureCause::VolumeUnavailable), NoRoom::Unschedulable),
            ] {
                assert_eq!(cause(reason, given), Some(NotRun::NoRoom(expected)), "{given:?}");
            }
            assert!(matches!(cause(reason, Some(FailureCause::CannotStart)), Some(NotRun::Broken(_))));
        }
    }
}
