//! What the outcome of an execution means for a shell: an exit code, and a sentence when it was no plain end.

use std::io::Write;

use crds::{CodeExecutionStatus, Reason};

/// The program could not be run, as `env` and `timeout` say it.
pub(super) const NOT_RUN: u8 = 125;
/// The program's time was up, as `timeout` says it.
const TIMED_OUT: u8 = 124;
/// 128 + SIGKILL, which is how a program ends that used too much memory.
const KILLED: u8 = 137;
/// We were interrupted.
pub(super) const INTERRUPTED: u8 = 130;
/// 128 + SIGTERM.
pub(super) const TERMINATED: u8 = 143;

/// The exit code for a finished execution; `messages` gets a sentence when the program did not simply end.
pub(super) fn report(status: Option<&CodeExecutionStatus>, messages: &mut impl Write) -> std::io::Result<u8> {
    let reason = status.and_then(|s| s.reason);
    let message = status.and_then(|s| s.failure.as_ref()).map(|f| f.message.as_str()).unwrap_or_default();
    let code = match reason {
        Some(Reason::Completed | Reason::NonZeroExit) => code(status.and_then(|s| s.exit_code)),
        Some(Reason::Signalled) => 128 + code(status.and_then(|s| s.signal)).min(127),
        Some(Reason::OutOfMemory) => KILLED,
        Some(Reason::TimedOut) => TIMED_OUT,
        Some(
            Reason::DiskFull
            | Reason::Cancelled
            | Reason::Invalid
            | Reason::FileUnavailable
            | Reason::StartDeadlineExceeded
            | Reason::CapacityUnavailable
            | Reason::Lost,
        )
        | None => NOT_RUN,
    };
    if !matches!(reason, Some(Reason::Completed | Reason::NonZeroExit)) {
        let word = reason.map_or("no reason given", Reason::as_str);
        let separator = if message.is_empty() { "" } else { ": " };
        writeln!(messages, "carrel: {word}{separator}{message}")?;
    }
    Ok(code)
}

fn code(value: Option<i32>) -> u8 {
    value.and_then(|v| u8::try_from(v).ok()).unwrap_or(NOT_RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(reason: Reason, exit_code: Option<i32>, signal: Option<i32>) -> CodeExecutionStatus {
        CodeExecutionStatus { reason: Some(reason), exit_code, signal, ..CodeExecutionStatus::default() }
    }

    #[test]
    fn exit_codes_are_those_a_shell_expects() {
        for (reason, exit_code, signal, expected) in [
            (Reason::Completed, Some(0), None, 0),
            (Reason::NonZeroExit, Some(44), None, 44),
            (Reason::Signalled, None, Some(11), 139),
            (Reason::OutOfMemory, None, None, 137),
            (Reason::TimedOut, None, None, 124),
            (Reason::Invalid, None, None, 125),
            (Reason::Lost, None, None, 125),
        ] {
            let mut messages = Vec::new();
            let status = status(reason, exit_code, signal);
            assert_eq!(report(Some(&status), &mut messages).unwrap(), expected, "{reason:?}");
            let silent = matches!(reason, Reason::Completed | Reason::NonZeroExit);
            assert_eq!(messages.is_empty(), silent, "{reason:?}");
        }
    }

    #[test]
    fn the_sentence_says_what_was_at_fault() {
        let mut status = status(Reason::Invalid, None, None);
        status.failure =
            Some(crds::code_execution::Failure { message: "code has a NUL".into(), ..Default::default() });
        let mut messages = Vec::new();
        report(Some(&status), &mut messages).unwrap();
        assert_eq!(String::from_utf8(messages).unwrap(), "carrel: Invalid: code has a NUL\n");
    }
}
