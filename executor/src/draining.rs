//! What an executor that was told to go does next. Pure: what is known comes in, the clock too.
//!
//! An outcome is kept until the operator acknowledges it. But an operator may never come again (Carrel was removed,
//! its namespace is gone), and the pod would stay in Terminating for its whole grace period, which is as long as
//! the longest run. So once nothing runs any more and nobody who may ask has asked for a while, the outcome is
//! given up; its execution ends as `Lost`. While the executor does not drain, it waits for ever.

use std::time::{Duration, Instant};

use protocol::RunState;

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing is held: go.
    Leave,
    /// The outcome is given up: go.
    GiveUp,
    /// Look again when the run has ended.
    AwaitEnd,
    /// Look again after this long, or when the outcome was acknowledged.
    AwaitOperator(Duration),
}

/// What a draining executor does that holds a run in this state. `heard` is when the operator last asked, or first
/// had a reason to: the order to go, the end of the program.
pub(crate) fn next(held: Option<RunState>, heard: Instant, patience: Duration, now: Instant) -> Next {
    match held {
        None => Next::Leave,
        Some(RunState::Running) => Next::AwaitEnd,
        Some(RunState::Finished) => match patience.checked_sub(now.saturating_duration_since(heard)) {
            None | Some(Duration::ZERO) => Next::GiveUp,
            Some(left) => Next::AwaitOperator(left),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_mins(10);

    fn after(held: Option<RunState>, silence: Duration) -> Next {
        let heard = Instant::now();
        next(held, heard, PATIENCE, heard + silence)
    }

    #[test]
    fn an_executor_that_holds_nothing_leaves() {
        assert_eq!(after(None, Duration::ZERO), Next::Leave);
        assert_eq!(after(None, PATIENCE), Next::Leave);
    }

    #[test]
    fn a_program_that_runs_is_waited_for_however_long_nobody_asked() {
        assert_eq!(after(Some(RunState::Running), PATIENCE * 100), Next::AwaitEnd);
    }

    #[test]
    fn an_outcome_is_kept_for_the_rest_of_the_patience_and_then_given_up() {
        let finished = Some(RunState::Finished);
        let minute = Duration::from_mins(1);
        assert_eq!(after(finished, Duration::ZERO), Next::AwaitOperator(PATIENCE));
        assert_eq!(after(finished, minute * 9), Next::AwaitOperator(minute));
        assert_eq!(after(finished, PATIENCE), Next::GiveUp);
        assert_eq!(after(finished, PATIENCE + minute), Next::GiveUp);
    }

    #[test]
    fn a_request_that_came_while_this_was_decided_counts_as_now() {
        let now = Instant::now();
        let decided = next(Some(RunState::Finished), now + Duration::from_secs(1), PATIENCE, now);
        assert_eq!(decided, Next::AwaitOperator(PATIENCE));
    }
}
