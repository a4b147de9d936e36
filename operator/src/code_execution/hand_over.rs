//! The last thing that a leader does when it is told to end, before it gives its Lease back: it writes down what its
//! successor could find out only from pods. A run that was sent to a pod and is not shown yet is shown, because the pod
//! may be gone by then, and what nobody knows of is started (again). One that came to nothing is taken back. What came of
//! a run that has ended is written.
//!
//! And the pods that have had a program and have none now are deleted. The next leader would do that as well, but it
//! knows only from their executors that they were used, and an executor that a program has taken over does not say so.
//!
//! By now all tasks of the leader have been told to end. One may still be in its last poll, and a write that was under
//! way may still arrive. Neither does harm: a run is noted before anything of it is sent, and each write names the
//! version that it is meant for, so that the later one of two is a conflict and is looked at again.

use std::{collections::HashSet, sync::Arc, time::Duration};

use crds::ExecutionPhase;
use futures::{StreamExt as _, stream};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Error, act,
    decide::taken_back,
    observe, refresh,
    runs::{Followed, Left, Run},
};
use crate::{
    backoff::Retry,
    context::Context,
    key::Key,
    pool::{act::delete, cache::PodEntry},
};

/// For all writes together. The Lease lasts longer than that, and whoever waits for the end of this process is patient
/// for a few seconds.
const PATIENCE: Duration = Duration::from_secs(3);
const AT_ONCE: usize = 32;
/// Between two attempts of one write.
const PAUSE: Duration = Duration::from_millis(50);

/// Hands over all runs and lets the used pods go.
pub(crate) async fn hand_over(context: &Arc<Context>) {
    let until = Instant::now() + PATIENCE;
    let runs = context.runs.all();
    let used = used_up(context, &runs);
    // Made into futures first: a stream that borrows in its closure cannot be spawned.
    let runs: Vec<_> = runs.into_iter().map(|(key, run)| one(context, key, run, until)).collect();
    let used: Vec<_> = used.into_iter().map(|pod| let_go(context, pod, until)).collect();
    let runs = stream::iter(runs).buffer_unordered(AT_ONCE).collect::<Vec<()>>();
    let used = stream::iter(used).buffer_unordered(AT_ONCE).collect::<Vec<()>>();
    futures::join!(runs, used);
}

/// The pods that are kept, or whose program was the last one, as far as no run has them.
fn used_up(context: &Context, runs: &[(Key, Run)]) -> Vec<Arc<PodEntry>> {
    let run_in: HashSet<_> = runs.iter().map(|(_, run)| Arc::clone(&run.pod.facts().uid)).collect();
    let waits = |key: &Key, uid: &str| context.executions.get(key).is_some_and(|entry| *entry.uid == *uid);
    let reserve = context.reserve.lock();
    let goes = |pod: &Arc<PodEntry>| {
        let facts = pod.facts();
        let (of, uid) = (&facts.pool, &facts.uid);
        // Given out to one that has ended, it is being reset; to one that has not, it has had nothing yet, and the next
        // leader finds it so.
        let reset = reserve.holder(of, uid).is_some_and(|ticket| !waits(&ticket.key, &ticket.uid));
        let used = pod.is_spent() || reserve.is_used(of, uid) || reset;
        used && !run_in.contains(uid) && facts.alive() && facts.deleting.is_none()
    };
    context.pods.all().into_iter().filter(goes).collect()
}

async fn let_go(context: &Arc<Context>, pod: Arc<PodEntry>, until: Instant) {
    let facts = pod.facts();
    let deleted =
        insist(until, || async { delete(context, &facts.key, &facts.uid).await.map_err(Error::Write) });
    if let Err(error) = deleted.await {
        tracing::warn!(pod = %facts.key, error, "a used pod could not be deleted before the end");
    }
}

async fn one(context: &Arc<Context>, key: Key, run: Run, until: Instant) {
    if let Err(error) = insist(until, || last_word(context, &key, &run)).await {
        let (uid, pod) = (&run.uid, &run.pod.facts().key);
        tracing::warn!(
            execution = %key,
            %uid,
            %pod,
            error,
            "a run could not be shown before the end; if its pod goes too, it may be started again"
        );
    } else if run.left.is_some() {
        let_go(context, run.pod, until).await;
    }
}

/// Tries until it works, can never work, or the time is over. The error is the last one, as text.
async fn insist<F>(until: Instant, mut attempt: impl FnMut() -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), Error>>,
{
    let mut last = "the API did not answer".to_owned();
    let tried = timeout_at(until, async {
        while let Err(error) = attempt().await {
            last = telemetry::with_causes(&error);
            if error.retry() == Retry::Seldom {
                return false;
            }
            sleep(PAUSE).await;
        }
        true
    });
    let worked = tried.await.unwrap_or(false);
    if worked { Ok(()) } else { Err(last) }
}

/// Writes what is known of a run. After a conflict the next attempt is for the object as it is now.
async fn last_word(context: &Arc<Context>, key: &Key, run: &Run) -> Result<(), Error> {
    let Some(entry) = context.executions.get(key).filter(|entry| entry.uid == run.uid) else { return Ok(()) };
    let written = match &run.left {
        Some(Left { result: Followed::Ended(_), .. }) => act::conclude(context, key, &entry).await.map(drop),
        Some(_) => match taken_back(&observe::run(context, key, &entry), entry.phase) {
            Some(message) => act::show_queued(context, key, &entry, &message).await.map(drop),
            None => Ok(()),
        },
        // What follows a visible wait was announced by this leader before it was sent.
        None if run.sent.get() && entry.phase == ExecutionPhase::Pending => {
            act::announce(context, key, &entry, &run.pod.facts()).await
        }
        None => Ok(()),
    };
    match written {
        Err(error) if error.is_gone() => Ok(()),
        Err(error) => {
            if error.is_conflict() {
                refresh(context, key).await;
            }
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often it is tried, and whether it works, when the first attempts fail with these codes and later ones do
    /// not.
    async fn attempts(codes: &[u16]) -> (usize, bool) {
        let count = Cell::new(0);
        let attempt = || {
            let code = codes.get(count.get()).copied();
            count.set(count.get() + 1);
            async move {
                let Some(code) = code else { return Ok(()) };
                let status = kube::core::Status { code, ..kube::core::Status::default() };
                Err(Error::Write(kube::Error::Api(status.boxed())))
            }
        };
        let worked = insist(Instant::now() + PATIENCE, attempt).await.is_ok();
        (count.get(), worked)
    }

    #[tokio::test]
    async fn a_write_is_tried_until_it_works_unless_it_never_can() {
        for (codes, expected) in [
            (&[][..], (1, true)),
            (&[500], (2, true)),
            (&[409, 409, 409, 409, 429, 503], (7, true)),
            (&[500, 422], (2, false)),
        ] {
            assert_eq!(attempts(codes).await, expected, "{codes:?}");
        }
    }

    #[tokio::test]
    async fn a_write_is_given_up_with_the_patience_and_the_last_error_is_told() {
        let until = || Instant::now() + PAUSE * 2;
        let hangs = insist(until(), std::future::pending).await;
        assert_eq!(hangs.unwrap_err(), "the API did not answer");
        let fails = || async { Err(Error::Api(kube::Error::Service("no route".into()))) };
        let told = insist(until(), fails).await.unwrap_err();
        assert!(told.contains("no route"), "{told}");
    }
}
