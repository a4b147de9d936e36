//! The runs that this process follows. Each belongs to one task; what it leaves behind is taken by a reconcile.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::status::Ending;
use crate::{key::Key, pool::cache::PodEntry};

/// What a run's task leaves behind.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    pub(crate) result: Followed,
    /// Nothing was sent to the pod, so another execution may have it.
    pub(crate) untouched: bool,
}

impl Left {
    pub(crate) fn ended(ending: Ending, untouched: bool) -> Self {
        Self { result: Followed::Ended(Arc::new(ending)), untouched }
    }

    pub(crate) fn not_started(message: String, untouched: bool) -> Self {
        Self { result: Followed::NotStarted(message), untouched }
    }
}

/// What came of following a run.
#[derive(Debug, Clone)]
pub(crate) enum Followed {
    /// The execution has ended so.
    Ended(Arc<Ending>),
    /// The pod certainly did not start it.
    NotStarted(String),
}

/// Whether a request went to the pod of a run, so that it may have it. Clones say the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Arc<AtomicBool>);

impl Sent {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// The answer is what it was before.
    pub(crate) fn set(&self, sent: bool) -> bool {
        self.0.swap(sent, Ordering::SeqCst)
    }
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) uid: Arc<str>,
    pub(crate) pod: Arc<PodEntry>,
    pub(crate) since: Instant,
    /// How long it had waited for the pod.
    pub(crate) queued_milliseconds: i64,
    /// Tells the task to end the program.
    pub(crate) cancel: CancellationToken,
    pub(crate) sent: Sent,
    pub(crate) left: Option<Left>,
}

/// All of them, by object.
#[derive(Debug, Default)]
pub(crate) struct Runs(Mutex<HashMap<Key, Run>>);

impl Runs {
    /// Notes a run. False when the object has one already, which must not be doubled.
    pub(crate) fn begin(&self, key: &Key, run: Run) -> bool {
        let mut runs = self.0.lock();
        if runs.contains_key(key) {
            return false;
        }
        runs.insert(key.clone(), run);
        true
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Run> {
        self.0.lock().get(key).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(Key, Run)> {
        self.0.lock().iter().map(|(key, run)| (key.clone(), run.clone())).collect()
    }

    /// The task of that run is done.
    pub(crate) fn leave(&self, key: &Key, uid: &str, left: Left) {
        if let Some(run) = self.0.lock().get_mut(key).filter(|run| *run.uid == *uid) {
            run.left = Some(left);
        }
    }

    /// Takes a run out.
    pub(crate) fn take(&self, key: &Key, uid: &str) -> Option<Run> {
        let mut runs = self.0.lock();
        if runs.get(key).is_some_and(|run| *run.uid == *uid) { runs.remove(key) } else { None }
    }
}
