//! What becomes of a pod, a place in the queue and a run when an execution needs them no more.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::cache::Entry;
use crate::{
    context::Context,
    executor_client::Target,
    key::Key,
    pool::{self, cache::PodEntry, reserve::Place},
};

/// How often an unwanted run is asked for its end, and for how long.
const UNWANTED_RETRY: Duration = Duration::from_millis(20);
const UNWANTED_PATIENCE: Duration = Duration::from_secs(2);

/// Gives back what it never used: a place in the queue, or a pod, which goes when it cannot be used any more.
pub(crate) fn release(context: &Arc<Context>, entry: &Entry) {
    let Ok(plan) = &entry.plan else { return };
    let (next, unusable) = {
        let mut reserve = context.reserve.lock();
        let pod = match reserve.place(&plan.pool, &entry.uid) {
            Some(Place::Granted(uid)) => Some((context.pods.get(&uid), uid)),
            Some(Place::Waiting) | None => None,
        };
        match pod {
            // What has had others before is not given out as if it were new.
            Some((pod, uid))
                if reserve.is_used(&plan.pool, &uid) || !pod.as_ref().is_some_and(|pod| pod.usable()) =>
            {
                reserve.remove_pod(&plan.pool, &uid);
                (None, pod)
            }
            _ => (reserve.leave(&plan.pool, &entry.uid), None),
        }
    };
    if let Some(pod) = unusable {
        pool::spend(context, &pod);
    }
    if let Some(ticket) = next {
        context.execution_queue.push(ticket.key);
    }
    context.pool_queue.push(plan.pool.clone());
}

/// Lets the executor forget the outcome, so that it ends at once, and has the pod deleted.
pub(crate) fn throw_away(context: &Arc<Context>, pod: &Arc<PodEntry>, uid: &Arc<str>) {
    let (task, pod, uid) = (Arc::clone(context), Arc::clone(pod), Arc::clone(uid));
    context.supervisor.spawn(async move {
        if let Some(target) = pod.target()
            && !pod.gone.is_cancelled()
            && let Err(error) = task.executor.acknowledge(&target, &uid).await
        {
            tracing::debug!(pod = %pod.facts().key, %error, "an outcome was not acknowledged; its pod goes anyway");
        }
        pool::spend(&task, &pod);
    });
}

/// Ends a run that nobody wants any more, and lets the executor forget it as soon as it has ended, so that its pod
/// goes at once. What cannot be ended so is ended with its pod.
async fn end_unwanted(context: &Context, pod: &PodEntry, target: &Target, uid: &str) {
    let forgotten = async {
        loop {
            // What the executor does not know may be under way to it: being acknowledged, it is refused there.
            if let Err(error) = context.executor.cancel(target, uid).await {
                tracing::debug!(uid, %error, "an unwanted run was not cancelled");
            }
            if context.executor.acknowledge(target, uid).await.is_ok() {
                return;
            }
            sleep(UNWANTED_RETRY).await;
        }
    };
    tokio::select! {
        () = forgotten => {}
        () = pod.gone.cancelled() => {}
        () = sleep(UNWANTED_PATIENCE) => {}
    }
}

/// The object of a run or of a place in the queue is gone: the program is ended and its pod thrown away.
pub(crate) fn abandon(context: &Arc<Context>, key: &Key, entry: &Entry) {
    context.live.end(&entry.uid);
    context.takeover.lock().forget(&entry.uid);
    if let Some(run) = context.runs.take(key, &entry.uid) {
        run.cancel.cancel();
        let (task, uid) = (Arc::clone(context), Arc::clone(&entry.uid));
        context.supervisor.spawn(async move {
            if let Some(target) = run.pod.target() {
                end_unwanted(&task, &run.pod, &target, &uid).await;
            }
            pool::spend(&task, &run.pod);
        });
    } else {
        release(context, entry);
    }
}

/// A run has ended and its execution is known no more: its terminal status was written although the answer said
/// otherwise, or the object is gone. Nobody else would acknowledge it or give its pod up.
pub(crate) fn forgotten(context: &Arc<Context>, key: &Key) {
    if let Some(run) = context.runs.get(key).filter(|run| run.left.is_some()) {
        context.runs.take(key, &run.uid);
        throw_away(context, &run.pod, &run.uid);
    }
}
