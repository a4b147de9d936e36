//! The execution controller. The reconcile is the names of its steps; each step has a file of its name.
//!
//! A reconcile never waits for a running program: it starts the run's task (`run.rs`), returns, and is woken when
//! the task is done.

pub(crate) mod act;
pub(crate) mod cache;
pub(crate) mod collect;
pub(crate) mod decide;
pub(crate) mod hand_over;
pub(crate) mod inputs;
pub(crate) mod leave;
pub(crate) mod observe;
pub(crate) mod output;
pub(crate) mod produced;
pub(crate) mod reuse;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod status;
pub(crate) mod ttl;
pub(crate) mod validate;
pub(crate) mod verdict;

use std::{sync::Arc, time::Duration};

use crds::CodeExecution;
use kube::{Api, core::DeserializeGuard};
use tokio::time::Instant;

use self::decide::Patience;
use crate::{backoff::Retry, context::Context, key::Key};

/// Which step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Looking failed.
    #[error("the API could not be asked")]
    Api(#[source] kube::Error),
    /// The store failed while the inputs were looked at.
    #[error("the inputs could not be looked at")]
    Inputs(#[source] inputs::InputsError),
    /// The status could not be written.
    #[error("the status could not be written")]
    Write(#[source] kube::Error),
}

impl Error {
    fn retry(&self) -> Retry {
        match self {
            Self::Api(error) | Self::Write(error) => Retry::of(error),
            Self::Inputs(_) => Retry::Soon,
        }
    }

    /// The object is no more.
    fn is_gone(&self) -> bool {
        matches!(self, Self::Write(kube::Error::Api(status)) if status.code == 404)
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Write(kube::Error::Api(status)) if status.code == 409)
    }
}

/// What a step asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Look again at once: the next step may be there already.
    Again,
    /// Look again when something happens, or after that time.
    Rest(Option<Duration>),
}

/// Looks at one execution. The answer is when to look again even if nothing happens.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Option<Duration> {
    loop {
        match step(&context, &key).await {
            Ok(Next::Again) => {}
            Ok(Next::Rest(after)) => {
                context.execution_backoff.forget(&key);
                return after;
            }
            Err(error) => return Some(failed(&context, &key, &error).await),
        }
    }
}

async fn step(context: &Arc<Context>, key: &Key) -> Result<Next, Error> {
    let Some((entry, observed)) = observe::observe(context, key).await? else {
        leave::forgotten(context, key);
        return Ok(Next::Rest(None));
    };
    let timings = &context.config.timings;
    let patience = Patience { running: timings.lazy_running, queued: timings.lazy_queued };
    let step = decide::decide(observe::plan(&entry), &observed, patience, Instant::now());
    act::act(context, key, &entry, step).await
}

/// What a failure means: a conflict is looked at with the object as it is now.
async fn failed(context: &Arc<Context>, key: &Key, error: &Error) -> Duration {
    context.metrics.retries.inc();
    if error.is_conflict() {
        refresh(context, key).await;
    } else {
        tracing::warn!(execution = %key, error = %telemetry::with_causes(error), "a step failed and is tried again");
    }
    context.execution_backoff.next(key.clone(), error.retry())
}

/// Takes the object as it is now, without waiting for the watch.
async fn refresh(context: &Arc<Context>, key: &Key) {
    let api: Api<DeserializeGuard<CodeExecution>> = Api::namespaced(context.client.clone(), &key.namespace);
    match api.get_opt(&key.name).await {
        Ok(Some(DeserializeGuard(Ok(object)))) => applied(context, object),
        Ok(None) => deleted(context, key),
        Ok(Some(DeserializeGuard(Err(_)))) | Err(_) => {}
    }
}

/// An object is there or has changed.
pub(crate) fn applied(context: &Arc<Context>, object: CodeExecution) {
    let key = Key::of(&object.metadata);
    let finished = ttl::Finished::of(&object);
    let before = context.executions.get(&key);
    match context.executions.apply(object) {
        cache::Change::Look => {}
        cache::Change::Replaced(old) => {
            if let Some(before) = before.filter(|before| before.uid == old) {
                leave::abandon(context, &key, &before);
            }
        }
        cache::Change::Finished => {
            if let Some(before) = before {
                // Our own terminal status, seen by the watch before the reconcile went on, changes nothing here.
                if context.runs.get(&key).is_none_or(|run| run.uid != before.uid || run.left.is_none()) {
                    leave::abandon(context, &key, &before);
                }
            }
        }
    }
    if let Some(finished) = finished {
        context.live.end(&finished.uid);
        context.ttl.add(finished);
    }
    context.execution_queue.push(key);
}

/// An object is gone.
pub(crate) fn deleted(context: &Arc<Context>, key: &Key) {
    context.ttl.remove(key, &context.gc);
    context.execution_backoff.forget(key);
    if let Some(entry) = context.executions.remove(key) {
        leave::abandon(context, key, &entry);
    }
}
