//! Step 9: how a run ended, from what is known. Pure.

use protocol::{End, Outcome, StartFailure, StreamSummary, Timings, Usage};

use super::{Ended, isolation, process::Status};
use crate::snapshot::Changes;

/// SIGKILL: what the kernel sends when memory is out.
const SIGKILL: i32 = 9;

/// Why the waiting for the main process was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It ended without our doing.
    Itself,
    Deadline,
    Cancel,
}

/// Out of memory is said only where the kernel counted a kill during the run; a SIGKILL from
/// elsewhere stays a signal. A Python `MemoryError` is an ordinary exit.
fn end(cause: Cause, status: Option<Status>, killed_for_memory: bool) -> End {
    match (cause, status) {
        (Cause::Deadline, _) => End::TimedOut,
        (Cause::Cancel, _) => End::Cancelled,
        (Cause::Itself, Some(Status::Exited(code))) => End::Exited { code },
        (Cause::Itself, Some(Status::Signalled(SIGKILL))) if killed_for_memory => End::OutOfMemory,
        (Cause::Itself, Some(Status::Signalled(signal))) => End::Signalled { signal },
        // The waiting ends by itself only with a status.
        (Cause::Itself, None) => End::Signalled { signal: SIGKILL },
    }
}

/// The outcome of a program that ran.
pub(super) fn of(ended: Ended, changes: Changes, timings: Timings) -> Outcome {
    let Ended { cause, status, usage, captured, out_of_memory } = ended;
    Outcome {
        end: end(cause, status, out_of_memory),
        stdout: captured.stdout,
        stderr: captured.stderr,
        files: changes.files,
        files_skipped: changes.skipped,
        files_skipped_count: changes.skipped_count,
        results: captured.results,
        results_truncated: captured.results_truncated,
        timings,
        usage: Usage {
            cpu_milliseconds: u64::try_from(usage.cpu.as_millis()).unwrap_or(u64::MAX),
            peak_memory_bytes: usage.peak_bytes,
        },
        isolation: isolation(),
    }
}

/// The outcome of a program that was not started.
pub(crate) fn never_started(cause: StartFailure, field: Option<String>, message: String) -> Outcome {
    without_run(End::NeverStarted { cause, field, message })
}

/// The outcome of a program that was cancelled while its inputs came.
pub(crate) fn cancelled_before_start() -> Outcome {
    without_run(End::Cancelled)
}

fn without_run(end: End) -> Outcome {
    Outcome {
        end,
        stdout: StreamSummary::default(),
        stderr: StreamSummary::default(),
        files: Vec::new(),
        files_skipped: Vec::new(),
        files_skipped_count: 0,
        results: Vec::new(),
        results_truncated: false,
        timings: Timings::default(),
        usage: Usage::default(),
        isolation: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ended_by_itself_keeps_its_code_or_signal() {
        assert_eq!(end(Cause::Itself, Some(Status::Exited(44)), false), End::Exited { code: 44 });
        assert_eq!(end(Cause::Itself, Some(Status::Signalled(11)), false), End::Signalled { signal: 11 });
        assert_eq!(end(Cause::Itself, Some(Status::Signalled(9)), false), End::Signalled { signal: 9 });
    }

    #[test]
    fn out_of_memory_needs_both_the_kernels_count_and_its_signal() {
        assert_eq!(end(Cause::Itself, Some(Status::Signalled(9)), true), End::OutOfMemory);
        assert_eq!(end(Cause::Itself, Some(Status::Signalled(11)), true), End::Signalled { signal: 11 });
        assert_eq!(end(Cause::Itself, Some(Status::Exited(1)), true), End::Exited { code: 1 });
    }

    #[test]
    fn what_we_killed_says_why_and_not_by_what() {
        for status in [None, Some(Status::Signalled(9)), Some(Status::Exited(0))] {
            assert_eq!(end(Cause::Deadline, status, true), End::TimedOut);
            assert_eq!(end(Cause::Cancel, status, true), End::Cancelled);
        }
    }
}
