//! Step 5: waiting for the main process, the deadline or a cancel, whichever is first.

use std::{io, time::Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{
    outcome::Cause,
    process::{Pid, Reap, Reaped, Status, Usage, reap},
};

/// What is known when the waiting is over.
#[derive(Debug)]
pub(crate) struct Watched {
    pub cause: Cause,
    /// Of the main process, once it is reaped.
    pub status: Option<Status>,
    pub usage: Usage,
}

impl Watched {
    /// Counts a process that has ended.
    pub(crate) fn note(&mut self, main: Pid, reaped: &Reaped) {
        self.usage.add(reaped.usage);
        if reaped.pid == main.as_raw_nonzero().get() {
            self.status = Some(reaped.status);
        }
    }

    /// Counts what was reaped after the waiting, which at a deadline can be the main process; whether
    /// something may be left.
    pub(crate) fn note_last(&mut self, main: Pid, last: &Reap) -> bool {
        match last {
            Reap::Dead(reaped) => {
                self.note(main, reaped);
                true
            }
            Reap::AllAlive => true,
            Reap::NoChild => false,
        }
    }

    /// Reaps what has died; whether the main process has.
    fn reap_all(&mut self, main: Pid) -> bool {
        while self.status.is_none()
            && let Reap::Dead(reaped) = reap()
        {
            self.note(main, &reaped);
        }
        self.status.is_some()
    }
}

/// The signal that a child has died.
pub(crate) fn children() -> io::Result<Signal> {
    signal(SignalKind::child())
}

pub(crate) async fn until_end(
    main: Pid,
    deadline: Instant,
    cancel: &CancellationToken,
    children: &mut Signal,
) -> Watched {
    let mut watched = Watched { cause: Cause::Itself, status: None, usage: Usage::default() };
    loop {
        // Also reaps what detached itself and died: on a long run nothing piles up.
        if watched.reap_all(main) {
            return watched;
        }
        let cause = tokio::select! {
            biased;
            _ = children.recv() => continue,
            () = cancel.cancelled() => Cause::Cancel,
            () = tokio::time::sleep_until(deadline.into()) => Cause::Deadline,
        };
        // A program that ended at the same moment has ended by itself.
        if !watched.reap_all(main) {
            watched.cause = cause;
        }
        return watched;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn watched() -> Watched {
        Watched { cause: Cause::Deadline, status: None, usage: Usage::default() }
    }

    #[test]
    fn a_main_process_that_died_right_after_the_deadline_is_counted() {
        let main = Pid::from_raw(7).unwrap();
        let usage = Usage { cpu: Duration::from_secs(3), peak_bytes: 9 };
        let mut after = watched();
        let dead = Reap::Dead(Reaped { pid: 7, status: Status::Signalled(9), usage });
        assert!(after.note_last(main, &dead), "its children may be left");
        assert_eq!((after.status, after.usage), (Some(Status::Signalled(9)), usage));
    }

    #[test]
    fn only_without_children_nothing_is_left() {
        let main = Pid::from_raw(7).unwrap();
        assert!(watched().note_last(main, &Reap::AllAlive));
        assert!(!watched().note_last(main, &Reap::NoChild));
    }
}
