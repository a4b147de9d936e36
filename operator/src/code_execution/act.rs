//! Carries out the step that was decided: one function for each.

use std::{sync::Arc, time::Duration};

use crds::{CodeExecution, ExecutionPhase, Reason, code_execution::Failure};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Error, Next,
    cache::Entry,
    decide::Step,
    leave::{release, throw_away},
    reuse,
    run::Job,
    runs::{Followed, Left, Run, Sent},
    status::{self, Ending, PodPlace},
    validate::Program,
};
use crate::{
    backoff::{self, Retry},
    context::Context,
    key::Key,
    metrics::{Kind, Stage},
    pool::{self, cache::PodEntry, facts::PodFacts, reserve::Place, reserve::Ticket},
    report,
    resource_version::advance,
};

/// Nothing is looked at again sooner when nothing has happened.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

/// Does it. The answer is when to look again.
pub(crate) async fn act(context: &Arc<Context>, key: &Key, entry: &Entry, step: Step) -> Result<Next, Error> {
    match step {
        Step::Forget => Ok(forget(context, key, entry)),
        Step::Wait(until) => Ok(wait(context, key, entry, until)),
        Step::Queue => Ok(queue(context, key, entry)),
        Step::ShowQueued(message) => show_queued(context, key, entry, &message).await,
        Step::ShowRunning(pod) => show_running(context, key, entry, &pod).await,
        Step::Start(pod) => Ok(start(context, key, entry, &pod)),
        Step::Attach(pod) => attach(context, key, entry, &pod).await,
        Step::Cancel => Ok(cancel(context, key, entry)),
        Step::TryAnother => Ok(try_another(context, key, entry)),
        Step::GiveBack => Ok(give_back(context, key, entry)),
        Step::Conclude => conclude(context, key, entry).await,
        Step::Finish(reason, failure) => finish(context, key, entry, reason, failure).await,
    }
}

fn forget(context: &Arc<Context>, key: &Key, entry: &Entry) -> Next {
    release(context, entry);
    context.executions.remove(key);
    Next::Rest(None)
}

fn wait(context: &Arc<Context>, key: &Key, entry: &Entry, until: Option<Instant>) -> Next {
    context.executions.update(key, &entry.uid, Entry::waits);
    // A moment that is past already must not become a busy loop.
    Next::Rest(until.map(|until| until.saturating_duration_since(Instant::now()).max(SHORTEST_WAIT)))
}

fn queue(context: &Arc<Context>, key: &Key, entry: &Entry) -> Next {
    let Ok(plan) = &entry.plan else { return Next::Again };
    let reuse = reuse::key_now(context, plan);
    let ticket = Ticket { uid: Arc::clone(&entry.uid), key: key.clone(), reuse };
    let place = context.reserve.lock().request(&plan.pool, &plan.scope, &ticket);
    match place {
        Place::Granted(_) => {
            context.metrics.pool_hits.inc();
        }
        Place::Waiting => {
            context.metrics.pool_misses.inc();
        }
    }
    context.executions.update(key, &entry.uid, |entry| entry.asked = true);
    // Either way the pool is one pod short of what it wants.
    context.pool_queue.push(plan.pool.clone());
    Next::Again
}

pub(super) async fn show_queued(
    context: &Context,
    key: &Key,
    entry: &Entry,
    message: &str,
) -> Result<Next, Error> {
    let generation = entry.plan.as_ref().ok().and_then(|plan| plan.generation);
    let patch = status::queued(message, generation, context.clock.now());
    // A lost answer leaves it open whether the API says `Queued` now, which a new leader would believe.
    context.executions.update(key, &entry.uid, |entry| {
        (entry.maybe_queued, entry.announced) = (true, None);
    });
    let version = write(context, key, entry, &patch).await?;
    context.executions.update(key, &entry.uid, |entry| {
        advance(&mut entry.version, version);
        entry.phase = ExecutionPhase::Queued;
    });
    Ok(Next::Again)
}

