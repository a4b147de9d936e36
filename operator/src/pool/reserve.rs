//! Which execution gets which pod: in memory, first come first served within a scope, round robin between scopes.
//!
//! Pure: it holds keys and nothing else. The executor's refusal of a second uid is the real lock.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use crate::key::Key;

/// A pod's uid.
pub(crate) type PodUid = Arc<str>;

/// An execution that wants a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    /// The execution's uid.
    pub(crate) uid: Arc<str>,
    /// Which object to wake.
    pub(crate) key: Key,
}

/// Whose turn it is: a scope of the pool's namespace.
pub(crate) type Scope = Option<Arc<str>>;

/// What an execution got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// That pod, and nobody else.
    Granted(PodUid),
    /// A place in the queue.
    Waiting,
}

/// How a pool is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Pods that wait for an execution.
    pub(crate) idle: usize,
    /// Pods that have one.
    pub(crate) busy: usize,
    /// Executions that wait for a pod.
    pub(crate) queued: usize,
}

/// All pools.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    pools: HashMap<Key, PoolReserve>,
}

impl Reserve {
    /// Gives a pod to an execution, or a place in the queue; the same answer when it asks again.
    pub(crate) fn request(&mut self, pool: &Key, scope: &Scope, ticket: &Ticket) -> Place {
        self.pools.entry(pool.clone()).or_default().request(scope, ticket)
    }

    /// What an execution has now.
    pub(crate) fn place(&self, pool: &Key, execution: &str) -> Option<Place> {
        self.pools.get(pool)?.place(execution)
    }

    /// A pod can take an execution. The answer is the one that got it, if any waits.
    pub(crate) fn offer(&mut self, pool: &Key, pod: &PodUid) -> Option<Ticket> {
        self.pools.entry(pool.clone()).or_default().offer(pod)
    }

    /// Notes that a pod has an execution already.
    pub(crate) fn adopt(&mut self, pool: &Key, pod: &PodUid, ticket: &Ticket) {
        let pool = self.pools.entry(pool.clone()).or_default();
        pool.idle.retain(|idle| idle != pod);
        pool.busy.insert(Arc::clone(pod), ticket.clone());
        pool.grants.insert(Arc::clone(&ticket.uid), Arc::clone(pod));
    }

    /// Gives a pod out only when there is no other, or as any other.
    pub(crate) fn avoid(&mut self, pool: &Key, pod: &PodUid, avoid: bool) {
        let avoided = &mut self.pools.entry(pool.clone()).or_default().avoided;
        if avoid {
            avoided.insert(Arc::clone(pod));
        } else {
            avoided.remove(pod);
        }
    }

    /// Takes an idle pod out, to replace it. False when it is not idle (any more).
    pub(crate) fn retire(&mut self, pool: &Key, pod: &str) -> bool {
        let Some(pool) = self.pools.get_mut(pool) else { return false };
        let before = pool.idle.len();
        pool.idle.retain(|idle| **idle != *pod);
        pool.idle.len() < before
    }

    /// A pod is used up or gone. The answer is the execution that had it.
    pub(crate) fn remove_pod(&mut self, pool: &Key, pod: &str) -> Option<Ticket> {
        let pool = self.pools.get_mut(pool)?;
        pool.idle.retain(|idle| **idle != *pod);
        pool.avoided.remove(pod);
        let ticket = pool.busy.remove(pod)?;
        pool.grants.remove(&ticket.uid);
        Some(ticket)
    }

    /// An execution wants no pod any more and never used the one it may have, which is free again.
    /// The answer is the execution that got it instead, if any waits.
    pub(crate) fn leave(&mut self, pool: &Key, execution: &str) -> Option<Ticket> {
        let pool = self.pools.get_mut(pool)?;
        pool.queue.remove(execution);
        let pod = pool.grants.remove(execution)?;
        pool.busy.remove(&pod)?;
        pool.offer(&pod)
    }

