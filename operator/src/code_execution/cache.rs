//! The executions that have not finished, as the watch has shown them. Texts are kept only from the event that shows an
//! execution to its first look, and only as many as have room; whoever must wait for anything reads them again when it
//! is about to start. So a queue costs no memory beyond its keys and what is needed to decide.

use std::{collections::HashMap, sync::Arc};

use crds::{CodeExecution, CodeExecutionStatus, ExecutionPhase, code_execution::Failure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::validate::{self, Origin, Plan, Program};
use crate::{key::Key, resource_version::is_older, work_queue::WorkQueue};

/// One execution that has not finished.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) uid: Arc<str>,
    pub(crate) version: String,
    pub(crate) phase: ExecutionPhase,
    /// The pod that the watch has shown in its status: what an earlier leader has announced.
    pub(crate) shown_pod: Option<Arc<str>>,
    pub(crate) cancel: bool,
    pub(crate) seen: Instant,
    pub(crate) origin: Arc<Origin>,
    pub(crate) plan: Result<Arc<Plan>, Failure>,
    /// The texts, when they are kept.
    pub(crate) program: Option<Arc<Program>>,
    /// It has asked its pool for a pod.
    pub(crate) asked: bool,
    /// How many pods could not start it.
    pub(crate) attempts: u32,
    /// How often something of ours failed before it was sent to a pod.
    pub(crate) hiccups: u32,
    /// It asks for no pod before, because of the last of those.
    pub(crate) not_before: Option<Instant>,
    /// The pod for which this leader has announced a start, and nothing since. What an earlier one has written may be
    /// overtaken by a late write of its own.
    pub(crate) announced: Option<Arc<str>>,
    /// `Queued` may have been written although the answer was lost.
    pub(crate) maybe_queued: bool,
}

impl Entry {
    /// It must wait: its texts are read again when it is about to start.
    pub(crate) fn waits(&mut self) {
        self.program = None;
    }
}

/// What a change of the cache means for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Look at it.
    Look,
    /// It was there before under another uid, which is gone now.
    Replaced(Arc<str>),
    /// It has finished.
    Finished,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Executions {
    inner: Mutex<Inner>,
}

/// All texts together take at most so many bytes. What has no room is read again.
const TEXT_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    /// What the texts of all entries take.
    text_bytes: usize,
    keys: HashMap<Arc<str>, Key>,
    /// Those that we have finished and the watch has not shown as finished yet: what it shows of them is old.
    finished: HashMap<Key, Arc<str>>,
}

impl Executions {
    /// Takes in what a watch has shown, unless our own last write is newer.
    pub(crate) fn apply(&self, object: CodeExecution) -> Change {
        let key = Key::of(&object.metadata);
        let fresh = entry(object);
        let mut inner = self.inner.lock();
        let old = inner.entries.get(&key).cloned();
        if fresh.phase.is_terminal() {
            inner.remove(&key);
            inner.finished.remove(&key);
            return Change::Finished;
        }
        if inner.finished.get(&key).is_some_and(|uid| *uid == fresh.uid) {
            return Change::Look;
        }
        inner.finished.remove(&key);
        let mut change = Change::Look;
        let fresh = match old {
            Some(old) if old.uid == fresh.uid => merged(&old, fresh),
            Some(old) => {
                inner.keys.remove(&old.uid);
                change = Change::Replaced(old.uid);
                fresh
            }
            None => fresh,
        };
        inner.insert(key, fresh);
        change
    }