async fn show_running(context: &Context, key: &Key, entry: &Entry, pod: &str) -> Result<Next, Error> {
    let Some(pod) = context.pods.get(pod) else { return Ok(lost_pod(context, entry, pod)) };
    announce(context, key, entry, &pod.facts()).await?;
    Ok(Next::Again)
}

/// Writes that it runs, or may run, in that pod.
pub(super) async fn announce(
    context: &Context,
    key: &Key,
    entry: &Entry,
    pod: &PodFacts,
) -> Result<(), Error> {
    let generation = entry.plan.as_ref().ok().and_then(|plan| plan.generation);
    let patch = status::running(&PodPlace::of(pod), generation, context.clock.now());
    let version = write(context, key, entry, &patch).await?;
    context.executions.update(key, &entry.uid, |entry| {
        advance(&mut entry.version, version);
        (entry.phase, entry.announced) = (ExecutionPhase::Running, Some(Arc::clone(&pod.uid)));
    });
    Ok(())
}

/// The pod went between the decision and now.
fn lost_pod(context: &Context, entry: &Entry, pod: &str) -> Next {
    if let Ok(plan) = &entry.plan {
        context.reserve.lock().remove_pod(&plan.pool, pod);
    }
    Next::Again
}

fn start(context: &Arc<Context>, key: &Key, entry: &Entry, pod: &str) -> Next {
    let Some(pod_entry) = context.pods.get(pod) else { return lost_pod(context, entry, pod) };
    if context.reserve.lock().is_used(&pod_entry.facts().pool, pod) {
        context.metrics.pool_reused.inc();
    }
    let program = entry.program.clone();
    follow(context, key, entry, pod_entry, program)
}

/// A pod has it already, from an earlier leader.
async fn attach(context: &Arc<Context>, key: &Key, entry: &Entry, pod: &Arc<str>) -> Result<Next, Error> {
    let Some(pod_entry) = context.pods.get(pod) else {
        let failure = status::failure(None, "the sandbox was lost while the program may have run");
        return finish(context, key, entry, Reason::Lost, failure).await;
    };
    let Ok(plan) = &entry.plan else {
        pool::spend(context, &pod_entry);
        let failure = status::failure(None, "it runs in a sandbox, but its spec cannot be read any more");
        return finish(context, key, entry, Reason::Lost, failure).await;
    };
    let ticket = Ticket { uid: Arc::clone(&entry.uid), key: key.clone(), reuse: None };
    context.reserve.lock().adopt(&plan.pool, pod, &ticket);
    Ok(follow(context, key, entry, pod_entry, None))
}

/// Begins the task of a run.
fn follow(
    context: &Arc<Context>,
    key: &Key,
    entry: &Entry,
    pod: Arc<PodEntry>,
    program: Option<Arc<Program>>,
) -> Next {
    let Ok(plan) = &entry.plan else { return Next::Again };
    let waited = Instant::now().duration_since(entry.seen);
    let run = Run {
        uid: Arc::clone(&entry.uid),
        pod,
        since: Instant::now(),
        queued_milliseconds: i64::try_from(waited.as_millis()).unwrap_or(i64::MAX),
        cancel: CancellationToken::new(),
        sent: Sent::default(),
        left: None,
    };
    if !context.runs.begin(key, run.clone()) {
        // An earlier object of this name still has one; it is ended when its deletion is seen.
        return Next::Rest(Some(Duration::from_millis(50)));
    }
    context.metrics.stage(Stage::Queue, waited);
    context.pools.with(&plan.pool, |memory| memory.given = Some(Instant::now()));
    let (origin, plan) = (Arc::clone(&entry.origin), Arc::clone(plan));
    let job = Job { context: Arc::clone(context), key: key.clone(), run, origin, plan, program };
    context.supervisor.spawn(job.follow());
    // The run's task has the texts now and lets them go when they are sent.
    context.executions.update(key, &entry.uid, Entry::waits);
    Next::Again
}

