//! The first lists of a term: when they are complete, everything that an earlier leader may have started is known by
//! name. What follows from them is decided in `takeover.rs`.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

use super::takeover::Inherited;
use crate::{
    context::Context,
    pool::{self, facts::Life},
};

pub(crate) const EXECUTIONS: &str = "executions";
pub(crate) const PODS: &str = "pods";
pub(crate) const POOLS: &str = "pools";
pub(crate) const FILES: &str = "files";

/// The lists that a takeover needs, of each namespace that is watched.
const TAKEOVER: [&str; 3] = [EXECUTIONS, PODS, POOLS];
/// The lists that may refer to bytes. Before all are complete nobody knows which bytes can go.
const BYTES: [&str; 2] = [EXECUTIONS, FILES];

/// Which first lists are not complete yet.
pub(crate) struct Lists(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting(HashSet<(&'static str, Option<String>)>);

/// What became complete with one list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Complete {
    takeover: bool,
    bytes: bool,
}

impl Waiting {
    fn new(namespaces: &[Option<String>]) -> Self {
        let all = [EXECUTIONS, PODS, POOLS, FILES].into_iter();
        Self(all.flat_map(|list| namespaces.iter().map(move |n| (list, n.clone()))).collect())
    }

    /// A list came to its end. Later lists of the same kind change nothing.
    fn complete(&mut self, list: &'static str, namespace: Option<String>) -> Complete {
        if !self.0.remove(&(list, namespace)) {
            return Complete::default();
        }
        let by_this = |group: &[&str]| {
            group.contains(&list) && !self.0.iter().any(|(waiting, _)| group.contains(waiting))
        };
        Complete { takeover: by_this(&TAKEOVER), bytes: by_this(&BYTES) }
    }
}

impl Lists {
    /// `namespaces` are those that are watched one by one; `None` stands for all at once.
    pub(crate) fn new(namespaces: &[Option<String>]) -> Self {
        Self(Mutex::new(Waiting::new(namespaces)))
    }

    pub(crate) fn complete(&self, context: &Arc<Context>, list: &'static str, namespace: Option<String>) {
        let Complete { takeover, bytes } = self.0.lock().complete(list, namespace);
        if takeover {
            take_over(context);
        }
        if bytes {
            context.gc.listed();
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
                takeover.answered(&facts.uid, &facts.pool, answer.all, answer.holds.iter().cloned());
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
        let of = pod.facts().pool.clone();
        let unwanted = |uid: &Arc<str>| !context.executions.wake_in(uid, &of, &context.execution_queue);
        if pod.answer().is_some_and(|answer| answer.holds.iter().any(unwanted)) {
            // It answered before it was known that nobody wants what it holds.
            pod.spend();
        }
        pool::pod_changed(context, &pod);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_for_the_files_of_every_namespace_and_the_takeover_does_not() {
        let [a, b] = ["a", "b"].map(|name| Some(name.to_owned()));
        let mut waiting = Waiting::new(&[a.clone(), b.clone()]);
        let mut done = |list, namespace: &Option<String>| waiting.complete(list, namespace.clone());
        for list in [PODS, POOLS, EXECUTIONS] {
            assert_eq!(done(list, &a), Complete::default());
        }
        assert_eq!(done(FILES, &b), Complete::default());
        assert_eq!(done(EXECUTIONS, &b), Complete::default());
        assert_eq!(done(PODS, &b), Complete::default());
        assert_eq!(done(POOLS, &b), Complete { takeover: true, bytes: false });
        assert_eq!(done(POOLS, &b), Complete::default(), "a later list is no first one");
        assert_eq!(done(FILES, &a), Complete { takeover: false, bytes: true });
    }
}