    /// Takes in an object that cannot be read.
    pub(crate) fn apply_unreadable(&self, meta: &ObjectMeta, error: &str) {
        let object = CodeExecution { metadata: meta.clone(), spec: unreadable_spec(), status: None };
        let mut fresh = entry(object);
        let message = format!("the object cannot be read: {error}");
        fresh.plan = Err(Failure { message: message.chars().take(1024).collect(), ..Failure::default() });
        fresh.program = None;
        let key = Key::of(meta);
        let mut inner = self.inner.lock();
        inner.insert(key, fresh);
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Entry> {
        self.inner.lock().entries.get(key).cloned()
    }

    /// Changes an entry, if it is still the one of `uid`.
    pub(crate) fn update(&self, key: &Key, uid: &str, change: impl FnOnce(&mut Entry)) {
        let mut inner = self.inner.lock();
        let Inner { entries, text_bytes, .. } = &mut *inner;
        if let Some(entry) = entries.get_mut(key).filter(|entry| *entry.uid == *uid) {
            *text_bytes -= weight(entry);
            change(entry);
            *text_bytes += weight(entry);
        }
    }

    /// Forgets an execution that is gone. The answer is what was known of it, when it was here.
    pub(crate) fn remove(&self, key: &Key) -> Option<Entry> {
        let mut inner = self.inner.lock();
        inner.finished.remove(key);
        inner.remove(key)
    }

    /// Its terminal status is written. Until the watch shows that, older events of it are not believed: one that
    /// says `Pending` must not make it run again.
    pub(crate) fn finish(&self, key: &Key, uid: &Arc<str>) {
        let mut inner = self.inner.lock();
        if inner.entries.get(key).is_some_and(|current| current.uid == *uid) {
            inner.remove(key);
            inner.finished.insert(key.clone(), Arc::clone(uid));
        }
    }

    /// Looks at the execution of that uid. False when there is none that has not finished.
    pub(crate) fn wake(&self, uid: &str, queue: &WorkQueue<Key>) -> bool {
        let key = self.inner.lock().keys.get(uid).cloned();
        let found = key.is_some();
        if let Some(key) = key {
            queue.push(key);
        }
        found
    }

    /// As `wake`, for an execution of which a pod of `pool` speaks. False also when it wants another pool.
    pub(crate) fn wake_in(&self, uid: &str, pool: &Key, queue: &WorkQueue<Key>) -> bool {
        let theirs = {
            let inner = self.inner.lock();
            let entry = inner.keys.get(uid).and_then(|key| inner.entries.get(key));
            entry.is_some_and(|entry| entry.plan.as_ref().map_or(true, |plan| plan.pool == *pool))
        };
        theirs && self.wake(uid, queue)
    }

    /// Looks at those that have not been given to a pool yet.
    pub(crate) fn wake_held(&self, queue: &WorkQueue<Key>) {
        let inner = self.inner.lock();
        for (key, entry) in &inner.entries {
            if !entry.asked && entry.phase == ExecutionPhase::Pending {
                queue.push(key.clone());
            }
        }
    }

    /// Looks at all that want a file or a pool of that name.
    pub(crate) fn wake_pool(&self, pool: &Key, queue: &WorkQueue<Key>) {
        for (key, entry) in &self.inner.lock().entries {
            if entry.plan.as_ref().is_ok_and(|plan| plan.pool == *pool) {
                queue.push(key.clone());
            }
        }
    }

    /// All keys, for comparing with a fresh list.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.inner.lock().entries.keys().cloned().collect()
    }

    /// All entries, oldest first.
    pub(crate) fn all(&self) -> Vec<(Key, Entry)> {
        let mut all: Vec<_> =
            self.inner.lock().entries.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect();
        all.sort_by_key(|(_, entry)| entry.plan.as_ref().map(|plan| plan.created).ok());
        all
    }
}

impl Inner {
    /// Takes in an entry, with its texts only if they have room.
    fn insert(&mut self, key: Key, mut entry: Entry) {
        self.remove(&key);
        if self.text_bytes + weight(&entry) > TEXT_BYTES {
            entry.program = None;
        }
        self.text_bytes += weight(&entry);
        self.keys.insert(Arc::clone(&entry.uid), key.clone());
        self.entries.insert(key, entry);
    }

    fn remove(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.text_bytes -= weight(&entry);
        self.keys.remove(&entry.uid);
        Some(entry)
    }
}

/// What the texts of an entry take.
fn weight(entry: &Entry) -> usize {
    entry.program.as_ref().map_or(0, |program| program.bytes())
}

/// An object of the API as an entry. The texts are checked here, once.
pub(crate) fn entry(object: CodeExecution) -> Entry {
    let status: CodeExecutionStatus = object.status.clone().unwrap_or_default();
    let (plan, program) = match validate::validate(&object) {
        Ok((plan, program)) => (Ok(Arc::new(plan)), Some(Arc::new(program))),
        Err(failure) => (Err(failure), None),
    };
    let meta = object.metadata;
    Entry {
        origin: Arc::new(Origin::of(&meta)),
        uid: meta.uid.as_deref().unwrap_or_default().into(),
        version: meta.resource_version.unwrap_or_default(),
        phase: status.phase,
        shown_pod: status.pod_uid.as_deref().map(Arc::from),
        cancel: object.spec.cancel || meta.deletion_timestamp.is_some(),
        seen: Instant::now(),
        plan,
        program,
        asked: false,
        attempts: 0,
        hiccups: 0,
        not_before: None,
        announced: None,
        maybe_queued: false,
    }
}

/// An entry with its texts, which were read again. What is known of it beside the object stays.
pub(crate) fn read_again(old: &Entry, fresh: Entry) -> Entry {
    let program = fresh.program.clone();
    Entry { program, ..merged(old, fresh) }
}

fn merged(old: &Entry, fresh: Entry) -> Entry {
    let newer = !is_older(&fresh.version, &old.version);
    Entry {
        version: if newer { fresh.version } else { old.version.clone() },
        phase: if newer { fresh.phase } else { old.phase },
        cancel: old.cancel || fresh.cancel,
        seen: old.seen,
        attempts: old.attempts,
        hiccups: old.hiccups,
        not_before: old.not_before,
        announced: old.announced.clone(),
        asked: old.asked,
        maybe_queued: old.maybe_queued,
        // Once the texts were let go they stay away until a pod is there.
        program: old.program.as_ref().and(fresh.program),
        ..fresh
    }
}

/// A stand-in; only the metadata of such an object is used.
fn unreadable_spec() -> crds::CodeExecutionSpec {
    crds::CodeExecutionSpec { code: Some(String::new()), ..crds::CodeExecutionSpec::default() }
}

#[cfg(test)]
mod tests;
