//! Which execution gets which pod: in memory, first come first served within a scope, round robin between scopes.
//!
//! A pod whose program has ended may be kept for further executions of the same key. It is never idle again. Keeping is
//! for times in which nobody waits: whoever comes finds the pod that is kept for them, and a pod of which somebody else
//! could have the room is not kept.
//!
//! Pure: it holds keys and nothing else. The executor's refusal of a second uid is the real lock.

mod queue;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use self::queue::FairQueue;
use crate::{clock::Instant, key::Key};

/// A pod's uid.
pub(crate) type PodUid = Arc<str>;

/// An execution that wants a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    /// The execution's uid.
    pub(crate) uid: Arc<str>,
    /// Which object to wake.
    pub(crate) key: Key,
    /// Whose sandbox it may share; nobody's when absent.
    pub(crate) reuse: Option<ReuseKey>,
}

/// Whose turn it is: a scope of the pool's namespace.
pub(crate) type Scope = Option<Arc<str>>;

/// Whose programs may follow each other in a sandbox of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ReuseKey {
    /// The scope that they have, or that they have none.
    pub(crate) scope: Scope,
    /// The isolation key that somebody chose.
    pub(crate) isolation_key: Arc<str>,
}

/// What became of a pod that could be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It waits for an execution of its key.
    Waits,
    /// That execution has it now.
    Given(Ticket),
    /// Its room is of more use to others.
    Unwanted,
}

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
    /// Pods that wait for an execution of the key that they had.
    pub(crate) kept: usize,
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
        pool.forget_waiting(pod);
        pool.busy.insert(Arc::clone(pod), ticket.clone());
        pool.grants.insert(Arc::clone(&ticket.uid), Arc::clone(pod));
    }

    /// The program of `execution` has ended in that pod and nothing is left of it: the pod is kept for others of its key,
    /// or given to one that waits. When somebody else's turn is next it is not: who has many executions must not hold
    /// on to a pod while others wait.
    pub(crate) fn keep(
        &mut self,
        pool: &Key,
        pod: &PodUid,
        execution: &str,
        key: &ReuseKey,
        now: Instant,
    ) -> Kept {
        let Some(pool) = self.pools.get_mut(pool) else { return Kept::Unwanted };
        pool.keep(pod, execution, key, now)
    }

    /// Since when the pod is kept, if it is.
    pub(crate) fn kept_since(&self, pool: &Key, pod: &str) -> Option<Instant> {
        let mut kept = self.pools.get(pool)?.kept.iter();
        kept.find(|kept| *kept.pod == *pod).map(|kept| kept.since)
    }

    /// How many pods are kept, of all pools.
    pub(crate) fn kept(&self) -> usize {
        self.pools.values().map(|pool| pool.kept.len()).sum()
    }

    /// Since when a pod is kept longest.
    pub(crate) fn longest_kept(&self, pool: &Key) -> Option<Instant> {
        self.pools.get(pool)?.kept.iter().map(|kept| kept.since).min()
    }

    /// Whether the pod has had an execution before the one that it has or waits for.
    pub(crate) fn is_used(&self, pool: &Key, pod: &str) -> bool {
        self.pools.get(pool).is_some_and(|pool| pool.used.contains(pod))
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

    /// Takes a pod out that waits, to replace it. False when it does not wait (any more).
    pub(crate) fn retire(&mut self, pool: &Key, pod: &str) -> bool {
        self.pools.get_mut(pool).is_some_and(|pool| pool.forget_waiting(pod))
    }

    /// A pod is used up or gone. The answer is the execution that had it.
    pub(crate) fn remove_pod(&mut self, pool: &Key, pod: &str) -> Option<Ticket> {
        let pool = self.pools.get_mut(pool)?;
        pool.forget_waiting(pod);
        pool.avoided.remove(pod);
        pool.used.remove(pod);
        let ticket = pool.busy.remove(pod)?;
        pool.grants.remove(&ticket.uid);
        Some(ticket)
    }

    /// An execution wants no pod any more and never used the one it may have, which is free again, unless others have
    /// used it before. The answer is the execution that got it instead, if any waits.
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

    /// The execution that has the pod.
    pub(crate) fn holder(&self, pool: &Key, pod: &str) -> Option<&Ticket> {
        self.pools.get(pool)?.busy.get(pod)
    }

    pub(crate) fn usage(&self, pool: &Key) -> Usage {
        self.pools.get(pool).map_or_else(Usage::default, |pool| Usage {
            idle: pool.idle.len(),
            busy: pool.busy.len(),
            queued: pool.queue.len(),
            kept: pool.kept.len(),
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
    /// Pods that wait for an execution of the key that they had, the longest first.
    kept: Vec<KeptPod>,
    /// Pods that were kept at some time. None of them is idle.
    used: HashSet<PodUid>,
}

#[derive(Debug)]
struct KeptPod {
    pod: PodUid,
    key: ReuseKey,
    since: Instant,
}

impl PoolReserve {
    fn request(&mut self, scope: &Scope, ticket: &Ticket) -> Place {
        if let Some(place) = self.place(&ticket.uid) {
            return place;
        }
        if let Some(pod) = self.next_kept(ticket).or_else(|| self.next_idle()) {
            self.grant(&pod, ticket.clone());
            return Place::Granted(pod);
        }
        self.queue.push(scope, ticket.clone());
        Place::Waiting
    }

    /// The pod that was kept last for its key: of several the others may go sooner.
    fn next_kept(&mut self, ticket: &Ticket) -> Option<PodUid> {
        let key = ticket.reuse.as_ref()?;
        let good = |kept: &KeptPod| kept.key == *key && !self.avoided.contains(&kept.pod);
        let at = self.kept.iter().rposition(good)?;
        Some(self.kept.remove(at).pod)
    }

    fn keep(&mut self, pod: &PodUid, execution: &str, key: &ReuseKey, now: Instant) -> Kept {
        let its_own = self.busy.get(pod).is_some_and(|ticket| *ticket.uid == *execution);
        let its_turn = self.queue.first().is_none_or(|first| first.reuse.as_ref() == Some(key));
        if !its_own || !its_turn {
            return Kept::Unwanted;
        }
        self.busy.remove(pod);
        self.grants.remove(execution);
        self.used.insert(Arc::clone(pod));
        if let Some(ticket) = self.queue.pop() {
            self.grant(pod, ticket.clone());
            return Kept::Given(ticket);
        }
        self.kept.push(KeptPod { pod: Arc::clone(pod), key: key.clone(), since: now });
        Kept::Waits
    }

    /// Whether the pod waited for an execution; it does so no more.
    fn forget_waiting(&mut self, pod: &str) -> bool {
        let before = self.idle.len() + self.kept.len();
        self.idle.retain(|idle| **idle != *pod);
        self.kept.retain(|kept| *kept.pod != *pod);
        self.idle.len() + self.kept.len() < before
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
        if self.busy.contains_key(pod) || self.idle.contains(pod) || self.used.contains(pod) {
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

#[cfg(test)]
mod tests;
