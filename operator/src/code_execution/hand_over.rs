//! The last thing that a leader does when it is told to end, before it gives its Lease back: it writes down what its
//! successor could find out only from pods. A run that was sent to a pod and is not shown yet is shown, because the pod
//! may be gone by then, and what nobody knows of is started (again). What came of a run that has ended is written.
//!
//! By now no task of the leader runs any more, so nothing is sent to any pod and nobody else writes.

use std::{sync::Arc, time::Duration};

use crds::ExecutionPhase;
use futures::{StreamExt as _, stream};
use tokio::time::timeout;

use super::{
    Error, act, refresh,
    runs::{Followed, Left, Run},
};
use crate::{context::Context, key::Key};

/// For all writes together. The Lease lasts longer than that, and whoever waits for the end of this process is patient
/// for a few seconds.
const PATIENCE: Duration = Duration::from_secs(3);
const AT_ONCE: usize = 32;
/// How often a status is written that somebody else changes at the same time.
const ATTEMPTS: u32 = 3;

/// Hands over all runs.
pub(crate) async fn hand_over(context: &Arc<Context>) {
    // Made into futures first: a stream that borrows in its closure cannot be spawned.
    let all: Vec<_> = context.runs.all().into_iter().map(|(key, run)| one(context, key, run)).collect();
    let writes = stream::iter(all).buffer_unordered(AT_ONCE).collect::<Vec<()>>();
    if timeout(PATIENCE, writes).await.is_err() {
        tracing::warn!(
            "not all runs could be shown before the end; those whose pods go may be started again"
        );
    }
}

async fn one(context: &Arc<Context>, key: Key, run: Run) {
    for _ in 0..ATTEMPTS {
        match last_word(context, &key, &run).await {
            Ok(()) => return,
            Err(error) if error.is_conflict() => refresh(context, &key).await,
            Err(error) => {
                let error = telemetry::with_causes(&error);
                return tracing::warn!(execution = %key, uid = %run.uid, error, "a run could not be shown");
            }
        }
    }
}

async fn last_word(context: &Arc<Context>, key: &Key, run: &Run) -> Result<(), Error> {
    let Some(entry) = context.executions.get(key).filter(|entry| entry.uid == run.uid) else { return Ok(()) };
    match &run.left {
        Some(Left { result: Followed::Ended(_), .. }) => act::conclude(context, key, &entry).await.map(drop),
        // What follows a visible wait was shown before it was sent.
        None if run.sent.get() && entry.phase == ExecutionPhase::Pending => {
            act::announce(context, key, &entry, &run.pod.facts()).await
        }
        None | Some(_) => Ok(()),
    }
}
