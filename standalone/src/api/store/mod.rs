//! The objects: all in memory, durable in `api.redb`, changed by one writer thread.
//! Not here: what a valid object is, or what a request means.

pub(crate) mod disk;
pub(crate) mod history;
pub(crate) mod object;
#[cfg(test)]
pub(crate) mod platter;
#[cfg(test)]
mod power_loss;
pub(crate) mod state;
mod writer;

use std::{sync::Arc, thread};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use self::writer::{Job, Writer};
pub(crate) use self::{
    disk::{Disk, DiskError},
    history::{Change, Event},
    object::{Object, ObjectName},
    state::{ResourceId, State},
    writer::{Expect, Write, WriteError},
};
use super::clock::Options;

/// The handle everybody shares.
#[derive(Debug)]
pub(crate) struct Store {
    state: Arc<RwLock<State>>,
    jobs: mpsc::UnboundedSender<Job>,
    latest: watch::Receiver<u64>,
    failure: watch::Receiver<Option<Arc<str>>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Store {
    /// Reads everything through `revive` (which fills in today's defaults) and starts the writer.
    pub(crate) fn open(
        disk: Disk,
        options: &Options,
        resources: &[ResourceId],
        revive: impl Fn(&str, Value) -> Value,
    ) -> Result<Self, DiskError> {
        let (stored, version) = disk.load()?;
        let mut state = State::new(version, options.history_events);
        for resource in resources {
            state.ensure(resource);
        }
        for (resource, value) in stored {
            let value = revive(&resource, value);
            let object =
                Object::restored(value).ok_or_else(|| DiskError::Damaged(resource.as_ref().to_owned()))?;
            state.restore(&resource, Arc::new(object));
        }
        let state = Arc::new(RwLock::new(state));
        let (jobs, receiver) = mpsc::unbounded_channel();
        let (sender, latest) = watch::channel(version);
        let (fail, failure) = watch::channel(None);
        let writer =
            Writer { jobs: receiver, disk, state: Arc::clone(&state), latest: sender, failure: fail };
        let thread = thread::Builder::new()
            .name("api-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| DiskError::from(redb::Error::Io(error)))?;
        Ok(Self { state, jobs, latest, failure, thread: Mutex::new(Some(thread)) })
    }

    /// The committed state. Hold it shortly and never across an await.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    pub(crate) fn get(&self, resource: &str, name: &ObjectName) -> Option<Arc<Object>> {
        self.read().get(resource, name).cloned()
    }

    /// Follows the last committed version.
    pub(crate) fn latest(&self) -> watch::Receiver<u64> {
        self.latest.clone()
    }

    /// Hands a write to the writer and waits until it is durable or refused.
    pub(crate) async fn commit(&self, write: Write) -> Result<Arc<Object>, WriteError> {
        let (reply, outcome) = oneshot::channel();
        self.jobs.send(Job::Write(write, reply)).map_err(|_| WriteError::Closed)?;
        outcome.await.map_err(|_| WriteError::Closed)?
    }

    /// Why nothing is accepted any more, if so.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.failure.borrow().clone()
    }

    /// Waits until nothing is accepted any more for another reason than [`Self::close`].
    pub(crate) async fn failed(&self) -> Arc<str> {
        let mut failure = self.failure.clone();
        let cause = failure.wait_for(Option::is_some).await.ok().and_then(|cause| cause.clone());
        match cause {
            Some(cause) => cause,
            None if self.thread.lock().is_some() => "the writer thread ended".into(),
            None => std::future::pending().await,
        }
    }

    /// Finishes what was accepted and closes the file. Later writes are refused.
    pub(crate) fn close(&self) {
        let thread = self.thread.lock().take();
        // The writer may already have ended.
        let _ = self.jobs.send(Job::Stop);
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the writer thread panicked");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use serde_json::json;

    use super::*;

    fn open(folder: &Path) -> Store {
        let disk = Disk::open(&folder.join("api.redb"), Duration::ZERO).unwrap();
        Store::open(disk, &Options::default(), &[], |_, value| value).unwrap()
    }

    fn put(name: &str, expect: Expect) -> Write {
        let value = json!({"metadata": {"name": name, "namespace": "n", "uid": name}});
        Write { resource: "g/t".into(), name: ObjectName::new("n", name), expect, value: Some(value) }
    }

    #[tokio::test]
    async fn of_two_writers_with_one_version_exactly_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let first = store.commit(put("a", Expect::Absent)).await.unwrap();
        let lock = Expect::Version(first.version);
        let attempts = futures::future::join_all((0..20).map(|_| store.commit(put("a", lock)))).await;
        assert_eq!(attempts.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert!(attempts.iter().filter_map(|o| o.as_ref().err()).all(|e| *e == WriteError::Changed));
    }

    #[tokio::test]
    async fn a_version_is_never_given_out_twice_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let last = store.commit(put("a", Expect::Absent)).await.unwrap();
        let gone = Write { value: None, ..put("a", Expect::Version(last.version)) };
        let removed = store.commit(gone).await.unwrap();
        store.close();
        assert_eq!(store.commit(put("b", Expect::Absent)).await.unwrap_err(), WriteError::Closed);
        let again = open(folder.path()).commit(put("b", Expect::Absent)).await.unwrap();
        assert!(again.version > removed.version);
    }
}
