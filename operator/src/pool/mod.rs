//! The pool controller: warm pods that wait for programs. This file is the order of the steps and what an event of
//! a pod means; each step has a file of its name.

pub(crate) mod act;
pub(crate) mod cache;
pub(crate) mod decide;
pub(crate) mod expectations;
pub(crate) mod facts;
pub(crate) mod inventory;
pub(crate) mod observe;
pub(crate) mod pod;
pub(crate) mod quota;
pub(crate) mod refill;
pub(crate) mod reserve;
pub(crate) mod status;
pub(crate) mod trouble;
pub(crate) mod validate;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use self::{
    cache::{Answer, PodEntry},
    facts::PodFacts,
    trouble::Trouble,
};
use crate::{backoff::Retry, context::Context, key::Key, nodes::Standing, report};

/// Looks at one pool. The answer is when to look again even if nothing happens.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key) -> Option<Duration> {
    // Before everything that an earlier leader left is known by name, a pod that runs a program looks like one that
    // is only coming up, and might be deleted as one too many. Every pool is looked at when that is known.
    if !context.takeover.lock().listed() {
        return None;
    }
    context.metrics.pods_kept.set(i64::try_from(context.reserve.lock().kept()).unwrap_or(i64::MAX));
    let pool = context.pools.get(&key)?;
    let (old, generation) = (pool.status.as_ref(), pool.metadata.generation);
    let now = context.clock.now();
    let mut next = None;
    let outdated = context.definitions.outdated();
    let status = match validate::validate(&pool, &context.pod_defaults) {
        Err(trouble) => {
            report::pool_trouble(&context, &key, &pool, Some(&trouble));
            set_unable(&context, &key, Some(&trouble));
            act::drop_used(&context, &key).await;
            status::invalid(old, generation, &trouble, outdated.as_deref(), now)
        }
        Ok(valid) => {
            let found = observe::observe(&context, &key, &valid);
            set_unable(&context, &key, found.unable.as_ref());
            let step = decide::decide(&valid, &found.seen);
            report::pool_trouble(&context, &key, &pool, found.trouble.as_ref());
            let input = status::Input {
                name: &key.name,
                generation,
                seen: &found.seen,
                usage: found.usage,
                isolation: &found.isolation,
                trouble: found.trouble.as_ref(),
                step: &step,
                outdated: outdated.as_deref(),
            };
            let status = status::status(old, &valid, &input, now);
            act::act(&context, &key, &valid, step).await;
            let until = [found.held_until, found.starved_at].into_iter().flatten().min();
            let held = until.map(|until| until.saturating_duration_since(Instant::now()));
            let patience = observe::next_patience(&context, &key);
            let aging = observe::next_aging(&context, &key, &valid);
            let unkept = observe::next_unkept(&context, &key);
            next = [held, patience, aging, unkept].into_iter().flatten().min();
            status
        }
    };
    let written = match status {
        Some(status) => act::write_status(&context, &key, status).await,
        None => Ok(None),
    };
    settle_status(&context, &key, written, next)
}

/// Notes whether executions with a start deadline need not wait. Those that do are told.
fn set_unable(context: &Context, key: &Key, unable: Option<&Trouble>) {
    let news = context.pools.with(key, |memory| {
        let news = unable.is_some() && memory.unable.is_none();
        memory.unable = unable.cloned();
        news
    });
    if news {
        context.executions.wake_pool(key, &context.execution_queue);
    }
}

fn settle_status(
    context: &Context,
    key: &Key,
    written: Result<Option<Instant>, kube::Error>,
    next: Option<Duration>,
) -> Option<Duration> {
    match written {
        Ok(later) => {
            context.pool_backoff.forget(key);
            let later = later.map(|at| at.saturating_duration_since(Instant::now()));
            [later, next].into_iter().flatten().min()
        }
        Err(error) if Retry::of(&error) == Retry::AtOnce => {
            // The watch brings the newer object, which is looked at then.
            Some(context.config.timings.pool_status)
        }
        Err(error) => {
            tracing::warn!(pool = %key, %error, "the status of a pool could not be written");
            Some(context.pool_backoff.next(key.clone(), Retry::of(&error)))
        }
    }
}

/// A pod has changed: it may be usable now, or no longer.
pub(crate) fn pod_changed(context: &Arc<Context>, entry: &Arc<PodEntry>) {
    let facts = entry.facts();
    context.pools.with(&facts.pool, |memory| {
        memory.expected.seen(&facts.key.name);
        if facts.deleting.is_some() {
            memory.expected.leaving(&facts.uid);
        }
    });
    if facts.alive() {
        inventory::ask_when_due(context, entry);
    } else {
        gone(context, &facts);
    }
    settle(context, entry);
    context.pool_queue.push(facts.pool.clone());
}

