//! The pools and pods that the watches have shown, and what this leader has found out about each pod.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crds::SandboxPool;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    expectations::Expectations,
    facts::{Life, PodFacts},
    refill::Refill,
    trouble::{Reason, Trouble},
};
use crate::{executor_client::Target, key::Key, resource_version::advance};

/// How soon after the end of a pod its quota is free again.
const QUOTA_IS_COUNTED: Duration = Duration::from_secs(1);

/// What an executor said when this leader asked it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// It has never held a run, is not about to go, and speaks our protocol.
    pub(crate) usable: bool,
    /// What it holds is all that it ever accepted.
    pub(crate) all: bool,
    /// Why it is not usable although it holds nothing.
    pub(crate) trouble: Option<Trouble>,
    /// The executions it holds.
    pub(crate) holds: Vec<Arc<str>>,
    /// The layers that its runs get.
    pub(crate) isolation: Vec<String>,
}

/// One pod.
#[derive(Debug)]
pub(crate) struct PodEntry {
    facts: RwLock<Arc<PodFacts>>,
    answer: RwLock<Option<Arc<Answer>>>,
    asking: AtomicBool,
    spent: AtomicBool,
    /// Since when it runs without being ready or without having answered.
    coming_up: Mutex<Option<Instant>>,
    /// Cancelled when nothing can be asked of the pod any more.
    pub(crate) gone: CancellationToken,
}

impl PodEntry {
    fn new(facts: PodFacts) -> Self {
        Self {
            facts: RwLock::new(Arc::new(facts)),
            answer: RwLock::new(None),
            asking: AtomicBool::new(false),
            spent: AtomicBool::new(false),
            coming_up: Mutex::default(),
            gone: CancellationToken::new(),
        }
    }

    pub(crate) fn facts(&self) -> Arc<PodFacts> {
        Arc::clone(&self.facts.read())
    }

    pub(crate) fn answer(&self) -> Option<Arc<Answer>> {
        self.answer.read().clone()
    }

    pub(crate) fn set_answer(&self, answer: Answer) {
        *self.answer.write() = Some(Arc::new(answer));
        self.note(Instant::now());
    }

    /// Since when it runs without being of use, for a reason that it has not told.
    pub(crate) fn coming_up(&self) -> Option<Instant> {
        *self.coming_up.lock()
    }

    fn note(&self, now: Instant) {
        let facts = self.facts();
        let comes_up = facts.life == Life::Running && !(facts.ready && self.answer().is_some());
        let mut since = self.coming_up.lock();
        *since = comes_up.then(|| since.unwrap_or(now));
    }

    /// True for the one caller that may ask the executor.
    pub(crate) fn start_asking(&self) -> bool {
        !self.asking.swap(true, Ordering::SeqCst)
    }

    /// It must not be given out (any more) and goes.
    pub(crate) fn spend(&self) {
        self.spent.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::SeqCst)
    }

    /// Whether it can take an execution now.
    pub(crate) fn usable(&self) -> bool {
        let facts = self.facts();
        facts.alive()
            && facts.ready
            && facts.deleting.is_none()
            && !self.is_spent()
            && !self.gone.is_cancelled()
            && self.answer().is_some_and(|answer| answer.usable)
    }

    /// Where to ask it.
    pub(crate) fn target(&self) -> Option<Target> {
        let facts = self.facts();
        Some(Target { ip: facts.ip?, pod_uid: Arc::clone(&facts.uid) })
    }
}

/// All pods of our pools, by uid.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    all: Mutex<HashMap<Arc<str>, Arc<PodEntry>>>,
}

impl Pods {
    /// Takes in what a watch has shown.
    pub(crate) fn apply(&self, facts: PodFacts) -> Arc<PodEntry> {
        let mut all = self.all.lock();
        let entry = if let Some(entry) = all.get(&facts.uid) {
            *entry.facts.write() = Arc::new(facts);
            Arc::clone(entry)
        } else {
            let entry = Arc::new(PodEntry::new(facts.clone()));
            all.insert(facts.uid, Arc::clone(&entry));
            entry
        };
        drop(all);
        entry.note(Instant::now());
        if !entry.facts().alive() {
            entry.gone.cancel();
        }
        entry
    }

    pub(crate) fn remove(&self, uid: &str) -> Option<Arc<PodEntry>> {
        let entry = self.all.lock().remove(uid)?;
        entry.gone.cancel();
        Some(entry)
    }

    pub(crate) fn get(&self, uid: &str) -> Option<Arc<PodEntry>> {
        self.all.lock().get(uid).cloned()
    }

