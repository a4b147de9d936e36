//! The end of finished executions: after their time, or when a namespace has too many. One task deletes them.
//!
//! Of a finished object only what is needed for this is kept.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use crds::CodeExecution;
use futures::{StreamExt as _, stream::FuturesUnordered};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep};

use crate::{context::Context, key::Key, metrics::Kind, sandbox_file::gc::Gc};

/// How many deletes are under way at once.
const AT_ONCE: usize = 16;
/// When a delete failed.
const RETRY: TimeDelta = TimeDelta::seconds(5);

/// What is kept of a finished execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) key: Key,
    pub(crate) uid: Arc<str>,
    completed: DateTime<Utc>,
    ends: DateTime<Utc>,
    /// What it keeps in the store.
    stored: Vec<String>,
}

impl Finished {
    /// The record of an object that has finished.
    pub(crate) fn of(object: &CodeExecution) -> Option<Self> {
        let status = object.status.as_ref().filter(|status| status.phase.is_terminal())?;
        let made = object.metadata.creation_timestamp.as_ref().map(crate::pool::facts::time);
        let completed = status.completion_time.or(made).unwrap_or(DateTime::UNIX_EPOCH);
        let life = TimeDelta::try_seconds(object.spec.ttl_seconds_after_finished.max(0)).unwrap_or_default();
        let texts =
            [&status.stdout, &status.stderr].into_iter().flatten().filter_map(|t| t.stored_as.clone());
        let results = status.results.iter().filter_map(|part| part.stored_as.clone());
        Some(Self {
            key: Key::of(&object.metadata),
            uid: object.metadata.uid.as_deref()?.into(),
            completed,
            ends: completed.checked_add_signed(life).unwrap_or(DateTime::<Utc>::MAX_UTC),
            stored: texts.chain(results).chain(status.files_stored_as.clone()).collect(),
        })
    }
}

/// All finished executions.
#[derive(Debug)]
pub(crate) struct Ttl {
    state: Mutex<State>,
    wake: Notify,
}

impl Ttl {
    pub(crate) fn new(per_namespace: usize) -> Self {
        Self { state: Mutex::new(State::new(per_namespace)), wake: Notify::new() }
    }

    pub(crate) fn add(&self, finished: Finished) {
        self.state.lock().add(finished);
        self.wake.notify_one();
    }

    /// The object is gone; what it kept in the store may go too.
    pub(crate) fn remove(&self, key: &Key, gc: &Gc) {
        let removed = self.state.lock().remove(key);
        for digest in removed.into_iter().flat_map(|finished| finished.stored) {
            gc.consider(&digest);
        }
    }

    /// Whether a finished execution keeps these bytes.
    pub(crate) fn keeps(&self, digest: &str) -> bool {
        self.state.lock().stored.contains_key(digest)
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.state.lock().all.keys().cloned().collect()
    }
}

/// The pure part.
#[derive(Debug)]
struct State {
    per_namespace: usize,
    all: HashMap<Key, Finished>,
    due: BTreeSet<(DateTime<Utc>, Key)>,
    /// By namespace, oldest first.
    ages: HashMap<Arc<str>, BTreeSet<(DateTime<Utc>, Key)>>,
    /// How many records keep each digest.
    stored: BTreeMap<String, usize>,
}

impl State {
    fn new(per_namespace: usize) -> Self {
        Self {
            per_namespace,
            all: HashMap::new(),
            due: BTreeSet::new(),
            ages: HashMap::new(),
            stored: BTreeMap::new(),
        }
    }

    fn add(&mut self, finished: Finished) {
        self.remove(&finished.key);
        for digest in &finished.stored {
            *self.stored.entry(digest.clone()).or_default() += 1;
        }
        let age = (finished.completed, finished.key.clone());
        let ages = self.ages.entry(Arc::clone(&finished.key.namespace)).or_default();
        ages.insert(age);
        self.due.insert((finished.ends, finished.key.clone()));
        // Beyond the ceiling the oldest is due at once, whatever its time.
        let oldest = if ages.len() > self.per_namespace { ages.pop_first() } else { None };
        self.all.insert(finished.key.clone(), finished);
        if let Some((_, key)) = oldest {
            self.postpone(&key, DateTime::UNIX_EPOCH);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Finished> {
        let finished = self.all.remove(key)?;
        self.due.remove(&(finished.ends, key.clone()));
        if let Some(ages) = self.ages.get_mut(&key.namespace) {
            ages.remove(&(finished.completed, key.clone()));
            if ages.is_empty() {
                self.ages.remove(&key.namespace);
            }
        }
        for digest in &finished.stored {
            if let Some(count) = self.stored.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    self.stored.remove(digest);
                }
            }
        }
        Some(finished)
    }

