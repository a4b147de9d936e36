//! Carries out what was decided for a pool.

use std::{sync::Arc, time::Duration};

use crds::{SandboxPool, code_execution::FailureCause};
use futures::{StreamExt as _, stream, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::{Api, api::ListParams};
use tokio::time::Instant;

use super::{
    cache::PodEntry,
    decide::{Class, PodView, Step},
    observe, quota,
    trouble::{Reason, Trouble},
    validate::ValidPool,
};
use crate::{
    backoff::{self, Retry},
    context::Context,
    key::Key,
    leader::term::NotLeader,
    metrics::Kind,
    resource_version::advance,
};

/// How many requests for pods of one pool are under way at once: refilling must not starve starts.
const AT_ONCE: usize = 8;
/// So many pods in a row that died before they answered are no accident.
const HOPELESS_STILLBORN: u32 = 3;
/// Who mends a quota or a policy need not wait longer for pods.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How much of a pool's name a pod's name shows.
const SHOWN_NAME: usize = 40;

/// Makes and deletes pods. A failure is remembered in the pool's memory.
pub(crate) async fn act(context: &Arc<Context>, key: &Key, pool: &ValidPool, step: Step) {
    let Step { create, delete, retire } = step;
    let create = if note_stillborn(context, key, delete.iter().chain(&retire)) { 0 } else { create };
    let retired = retire.into_iter().filter(|pod| take_out(context, key, pod));
    // Made into futures first: a stream that borrows in its closure cannot be spawned.
    let deletes: Vec<_> =
        delete.into_iter().chain(retired).map(|pod| delete_pod(context, key, pod)).collect();
    let deletes = stream::iter(deletes).buffer_unordered(AT_ONCE).collect::<Vec<()>>();
    let creates = create_pods(context, key, pool, create);
    let (_, ()) = futures::join!(deletes, creates);
}

/// Remembers pods that died before they ever answered or did not become ready, and says whether there are such. The
/// next ones would most likely do the same, so the pool waits ever longer between them instead of filling the log.
fn note_stillborn<'a>(context: &Context, key: &Key, mut going: impl Iterator<Item = &'a PodView>) -> bool {
    // An executor leaves a word as soon as it is up, so one of an earlier leader does not count.
    let silent = |entry: Arc<PodEntry>| entry.answer().is_none() && entry.facts().fate.told.is_none();
    let stillborn = |pod: &&PodView| match pod.class {
        Class::Dead => context.pods.get(&pod.uid).is_some_and(silent),
        Class::Stalled => true,
        _ => false,
    };
    let Some(pod) = going.find(stillborn) else { return false };
    let wait = context.pools.with(key, |memory| {
        memory.stillborn = memory.stillborn.saturating_add(1);
        let wait = backoff::delay_after(Retry::Soon, memory.stillborn);
        let (reason, what) = match pod.class {
            Class::Stalled => (Reason::SandboxNotReady, "did not become ready in time"),
            _ => (Reason::SandboxFailsToStart, "died before they were ready"),
        };
        let message = format!("{} sandboxes in a row {what}", memory.stillborn);
        // One may die for any reason; several in a row mean that none of this template will come up.
        let cause = (memory.stillborn >= HOPELESS_STILLBORN).then_some(FailureCause::CannotStart);
        memory.refused = Some((Trouble::new(reason, &message, cause), Instant::now() + wait));
        wait
    });
    tracing::warn!(pool = %key, pod = %pod.key, wait_ms = wait.as_millis(), "a sandbox did not come up");
    context.pool_queue.push_at(key.clone(), Instant::now() + wait);
    true
}

/// Whether the pod is still unused, which is settled here: from now on it is not given out.
fn take_out(context: &Context, key: &Key, pod: &PodView) -> bool {
    let mut reserve = context.reserve.lock();
    if reserve.holder(key, &pod.uid).is_some() {
        return false;
    }
    reserve.retire(key, &pod.uid);
    if let Some(entry) = context.pods.get(&pod.uid) {
        entry.spend();
    }
    true
}