/// A pod is no more.
pub(crate) fn pod_gone(context: &Arc<Context>, entry: &Arc<PodEntry>) {
    let facts = entry.facts();
    context.pools.with(&facts.pool, |memory| {
        memory.expected.seen(&facts.key.name);
        memory.expected.leaving(&facts.uid);
        memory.refill.gone(&facts.key.name);
        memory.has_room(Instant::now());
    });
    gone(context, &facts);
    settle(context, entry);
    context.pool_queue.push(facts.pool.clone());
}

/// A node has changed in what it means for its pods.
pub(crate) fn node_changed(context: &Arc<Context>, node: &str) {
    for entry in context.pods.all() {
        let facts = entry.facts();
        if facts.node.as_deref() == Some(node) {
            settle(context, &entry);
            context.pool_queue.push(facts.pool.clone());
        }
    }
}

/// An executor has said what it holds.
fn answered(context: &Arc<Context>, entry: &Arc<PodEntry>, answer: &Answer) {
    let facts = entry.facts();
    // Before the takeover is told: whoever looks there next must find the answer here.
    entry.set_answer(answer.clone());
    let (changed, listed) = {
        let mut takeover = context.takeover.lock();
        let changed = takeover.answered(&facts.uid, &facts.pool, answer.all, answer.holds.iter().cloned());
        (changed, takeover.listed())
    };
    let useless = !answer.usable && answer.holds.is_empty() && answer.trouble.is_none();
    for uid in &answer.holds {
        if !context.executions.wake_in(uid, &facts.pool, &context.execution_queue) && listed {
            // Nobody wants this run any more: its object is gone or has its status, or was never this pod's.
            tracing::info!(pod = %facts.key, uid = %uid, "a pod holds what is not, or no longer, to be run there; it goes");
            entry.spend();
        }
    }
    if answer.usable {
        context.pools.with(&facts.pool, |memory| {
            if std::mem::take(&mut memory.stillborn) > 0 {
                memory.refused = None;
            }
        });
    }
    if useless {
        entry.spend();
    }
    if changed {
        wake_undecided(context);
    }
    settle(context, entry);
    context.pool_queue.push(facts.pool.clone());
}

/// A pod can be asked no more.
fn gone(context: &Context, facts: &PodFacts) {
    let changed = context.takeover.lock().gone(&facts.uid, &facts.fate);
    if changed {
        wake_undecided(context);
    }
}

/// Gives a usable pod out, and takes an unusable one back.
fn settle(context: &Arc<Context>, entry: &Arc<PodEntry>) {
    let facts = entry.facts();
    let standing = context.nodes.standing(&facts);
    let usable = entry.usable() && standing != Standing::Lost;
    if usable {
        let lag =
            context.pools.with(&facts.pool, |memory| memory.refill.usable(&facts.key.name, Instant::now()));
        if let Some(lag) = lag {
            context.metrics.refill.observe(lag.as_secs_f64());
        }
    }
    let woken = {
        let mut reserve = context.reserve.lock();
        if usable {
            reserve.avoid(&facts.pool, &facts.uid, standing != Standing::Good);
            reserve.offer(&facts.pool, &facts.uid)
        } else if facts.alive() && !entry.gone.is_cancelled() {
            // An idle one may be usable again. What was kept is not given out as if it were new.
            if reserve.retire(&facts.pool, &facts.uid) && reserve.is_used(&facts.pool, &facts.uid) {
                entry.spend();
            }
            None
        } else {
            reserve.remove_pod(&facts.pool, &facts.uid)
        }
    };
    if let Some(ticket) = woken {
        context.execution_queue.push(ticket.key);
    }
}

/// The pod has run its program, or must not run one: it is deleted and replaced.
pub(crate) fn spend(context: &Arc<Context>, entry: &Arc<PodEntry>) {
    let facts = entry.facts();
    entry.spend();
    context.reserve.lock().remove_pod(&facts.pool, &facts.uid);
    context.pool_queue.push(facts.pool.clone());
}

/// Executions of the first list may be decided now.
fn wake_undecided(context: &Context) {
    let undecided = context.takeover.lock().undecided();
    for uid in undecided {
        context.executions.wake(&uid, &context.execution_queue);
    }
    context.executions.wake_held(&context.execution_queue);
}