    fn postpone(&mut self, key: &Key, to: DateTime<Utc>) {
        if let Some(finished) = self.all.get_mut(key) {
            self.due.remove(&(finished.ends, key.clone()));
            finished.ends = to;
            self.due.insert((to, key.clone()));
        }
    }

    /// The first one that is due, put off so that it is not taken twice. It is removed when the watch shows that
    /// it is gone.
    fn take(&mut self, now: DateTime<Utc>) -> Option<Finished> {
        let (ends, key) = self.due.first()?.clone();
        if ends > now {
            return None;
        }
        let finished = self.all.get(&key)?.clone();
        self.postpone(&key, now + RETRY);
        Some(finished)
    }

    fn next_due(&self) -> Option<DateTime<Utc>> {
        self.due.first().map(|(ends, _)| *ends)
    }
}

/// Deletes what is due, for ever.
pub(crate) async fn run(context: Arc<Context>) {
    let mut active = FuturesUnordered::new();
    loop {
        while active.len() < AT_ONCE
            && let Some(finished) = context.ttl.state.lock().take(context.clock.now())
        {
            active.push(delete(Arc::clone(&context), finished));
        }
        let due = context.ttl.state.lock().next_due();
        let left = due.map(|due| due.signed_duration_since(context.clock.now()).to_std().unwrap_or_default());
        let full = active.len() >= AT_ONCE;
        tokio::select! {
            Some(()) = active.next() => {}
            () = context.ttl.wake.notified(), if !full => {}
            () = sleep(left.unwrap_or_default()), if !full && left.is_some() => {}
        }
    }
}

async fn delete(context: Arc<Context>, finished: Finished) {
    let Finished { key, uid, .. } = finished;
    let deleted = context.writes.delete::<CodeExecution>(Kind::CodeExecution, &key, &uid, None).await;
    if let Err(error) = deleted {
        tracing::warn!(execution = %key, %error, "a finished execution could not be deleted; it is tried again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn finished(name: &str, completed: i64, life: i64, stored: &[&str]) -> Finished {
        Finished {
            key: Key::new("ns", name),
            uid: name.into(),
            completed: at(completed),
            ends: at(completed + life),
            stored: stored.iter().map(|d| (*d).to_owned()).collect(),
        }
    }

    fn due(state: &mut State, now: i64) -> Vec<String> {
        std::iter::from_fn(|| state.take(at(now))).map(|f| f.uid.to_string()).collect()
    }

    #[test]
    fn an_execution_is_due_after_its_time_and_in_that_order() {
        let mut state = State::new(100);
        state.add(finished("a", 100, 50, &[]));
        state.add(finished("b", 110, 10, &[]));
        assert_eq!(due(&mut state, 119), Vec::<String>::new());
        assert_eq!(due(&mut state, 150), ["b", "a"]);
        assert_eq!(due(&mut state, 150), Vec::<String>::new(), "not twice at once");
        assert_eq!(due(&mut state, 155), ["a", "b"], "but again when the delete did not happen");
        state.remove(&Key::new("ns", "a"));
        assert_eq!(due(&mut state, 200), ["b"]);
    }

    #[test]
    fn beyond_the_ceiling_the_oldest_is_due_at_once() {
        let mut state = State::new(2);
        for (name, completed) in [("a", 3), ("b", 1), ("c", 2)] {
            state.add(finished(name, completed, 1000, &[]));
        }
        assert_eq!(due(&mut state, 10), ["b"]);
    }

    #[test]
    fn bytes_are_kept_until_the_last_record_is_gone() {
        let mut state = State::new(100);
        state.add(finished("a", 1, 1, &["d"]));
        state.add(finished("a", 1, 1, &["d"]));
        state.add(finished("b", 1, 1, &["d"]));
        state.remove(&Key::new("ns", "a"));
        assert!(state.stored.contains_key("d"));
        state.remove(&Key::new("ns", "b"));
        assert!(state.stored.is_empty() && state.ages.is_empty() && state.due.is_empty());
    }
}
