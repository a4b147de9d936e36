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