/// A pool that cannot be acted on, because its spec is wrong: what has run programs goes all the same.
pub(crate) async fn drop_used(context: &Arc<Context>, key: &Key) {
    let deletes: Vec<_> = observe::used(context, key)
        .into_iter()
        .filter(|pod| take_out(context, key, pod))
        .map(|pod| delete_pod(context, key, pod))
        .collect();
    stream::iter(deletes).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Deletes a pod that has no program. It has as long to go as an executor needs.
pub(crate) async fn delete(context: &Context, key: &Key, uid: &str) -> Result<(), kube::Error> {
    let grace = u32::try_from(context.config.timings.pod_grace.as_secs()).unwrap_or(u32::MAX);
    context.writes.delete::<Pod>(Kind::Pod, key, uid, Some(grace)).await
}

async fn delete_pod(context: &Context, key: &Key, pod: PodView) {
    context.pools.with(key, |memory| memory.expected.delete(&pod.uid, Instant::now()));
    if let Err(error) = delete(context, &pod.key, &pod.uid).await {
        tracing::warn!(pod = %pod.key, %error, "a pod could not be deleted; it is tried again");
        context.pools.with(key, |memory| memory.expected.leaving(&pod.uid));
        context.pool_queue.push_at(key.clone(), Instant::now() + Duration::from_secs(1));
    }
}

async fn create_pods(context: &Context, key: &Key, pool: &ValidPool, count: usize) {
    let requests: Vec<_> = std::iter::repeat_with(|| create_pod(context, key, pool)).take(count).collect();
    let failed = until_failure(requests, AT_ONCE).await;
    let why = match &failed {
        Some(error) => Some(trouble(error, quota_is_used_up(context, key, pool, error).await)),
        None => None,
    };
    context.pools.with(key, |memory| match &failed {
        None if count > 0 => {
            // That pods can be made is no proof that they come up: that trouble stays until one has.
            if memory.stillborn == 0 {
                memory.refused = None;
            }
            memory.failures = 0;
        }
        None => {}
        Some(error) => {
            memory.failures = memory.failures.saturating_add(1);
            let wait = backoff::delay_after(Retry::of(error), memory.failures).min(LONGEST_WAIT);
            memory.refused = why.map(|trouble| (trouble, Instant::now() + wait));
        }
    });
    if let Some(error) = failed {
        tracing::warn!(pool = %key, %error, "a pod could not be made");
        context.pool_queue.push(key.clone());
    }
}

/// Awaits the requests, so many at once, and answers with the first failure. After it no more are sent, but what is
/// under way goes to its end: what becomes of it must be known.
async fn until_failure<E>(requests: Vec<impl Future<Output = Result<(), E>>>, at_once: usize) -> Option<E> {
    let mut waiting = requests.into_iter();
    let mut under_way: FuturesUnordered<_> = waiting.by_ref().take(at_once).collect();
    let mut failed = None;
    while let Some(result) = under_way.next().await {
        match result {
            Ok(()) if failed.is_none() => under_way.extend(waiting.next()),
            Ok(()) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed
}

/// Makes one pod. It is expected from the moment that it is asked for, so one that is never asked for is not.
async fn create_pod(context: &Context, key: &Key, pool: &ValidPool) -> Result<(), kube::Error> {
    let name = pod_name(&context.config.pod_name_prefix, &key.name);
    let mut pod = pool.pod.clone();
    pod.metadata.name = Some(name.clone());
    context.pools.with(key, |memory| {
        memory.expected.create(&name, Instant::now());
        memory.refill.asked(&name, Instant::now());
    });
    let created = context.writes.create(Kind::Pod, &key.namespace, &pod).await;
    created.map(drop).inspect_err(|error| {
        // After anything but a clear refusal the pod may exist, so it goes on being expected.
        let refused = matches!(error, kube::Error::Api(status) if status.code < 500);
        if refused || NotLeader::is(error) {
            context.pools.with(key, |memory| {
                memory.expected.seen(&name);
                memory.refill.gone(&name);
            });
        }
    })
}

/// `{prefix}{pool}-{random}`, short enough for a host name.
fn pod_name(prefix: &str, pool: &str) -> String {
    let shown: String = pool.chars().take(SHOWN_NAME).collect();
    let random = uuid::Uuid::new_v4().simple().to_string();
    let suffix: String = random.chars().take(8).collect();
    format!("{prefix}{}-{suffix}", shown.trim_end_matches(['-', '.']).replace('.', "-"))
}

/// Whether a pod was refused for a quota. The refusal says so only in its text, so the quotas are asked.
async fn quota_is_used_up(context: &Context, key: &Key, pool: &ValidPool, error: &kube::Error) -> bool {
    if !matches!(error, kube::Error::Api(status) if status.code == 403) {
        return false;
    }
    let api: Api<ResourceQuota> = Api::namespaced(context.client.clone(), &key.namespace);
    match api.list(&ListParams::default()).await {
        Ok(quotas) => quota::is_used_up(&quotas.items, &pool.pod),
        Err(error) => {
            tracing::debug!(pool = %key, %error, "the quotas could not be read");
            false
        }
    }
}

fn trouble(error: &kube::Error, quota: bool) -> Trouble {
    let never = Some(FailureCause::CannotStart);
    let (reason, cause) = match error {
        kube::Error::Api(status) if status.code == 403 && quota => {
            (Reason::Quota, Some(FailureCause::QuotaExceeded))
        }
        // Not the pod is refused, but the operator: whoever waits may wait until it has the right.
        kube::Error::Api(status) if backoff::missing_right(status) => (Reason::Forbidden, None),
        kube::Error::Api(status) if status.code == 403 => (Reason::Forbidden, never),
        kube::Error::Api(status) if matches!(status.code, 400 | 422) => (Reason::Invalid, never),
        _ => (Reason::ApiUnavailable, None),
    };
    let message = match error {
        kube::Error::Api(status) if cause.is_some() => status.message.clone(),
        other => other.to_string(),
    };
    Trouble::new(reason, &message, cause)
}

/// Writes the status, at most once in the configured time. The answer is when it may be written next.
pub(crate) async fn write_status(
    context: &Context,
    key: &Key,
    status: crds::SandboxPoolStatus,
) -> Result<Option<Instant>, kube::Error> {
    let now = Instant::now();
    let (last, version) = context.pools.with(key, |memory| (memory.status_written, memory.version.clone()));
    let next = last.map(|at| at + context.config.timings.pool_status).filter(|next| *next > now);
    if next.is_some() {
        return Ok(next);
    }
    context.pools.with(key, |memory| memory.status_written = Some(now));
    let version =
        context.writes.patch_status::<SandboxPool>(Kind::SandboxPool, key, &version, &status).await?;
    context.pools.with(key, |memory| advance(&mut memory.version, version));
    Ok(None)
}

#[cfg(test)]
mod tests;