fn cancel(context: &Arc<Context>, key: &Key, entry: &Entry) -> Next {
    if let Some(run) = context.runs.get(key).filter(|run| run.uid == entry.uid) {
        run.cancel.cancel();
    }
    Next::Again
}

fn try_another(context: &Arc<Context>, key: &Key, entry: &Entry) -> Next {
    context.metrics.refusals.inc();
    if let Some(run) = context.runs.take(key, &entry.uid) {
        pool::spend(context, &run.pod);
    }
    context.takeover.lock().forget(&entry.uid);
    context.executions.update(key, &entry.uid, |entry| entry.attempts += 1);
    Next::Again
}

/// The pod is as it was, so it is not thrown away for what failed elsewhere.
fn give_back(context: &Arc<Context>, key: &Key, entry: &Entry) -> Next {
    if context.runs.take(key, &entry.uid).is_some() {
        release(context, entry);
    }
    context.metrics.retries.inc();
    let hiccups = entry.hiccups.saturating_add(1);
    let not_before = Instant::now() + backoff::delay_after(Retry::Soon, hiccups);
    context.executions.update(key, &entry.uid, |entry| {
        (entry.hiccups, entry.not_before) = (hiccups, Some(not_before));
    });
    Next::Again
}

/// Writes what came of a run, then lets the executor forget it, and keeps the pod for its key or throws it away.
pub(super) async fn conclude(context: &Arc<Context>, key: &Key, entry: &Entry) -> Result<Next, Error> {
    let Some(run) = context.runs.get(key).filter(|run| run.uid == entry.uid) else { return Ok(Next::Again) };
    let Some(Left { result: Followed::Ended(ending), untouched }) = &run.left else { return Ok(Next::Again) };
    let written = write_terminal(context, key, entry, ending, run.queued_milliseconds).await;
    match written {
        Err(error) if !error.is_gone() => return Err(error),
        // The object was deleted meanwhile: nobody wants the outcome any more.
        Ok(()) | Err(_) => {}
    }
    context.runs.take(key, &entry.uid);
    done(context, key, entry);
    match &entry.plan {
        _ if *untouched => release(context, entry),
        Ok(plan) => reuse::pass_on(context, plan, &run, ending),
        Err(_) => throw_away(context, &run.pod, &entry.uid),
    }
    report::finished(context, key, entry, ending, run.since);
    Ok(Next::Rest(None))
}

async fn finish(
    context: &Arc<Context>,
    key: &Key,
    entry: &Entry,
    reason: Reason,
    failure: Failure,
) -> Result<Next, Error> {
    let ending = Ending::without_run(reason, failure);
    match write_terminal(context, key, entry, &ending, 0).await {
        Err(error) if !error.is_gone() => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if let Some(run) = context.runs.take(key, &entry.uid) {
        pool::spend(context, &run.pod);
    }
    release(context, entry);
    done(context, key, entry);
    report::finished(context, key, entry, &ending, entry.seen);
    Ok(Next::Rest(None))
}

async fn write_terminal(
    context: &Context,
    key: &Key,
    entry: &Entry,
    ending: &Ending,
    queued_milliseconds: i64,
) -> Result<(), Error> {
    let generation = entry.plan.as_ref().ok().and_then(|plan| plan.generation);
    let status = status::terminal(ending, generation, queued_milliseconds, context.clock.now());
    let status = status::within_budget(status);
    let began = Instant::now();
    write(context, key, entry, &status).await?;
    context.metrics.stage(Stage::Status, began.elapsed());
    Ok(())
}

async fn write(
    context: &Context,
    key: &Key,
    entry: &Entry,
    status: &impl serde::Serialize,
) -> Result<String, Error> {
    let written =
        context.writes.patch_status::<CodeExecution>(Kind::CodeExecution, key, &entry.version, status).await;
    written.map_err(Error::Write)
}

/// It has its terminal status.
fn done(context: &Context, key: &Key, entry: &Entry) {
    context.executions.finish(key, &entry.uid);
    context.takeover.lock().forget(&entry.uid);
    context.live.end(&entry.uid);
}
