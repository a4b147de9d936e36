//! The file controller: bytes become durable, files end, and bytes end after them. The reconcile is the names of its
//! steps; each step has a file of its name.

pub(crate) mod act;
pub(crate) mod cache;
pub(crate) mod decide;
pub(crate) mod gc;
pub(crate) mod observe;
pub(crate) mod status;
pub(crate) mod validate;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use crds::{FilePhase, SandboxFile};

use self::cache::FileFacts;
use crate::{backoff::Retry, context::Context, key::Key};

/// No timer is longer; what is due later is looked at again then.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Which step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file could not be read.
    #[error("the file could not be read")]
    Read(#[source] kube::Error),
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] blobs::Error),
    /// The file could not be written.
    #[error("the file could not be written")]
    Write(#[source] kube::Error),
}

/// Looks at one file. The answer is when to look again even if nothing happens.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Option<Duration> {
    match step(&context, &key).await {
        Ok(until) => {
            context.file_backoff.forget(&key);
            until.map(|until| wait(until, context.clock.now()))
        }
        Err(error) => {
            let retry = match &error {
                Error::Read(error) | Error::Write(error) => Retry::of(error),
                Error::Store(_) => Retry::Soon,
            };
            if retry != Retry::AtOnce {
                tracing::warn!(file = %key, error = %telemetry::with_causes(&error), "a step failed and is tried again");
            }
            Some(context.file_backoff.next(key, retry))
        }
    }
}

async fn step(context: &Context, key: &Key) -> Result<Option<DateTime<Utc>>, Error> {
    if let Some(facts) = context.files.get(key)
        && observe::is_quiet(&facts, context.clock.now())
    {
        return Ok(facts.end);
    }
    let Some((file, observed)) = observe::observe(context, key).await.map_err(Error::Read)? else {
        return Ok(None);
    };
    let source = validate::validate(&file.spec.source);
    let record = TimeDelta::from_std(context.config.timings.expired_record).unwrap_or_default();
    let step = decide::decide(source.as_ref(), &observed, record, context.clock.now());
    act::act(context, key, &file, source.as_ref(), step).await
}

fn wait(until: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    until.signed_duration_since(now).to_std().unwrap_or_default().min(LONGEST_WAIT) + Duration::from_millis(1)
}

/// A file is there or has changed.
pub(crate) fn applied(context: &Arc<Context>, file: &SandboxFile) {
    let facts = FileFacts::of(file);
    let (key, phase, digest) = (facts.key.clone(), facts.phase, facts.digest.clone());
    if let Some(released) = context.files.apply(facts) {
        context.gc.consider(&released);
    }
    if phase == FilePhase::Expired
        && let Some(digest) = digest
    {
        context.gc.consider(&digest);
    }
    if phase != FilePhase::Pending {
        for execution in context.files.take_waiting() {
            context.execution_queue.push(execution);
        }
    }
    context.file_queue.push(key);
}

/// A file is gone.
pub(crate) fn deleted(context: &Arc<Context>, key: &Key) {
    context.file_backoff.forget(key);
    if let Some(digest) = context.files.remove(key) {
        context.gc.consider(&digest);
    }
}
