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
//! | StartDeadlineExceeded | 503 unschedulable | 503 unschedulable |
//! | CapacityUnavailable | 503 quota or unschedulable, 500 when it can never start | the same |
//! | Invalid, Lost | 500 | 500 |

use crds::{CodeExecutionStatus, Reason, code_execution::Failure};

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
        Reason::StartDeadlineExceeded => Err(NotRun::NoRoom(room(status.failure.as_ref()))),
        Reason::CapacityUnavailable => Err(no_capacity(status.failure.as_ref())),
        Reason::Invalid | Reason::Lost => Err(NotRun::Broken(described(reason, status.failure.as_ref()))),
    }
}

/// What the operator passes on when a pool's pods can never start: a fault of the installation, and waiting
/// does not help.
const HOPELESS: [&str; 8] = [
    "Forbidden:",
    "Invalid:",
    "ErrImagePull:",
    "ImagePullBackOff:",
    "InvalidImageName:",
    "ErrImageNeverPull:",
    "CreateContainerConfigError:",
    "CreateContainerError:",
];

fn no_capacity(failure: Option<&Failure>) -> NotRun {
    let message = failure.map_or("", |failure| failure.message.as_str());
    let room = room(failure);
    if room == NoRoom::Unschedulable && HOPELESS.iter().any(|word| message.contains(word)) {
        return NotRun::Broken(described(Reason::CapacityUnavailable, failure));
    }
    NotRun::NoRoom(room)
}

/// Kubernetes words a used-up quota in one way, and the operator passes it on.
fn room(failure: Option<&Failure>) -> NoRoom {
    let is_quota = failure.is_some_and(|failure| failure.message.contains("exceeded quota"));
    if is_quota { NoRoom::Quota } else { NoRoom::Unschedulable }
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
    fn a_pool_that_can_never_start_pods_is_no_lack_of_room() {
        let broken =
            failed(Reason::CapacityUnavailable, None, "the pool p cannot make sandboxes: ErrImagePull: x");
        assert!(matches!(broken, Some(NotRun::Broken(_))));
    }

    #[test]
    fn only_an_exceeded_quota_is_called_a_quota() {
        let quota = failed(Reason::CapacityUnavailable, None, "pods \"x\" is forbidden: exceeded quota: q");
        assert_eq!(quota, Some(NotRun::NoRoom(NoRoom::Quota)));
        assert_eq!(
            failed(Reason::CapacityUnavailable, None, "no node"),
            Some(NotRun::NoRoom(NoRoom::Unschedulable))
        );
    }
}