    /// Whether the pod waits for an execution.
    pub(crate) fn is_idle(&self, pool: &Key, pod: &str) -> bool {
        self.pools.get(pool).is_some_and(|pool| pool.idle.iter().any(|idle| **idle == *pod))
    }

    /// Whether the pod has an execution.
    pub(crate) fn is_busy(&self, pool: &Key, pod: &str) -> bool {
        self.pools.get(pool).is_some_and(|pool| pool.busy.contains_key(pod))
    }

    pub(crate) fn usage(&self, pool: &Key) -> Usage {
        self.pools.get(pool).map_or_else(Usage::default, |pool| Usage {
            idle: pool.idle.len(),
            busy: pool.busy.len(),
            queued: pool.queue.len(),
        })
    }
}

#[derive(Debug, Default)]
struct PoolReserve {
    idle: VecDeque<PodUid>,
    busy: HashMap<PodUid, Ticket>,
    grants: HashMap<Arc<str>, PodUid>,
    queue: FairQueue,
    /// Pods that may have to go soon.
    avoided: HashSet<PodUid>,
}

impl PoolReserve {
    fn request(&mut self, scope: &Scope, ticket: &Ticket) -> Place {
        if let Some(place) = self.place(&ticket.uid) {
            return place;
        }
        if let Some(pod) = self.next_idle() {
            self.grant(&pod, ticket.clone());
            return Place::Granted(pod);
        }
        self.queue.push(scope, ticket.clone());
        Place::Waiting
    }

    /// The pod that waits longest and can stay; when none can, the one that waits longest.
    fn next_idle(&mut self) -> Option<PodUid> {
        let at = self.idle.iter().position(|pod| !self.avoided.contains(pod)).unwrap_or(0);
        self.idle.remove(at)
    }

    fn place(&self, execution: &str) -> Option<Place> {
        match self.grants.get(execution) {
            Some(pod) => Some(Place::Granted(Arc::clone(pod))),
            None => self.queue.contains(execution).then_some(Place::Waiting),
        }
    }

    fn offer(&mut self, pod: &PodUid) -> Option<Ticket> {
        if self.busy.contains_key(pod) || self.idle.contains(pod) {
            return None;
        }
        if let Some(ticket) = self.queue.pop() {
            self.grant(pod, ticket.clone());
            return Some(ticket);
        }
        self.idle.push_back(Arc::clone(pod));
        None
    }

    fn grant(&mut self, pod: &PodUid, ticket: Ticket) {
        self.grants.insert(Arc::clone(&ticket.uid), Arc::clone(pod));
        self.busy.insert(Arc::clone(pod), ticket);
    }
}

/// First come first served within a scope, one of each scope in turn.
#[derive(Debug, Default)]
struct FairQueue {
    scopes: HashMap<Scope, VecDeque<Ticket>>,
    turns: VecDeque<Scope>,
    members: HashSet<Arc<str>>,
}

impl FairQueue {
    fn push(&mut self, scope: &Scope, ticket: Ticket) {
        if !self.members.insert(Arc::clone(&ticket.uid)) {
            return;
        }
        let line = self.scopes.entry(scope.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(scope.clone());
        }
        line.push_back(ticket);
    }

    fn pop(&mut self) -> Option<Ticket> {
        let scope = self.turns.pop_front()?;
        let line = self.scopes.get_mut(&scope)?;
        let ticket = line.pop_front()?;
        if line.is_empty() {
            self.scopes.remove(&scope);
        } else {
            self.turns.push_back(scope);
        }
        self.members.remove(&ticket.uid);
        Some(ticket)
    }

    fn remove(&mut self, execution: &str) {
        if !self.members.remove(execution) {
            return;
        }
        self.scopes.retain(|_, line| {
            line.retain(|ticket| *ticket.uid != *execution);
            !line.is_empty()
        });
        let scopes = &self.scopes;
        self.turns.retain(|scope| scopes.contains_key(scope));
    }

    fn contains(&self, execution: &str) -> bool {
        self.members.contains(execution)
    }

    fn len(&self) -> usize {
        self.members.len()
    }
}

#[cfg(test)]
mod tests;
