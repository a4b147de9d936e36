//! The first lists of a term: when they are complete, everything that an earlier leader may have started is known by
//! name. What follows from them is decided in `takeover.rs`.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

use super::takeover::Inherited;
use crate::{
    context::Context,
    pool::{self, facts::Life},
};

/// The lists that a takeover needs, of each namespace that is watched.
const NEEDED: [&str; 3] = ["executions", "pods", "pools"];

/// Which first lists are not complete yet. The takeover begins when all are.
pub(crate) struct Lists {
    waiting: Mutex<HashSet<(&'static str, Option<String>)>>,
}

impl Lists {
    /// `namespaces` are those that are watched one by one; `None` stands for all at once.
    pub(crate) fn new(namespaces: &[Option<String>]) -> Self {
        let all = NEEDED.into_iter().flat_map(|list| namespaces.iter().map(move |n| (list, n.clone())));
        Self { waiting: Mutex::new(all.collect()) }
    }

    pub(crate) fn complete(&self, context: &Arc<Context>, list: &'static str, namespace: Option<String>) {
        let done = {
            let mut waiting = self.waiting.lock();
            waiting.remove(&(list, namespace)) && waiting.is_empty()
        };
        if done {
            take_over(context);
        }
    }
}

/// Everything that an earlier leader may have started is known by name now.
fn take_over(context: &Arc<Context>) {
    let executions = context.executions.all();
    let pods = context.pods.all();
    {
        let mut takeover = context.takeover.lock();
        for pod in &pods {
            let facts = pod.facts();
            // What has not begun to run cannot have been given anything.
            if facts.life != Life::Pending {
                takeover.pod(Arc::clone(&facts.uid), facts.pool.clone());
            }
            if let Some(answer) = pod.answer() {
                takeover.answered(&facts.uid, answer.vacant, answer.holds.iter().cloned());
            } else if !facts.alive() {
                takeover.gone(&facts.uid, &facts.fate);
            }
        }
        for (key, entry) in &executions {
            let Ok(plan) = &entry.plan else { continue };
            let found = Inherited {
                phase: entry.phase,
                pod: entry.shown_pod.as_deref().map(str::to_owned),
                pool: plan.pool.clone(),
                created: plan.created,
            };
            takeover.execution(Arc::clone(&entry.uid), found);
            tracing::debug!(execution = %key, "found at takeover");
        }
        takeover.complete();
    }
    tracing::info!(executions = executions.len(), pods = pods.len(), "the first lists are complete");
    for (key, _) in executions {
        context.execution_queue.push(key);
    }
    for key in context.pools.keys() {
        context.pool_queue.push(key);
    }
    for pod in pods {
        let unwanted = |uid: &Arc<str>| !context.executions.wake(uid, &context.execution_queue);
        if pod.answer().is_some_and(|answer| answer.holds.iter().any(unwanted)) {
            // It answered before it was known that nobody wants what it holds.
            pod.spend();
        }
        pool::pod_changed(context, &pod);
    }
}