    pub(crate) fn of_pool(&self, pool: &Key) -> Vec<Arc<PodEntry>> {
        self.all.lock().values().filter(|entry| entry.facts.read().pool == *pool).cloned().collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<PodEntry>> {
        self.all.lock().values().cloned().collect()
    }
}

/// What is remembered of a pool beside the object.
#[derive(Debug, Default)]
pub(crate) struct PoolMemory {
    pub(crate) expected: Expectations,
    pub(crate) refill: Refill,
    /// Why pods cannot be made, and until when not to try again.
    pub(crate) refused: Option<(Trouble, Instant)>,
    pub(crate) failures: u32,
    /// Pods in a row that died before they ever answered.
    pub(crate) stillborn: u32,
    /// Why an execution with a start deadline need not wait.
    pub(crate) unable: Option<Trouble>,
    pub(crate) status_written: Option<Instant>,
    pub(crate) version: String,
    /// What was announced last.
    pub(crate) announced: Option<Reason>,
    /// When an execution got a pod last.
    pub(crate) given: Option<Instant>,
    /// Since when pods cannot be made and none is idle.
    pub(crate) starving: Option<Instant>,
}

impl PoolMemory {
    /// A pod is gone. What a quota refused it may allow as soon as that is counted.
    pub(crate) fn has_room(&mut self, now: Instant) {
        if let Some((trouble, until)) = &mut self.refused
            && trouble.reason == Reason::Quota
        {
            *until = (*until).min(now + QUOTA_IS_COUNTED);
            self.failures = 0;
        }
    }
}

/// All pools.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    all: Mutex<HashMap<Key, Arc<SandboxPool>>>,
    memory: Mutex<HashMap<Key, PoolMemory>>,
}

impl Pools {
    pub(crate) fn apply(&self, pool: SandboxPool) -> Key {
        let key = Key::of(&pool.metadata);
        let version = pool.metadata.resource_version.clone().unwrap_or_default();
        self.with(&key, |memory| advance(&mut memory.version, version));
        self.all.lock().insert(key.clone(), Arc::new(pool));
        key
    }

    pub(crate) fn remove(&self, key: &Key) {
        self.all.lock().remove(key);
        self.memory.lock().remove(key);
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<SandboxPool>> {
        self.all.lock().get(key).cloned()
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.all.lock().keys().cloned().collect()
    }

    /// Reads or changes what is remembered of a pool.
    pub(crate) fn with<T>(&self, key: &Key, change: impl FnOnce(&mut PoolMemory) -> T) -> T {
        change(self.memory.lock().entry(key.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(phase: &str, ready: &str) -> PodFacts {
        let pod = json!({
            "metadata": {
                "namespace": "ns", "name": "p", "uid": "u", "labels": { crds::labels::POOL: "default" },
                "ownerReferences": [{
                    "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "name": "default", "uid": "x",
                    "controller": true,
                }],
            },
            "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] },
        });
        PodFacts::of(&serde_json::from_value(pod).unwrap()).unwrap()
    }

    #[test]
    fn a_quota_is_tried_again_when_a_pod_is_gone_and_a_policy_is_not() {
        let now = Instant::now();
        let held = |reason, left| {
            let until = now + Duration::from_secs(left);
            let refused = Some((Trouble::new(reason, "", None), until));
            let mut memory = PoolMemory { refused, failures: 5, ..PoolMemory::default() };
            memory.has_room(now);
            (memory.refused.unwrap().1.duration_since(now).as_secs(), memory.failures)
        };
        assert_eq!(held(Reason::Quota, 20), (1, 0));
        assert_eq!(held(Reason::Quota, 0), (0, 0));
        assert_eq!(held(Reason::Forbidden, 20), (20, 5));
    }

    #[test]
    fn the_answer_to_a_write_that_comes_late_does_not_hide_what_the_watch_has_shown() {
        let pools = Pools::default();
        let pool = json!({"metadata": {"namespace": "ns", "name": "p", "resourceVersion": "10"}, "spec": {}});
        let key = pools.apply(serde_json::from_value(pool).unwrap());
        pools.with(&key, |memory| advance(&mut memory.version, "9".to_owned()));
        assert_eq!(pools.with(&key, |memory| memory.version.clone()), "10");
    }

    #[test]
    fn a_pod_comes_up_from_when_it_runs_until_it_is_ready_and_has_answered() {
        let pods = Pods::default();
        let answer =
            Answer { usable: true, all: true, trouble: None, holds: Vec::new(), isolation: Vec::new() };
        let entry = pods.apply(facts("Pending", "False"));
        assert_eq!(entry.coming_up(), None, "its image may take long");
        pods.apply(facts("Running", "False"));
        let since = entry.coming_up();
        assert!(since.is_some());
        entry.set_answer(answer);
        assert_eq!(entry.coming_up(), since, "an answer does not make it ready");
        pods.apply(facts("Running", "True"));
        assert_eq!(entry.coming_up(), None);
        pods.apply(facts("Running", "False"));
        assert!(entry.coming_up() > since, "another time");
    }
}
