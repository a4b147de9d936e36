//! The one writer: takes all waiting writes, decides the optimistic locks against its pending state, commits
//! them in one fsynced transaction, publishes, and only then answers.
//! A lost race is answered after the commit too, so that whoever retries sees what it lost against.
//!
//! A commit that fails is the last one: the database refuses all that come after it, and whether the failed one
//! reached the disk shows only when the file is opened again. So nothing is accepted any more, and who runs the
//! API is told why.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    disk::{Disk, Record},
    history::Change,
    object::{Object, ObjectName},
    state::{ResourceId, State},
};

/// The most writes of one transaction.
const MAX_BATCH: usize = 512;
/// What etcd takes in one request.
const MAX_OBJECT_BYTES: usize = 1_572_864;

/// What the writer must find for a write to go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    Absent,
    Version(u64),
}

/// A write: a new value, or `None` to remove the object.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) resource: ResourceId,
    pub(crate) name: ObjectName,
    pub(crate) expect: Expect,
    pub(crate) value: Option<Value>,
}

/// Why a write did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WriteError {
    Exists,
    Missing,
    Changed,
    TooLarge,
    /// A commit failed, this one or an earlier one.
    Storage(Arc<str>),
    Closed,
}

pub(super) type Outcome = Result<Arc<Object>, WriteError>;

/// A message to the writer.
#[derive(Debug)]
pub(super) enum Job {
    Write(Write, oneshot::Sender<Outcome>),
    Stop,
}

/// What the writer owns.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) jobs: mpsc::UnboundedReceiver<Job>,
    pub(super) disk: Disk,
    pub(super) state: Arc<RwLock<State>>,
    pub(super) latest: watch::Sender<u64>,
    pub(super) failure: watch::Sender<Option<Arc<str>>>,
}

/// One accepted change that waits for its commit.
struct Accepted {
    resource: ResourceId,
    name: ObjectName,
    object: Arc<Object>,
    change: Change,
}

type Pending = HashMap<(ResourceId, ObjectName), Option<Arc<Object>>>;

impl Writer {
    /// Runs until told to stop or until nobody can write any more. After a failed commit all it does is refuse.
    pub(super) fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let Job::Write(write, reply) = first else { return };
            let mut batch = vec![(write, reply)];
            let mut stop = false;
            while batch.len() < MAX_BATCH && !stop {
                match self.jobs.try_recv() {
                    Ok(Job::Write(write, reply)) => batch.push((write, reply)),
                    Ok(Job::Stop) => stop = true,
                    Err(_) => break,
                }
            }
            let committed = self.transact(batch);
            if stop {
                return;
            }
            if let Err(failure) = committed {
                return self.refuse(&failure);
            }
        }
    }

    fn refuse(&mut self, failure: &WriteError) {
        while let Some(Job::Write(_, reply)) = self.jobs.blocking_recv() {
            // Whoever asked may have gone away.
            let _ = reply.send(Err(failure.clone()));
        }
    }

    fn transact(&self, batch: Vec<(Write, oneshot::Sender<Outcome>)>) -> Result<(), WriteError> {
        let mut pending = Pending::new();
        let mut accepted = Vec::new();
        let mut replies = Vec::with_capacity(batch.len());
        let mut version = self.state.read().version;
        for (write, reply) in batch {
            let outcome = self.decide(write, &mut pending, &mut version).map(|accept| {
                let object = Arc::clone(&accept.object);
                accepted.push(accept);
                object
            });
            replies.push((reply, outcome));
        }
        let committed = self.commit(&accepted, version);
        if committed.is_ok() && !accepted.is_empty() {
            self.publish(accepted, version);
        }
        for (reply, outcome) in replies {
            let outcome = outcome.and_then(|object| committed.clone().map(|()| object));
            // Whoever asked may have gone away; the write stands.
            let _ = reply.send(outcome);
        }
        committed
    }

    fn decide(&self, write: Write, pending: &mut Pending, version: &mut u64) -> Result<Accepted, WriteError> {
        let key = (Arc::clone(&write.resource), write.name.clone());
        let current = match pending.get(&key) {
            Some(known) => known.clone(),
            None => self.state.read().get(&write.resource, &write.name).cloned(),
        };
        let change = allowed(write.expect, current.as_deref(), write.value.is_some())?;
        let next = *version + 1;
        let removed = write.value.is_none();
        let value = match (write.value, &current) {
            (Some(value), _) => value,
            (None, Some(current)) => current.value.clone(),
            (None, None) => return Err(WriteError::Missing),
        };
        let object = Arc::new(Object::stamp(value, next));
        if object.json.len() > MAX_OBJECT_BYTES && !removed {
            return Err(WriteError::TooLarge);
        }
        *version = next;
        pending.insert(key, (!removed).then(|| Arc::clone(&object)));
        Ok(Accepted { resource: write.resource, name: write.name, object, change })
    }

    fn commit(&self, accepted: &[Accepted], version: u64) -> Result<(), WriteError> {
        if accepted.is_empty() {
            return Ok(());
        }
        let records: Vec<Record<'_>> = accepted
            .iter()
            .map(|one| Record {
                resource: &one.resource,
                name: &one.name,
                object: (one.change != Change::Deleted).then_some(&*one.object),
            })
            .collect();
        self.disk.commit(&records, version).map_err(|error| {
            let cause: Arc<str> = telemetry::with_causes(&error).into();
            tracing::error!(error = %cause, "a commit failed; nothing is accepted any more");
            self.failure.send_replace(Some(Arc::clone(&cause)));
            WriteError::Storage(cause)
        })
    }

    fn publish(&self, accepted: Vec<Accepted>, version: u64) {
        let mut state = self.state.write();
        for one in accepted {
            state.publish(&one.resource, one.object, one.change);
        }
        drop(state);
        self.latest.send_replace(version);
    }
}

/// The optimistic lock.
fn allowed(expect: Expect, current: Option<&Object>, keep: bool) -> Result<Change, WriteError> {
    match (expect, current) {
        (Expect::Absent, None) if keep => Ok(Change::Added),
        (Expect::Absent, Some(_)) => Err(WriteError::Exists),
        (Expect::Version(_) | Expect::Absent, None) => Err(WriteError::Missing),
        (Expect::Version(version), Some(current)) if current.version == version => {
            Ok(if keep { Change::Modified } else { Change::Deleted })
        }
        (Expect::Version(_), Some(_)) => Err(WriteError::Changed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_lock_names_what_stands_in_the_way() {
        let object = Object::stamp(json!({"metadata": {}}), 3);
        assert_eq!(allowed(Expect::Absent, None, true), Ok(Change::Added));
        assert_eq!(allowed(Expect::Absent, Some(&object), true), Err(WriteError::Exists));
        assert_eq!(allowed(Expect::Version(3), Some(&object), true), Ok(Change::Modified));
        assert_eq!(allowed(Expect::Version(3), Some(&object), false), Ok(Change::Deleted));
        assert_eq!(allowed(Expect::Version(2), Some(&object), true), Err(WriteError::Changed));
        assert_eq!(allowed(Expect::Version(3), None, true), Err(WriteError::Missing));
    }
}
