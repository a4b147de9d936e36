//! What is true of an execution now. Mostly from memory; the API is asked for texts that were let go, and for files.

use std::sync::Arc;

use crds::CodeExecution;
use kube::{Api, core::DeserializeGuard};
use tokio::time::Instant;

use super::{
    Error, cache,
    cache::Entry,
    decide::{Inputs, Observed, Place, PoolState, Run},
    inputs::{self, InputsError},
    runs::{Followed, Left},
};
use crate::{
    context::Context,
    key::Key,
    leader::takeover::Permission,
    pool::{reserve, trouble::Trouble},
};

/// Looks at an execution; `None` when it is gone.
pub(crate) async fn observe(context: &Context, key: &Key) -> Result<Option<(Entry, Observed)>, Error> {
    let Some(mut entry) = context.executions.get(key) else { return Ok(None) };
    let run = run(context, key, &entry);
    let pool = entry.plan.as_ref().ok().map(|plan| &plan.pool);
    let permission = context.takeover.lock().permission(&entry.uid, pool, Instant::now());
    let (place, pool) = place(context, &entry);
    let starts = run == Run::None && permission == Permission::Start && !entry.cancel;
    let granted = matches!(place, Place::Granted(_));
    let asks = place == Place::None && !entry.asked;
    if starts && (granted || asks) && entry.program.is_none() && entry.plan.is_ok() {
        match read_again(context, key, &entry).await? {
            Some(fresh) => entry = fresh,
            None => return Ok(None),
        }
    }
    let files =
        if starts && (granted || asks) { files(context, key, &entry).await? } else { Inputs::NotAsked };
    let observed = Observed {
        phase: entry.phase,
        announce: entry.maybe_queued || entry.phase != crds::ExecutionPhase::Pending,
        announced: entry.announced.clone(),
        not_before: entry.not_before,
        cancel: entry.cancel,
        seen: entry.seen,
        deadline: deadline(context, &entry),
        permission,
        pool,
        place,
        inputs: files,
        run,
    };
    Ok(Some((entry, observed)))
}

pub(super) fn run(context: &Context, key: &Key, entry: &Entry) -> Run {
    let Some(run) = context.runs.get(key).filter(|run| run.uid == entry.uid) else { return Run::None };
    match run.left {
        None => Run::Active { since: run.since, cancel_sent: run.cancel.is_cancelled() },
        Some(Left { result: Followed::Ended(_), .. }) => Run::Ended,
        Some(Left { result: Followed::NotStarted(_), untouched: true }) => Run::NeverSent,
        Some(Left { result: Followed::NotStarted(message), untouched: false }) => {
            Run::NotStarted { attempts: entry.attempts + 1, message }
        }
    }
}

fn place(context: &Context, entry: &Entry) -> (Place, PoolState) {
    let Ok(plan) = &entry.plan else { return (Place::None, PoolState::Able) };
    let place = match context.reserve.lock().place(&plan.pool, &entry.uid) {
        None => Place::None,
        Some(reserve::Place::Waiting) => Place::Waiting,
        Some(reserve::Place::Granted(pod)) => Place::Granted(pod),
    };
    let pool = if context.pools.get(&plan.pool).is_none() {
        PoolState::Missing
    } else {
        match context.pools.with(&plan.pool, |memory| memory.unable.clone()) {
            Some(Trouble { reason, message, cause }) => {
                PoolState::Unable(format!("{reason}: {message}"), cause)
            }
            None => PoolState::Able,
        }
    };
    (place, pool)
}

/// The start deadline counts from where this leader saw the object first, by its own monotonic clock. Only what an
/// earlier leader has left counts from its creation: that is a time of another clock and has whole seconds.
fn deadline(context: &Context, entry: &Entry) -> Option<Instant> {
    let plan = entry.plan.as_ref().ok()?;
    let wait = plan.start_deadline?;
    if !context.takeover.lock().is_inherited(&entry.uid) {
        return Some(entry.seen + wait);
    }
    let end = plan.created + chrono::TimeDelta::from_std(wait + ONE_SECOND).ok()?;
    let left = end.signed_duration_since(context.clock.now()).to_std().unwrap_or_default();
    Some((Instant::now() + left).min(entry.seen + wait))
}

const ONE_SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// Reads the texts again after a wait.
async fn read_again(context: &Context, key: &Key, entry: &Entry) -> Result<Option<Entry>, Error> {
    let api: Api<DeserializeGuard<CodeExecution>> = Api::namespaced(context.client.clone(), &key.namespace);
    let Some(DeserializeGuard(Ok(object))) = api.get_opt(&key.name).await.map_err(Error::Api)? else {
        return Ok(None);
    };
    let fresh = cache::entry(object);
    if fresh.uid != entry.uid || fresh.phase.is_terminal() {
        return Ok(None);
    }
    Ok(Some(cache::read_again(entry, fresh)))
}

async fn files(context: &Context, key: &Key, entry: &Entry) -> Result<Inputs, Error> {
    let (Ok(plan), Some(program)) = (&entry.plan, &entry.program) else { return Ok(Inputs::NotAsked) };
    // Waiting is noted before looking, so that a file that becomes ready in between is not missed.
    let names_files = program.names_files();
    if names_files {
        context.files.wait(key);
    }
    match inputs::check(context, key, plan, program).await {
        Ok(_) => Ok(Inputs::Ready),
        Err(InputsError::Missing(failure) | InputsError::Invalid(failure)) => Ok(Inputs::Missing(failure)),
        Err(InputsError::Coming) => Ok(coming(context, entry)),
        Err(InputsError::Api(error)) => Err(Error::Api(error)),
        Err(error @ InputsError::Store(_)) => Err(Error::Inputs(error)),
    }
}

fn coming(context: &Context, entry: &Entry) -> Inputs {
    let until = entry.seen + context.config.timings.input_wait;
    if Instant::now() < until {
        return Inputs::Coming(until);
    }
    let message = "a file that it names is not stored yet".to_owned();
    Inputs::Missing(crds::code_execution::Failure { message, ..Default::default() })
}

/// The entry's plan for those who only have the entry.
pub(crate) fn plan(entry: &Entry) -> Result<&super::validate::Plan, &crds::code_execution::Failure> {
    entry.plan.as_ref().map(Arc::as_ref)
}
