//! Ending executions for certain: what nobody waits for any more is cancelled until the API has taken it, the
//! object is gone, or it must have ended by itself.
//!
//! A create whose outcome is unknown is cancelled by its name; as the object may still appear, "not found" is
//! believed only after a while. What is kept of each is its name, and there is a bound to how many: who finds
//! none free waits, and holds his slot meanwhile.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::executions::{Cancelled, Executions};

/// Cancels under way at a time.
const PLACES: usize = 1024;
/// The pause after the first attempt; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server may still carry out a create so long after its client has given up on it.
const STRAGGLER: Duration = Duration::from_secs(70);

/// Whether there is an object to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// It was created.
    Known,
    /// Nobody has said whether it was.
    Unsure,
}

/// The cancels under way.
#[derive(Debug, Clone)]
pub struct Cancels {
    executions: Executions,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
}

impl Cancels {
    /// None yet. They are among `tasks`, so that a shutdown waits for them.
    #[must_use]
    pub fn new(executions: Executions, tasks: TaskTracker) -> Self {
        Self { executions, tasks, places: Arc::new(Semaphore::new(PLACES)) }
    }

    /// Begins to cancel an execution, which ends by itself within `life`. Returns when that is under way.
    pub async fn begin(&self, name: &str, existence: Existence, life: Duration) {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (executions, name) = (self.executions.clone(), name.to_owned());
        let task = async move {
            until_cancelled(&executions, &name, existence, life).await;
            drop(place);
        };
        self.tasks.spawn(task.in_current_span());
    }
}

async fn until_cancelled(executions: &Executions, name: &str, existence: Existence, life: Duration) {
    let begin = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match executions.cancel(name).await {
            Ok(Cancelled::Asked) => {
                tracing::info!(execution = name, "cancelled");
                return;
            }
            Ok(Cancelled::NotFound) if is_gone(existence, begin.elapsed()) => return,
            Ok(Cancelled::NotFound) => {}
            Err(error) => tracing::warn!(%error, execution = name, "a cancel failed and is tried again"),
        }
        if begin.elapsed() + pause > life.max(STRAGGLER) {
            tracing::error!(execution = name, "an execution could not be cancelled in its whole life");
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_gone(existence: Existence, looked_for: Duration) -> bool {
    match existence {
        Existence::Known => true,
        Existence::Unsure => looked_for + LONGEST_PAUSE >= STRAGGLER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_may_still_appear_is_looked_for_longer() {
        assert!(is_gone(Existence::Known, Duration::ZERO));
        assert!(!is_gone(Existence::Unsure, Duration::from_mins(1)));
        assert!(is_gone(Existence::Unsure, STRAGGLER));
    }
}
