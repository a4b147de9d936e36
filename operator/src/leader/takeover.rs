//! What a new leader may start, and what its predecessor may have started: pure.
//!
//! The first lists of executions and pods, and the executors' inventories, are all there is to know. An execution
//! of the first list may run already when
//! - an inventory names it: it is attached to, never started;
//! - its status names a pod that has let go of something, or never answered;
//! - a dead pod's last words name it;
//! - its status is still the first one, and a pod of its pool could have been given it and left no word, or could be
//!   gone, because no operator was there for longer than executors wait for one.
//!
//! A status that says `Queued` proves that it was not started, because a start after it is announced first.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use crds::{ExecutionPhase, Reason};
use tokio::time::Instant;

use crate::{key::Key, pool::facts::Fate};

/// For so long an executor that is told to go certainly keeps an outcome. A minute less than it does, since clocks
/// differ.
const OUTCOME_PATIENCE: Duration = Duration::from_millis(protocol::OUTCOME_PATIENCE_MILLISECONDS - 60_000);

/// What the new leader found about one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pod {
    /// It has not been asked successfully.
    Silent { pool: Key },
    /// It cannot be asked any more.
    Dead { pool: Key, fate: Fate },
    /// It said what it holds. `all` says whether that is all it ever accepted. What it has let go already, it does not
    /// name.
    Answered { all: bool },
}

/// An execution of the first list, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inherited {
    /// What its status said.
    pub(crate) phase: ExecutionPhase,
    /// The pod that its status named.
    pub(crate) pod: Option<String>,
    /// The pool that it wants.
    pub(crate) pool: Key,
    /// When it was made.
    pub(crate) created: DateTime<Utc>,
}

/// What may be done with an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Permission {
    /// It has not been started by anybody.
    Start,
    /// That pod has it.
    Attach { pod: Arc<str> },
    /// It cannot be told yet; look again when a pod has answered or the first lists are complete, or then.
    Wait(Option<Instant>),
    /// It may have run, and nobody can say what came of it.
    Over(Reason, &'static str),
}

/// What a new leader knows. It shrinks to nothing when all is known.
#[derive(Debug)]
pub(crate) struct Takeover {
    /// Until then every start waits for silent pods.
    barrier: Instant,
    /// From then on what a silent pod may hold is lost.
    lost: Instant,
    listed: bool,
    /// What was made until then may have run in a pod that is gone without a word.
    unattended: Option<DateTime<Utc>>,
    pods: HashMap<Arc<str>, Pod>,
    /// By execution: each pod that says it holds it, and the pool of that pod.
    named: HashMap<Arc<str>, Vec<(Arc<str>, Key)>>,
    inherited: HashMap<Arc<str>, Inherited>,
}

impl Takeover {
    /// `wait` is lease and margin, `lost_after` when silence becomes loss.
    pub(crate) fn new(now: Instant, wait: Duration, lost_after: Duration) -> Self {
        Self {
            barrier: now + wait,
            lost: now + lost_after.max(wait),
            listed: false,
            unattended: None,
            pods: HashMap::new(),
            named: HashMap::new(),
            inherited: HashMap::new(),
        }
    }

    /// The term before ended then.
    pub(crate) fn unattended(&mut self, ended: DateTime<Utc>, now: DateTime<Utc>) {
        let alone = now.signed_duration_since(ended).to_std().unwrap_or_default();
        self.unattended = (alone >= OUTCOME_PATIENCE).then_some(ended);
    }

    /// A pod of the first list that may have been given something.
    pub(crate) fn pod(&mut self, uid: Arc<str>, pool: Key) {
        self.pods.insert(uid, Pod::Silent { pool });
    }

    /// An execution of the first list.
    pub(crate) fn execution(&mut self, uid: Arc<str>, found: Inherited) {
        self.inherited.insert(uid, found);
    }

    /// Both first lists are complete.
    pub(crate) fn complete(&mut self) {
        self.listed = true;
    }

    /// Whether both first lists are complete, so that what they do not name does not exist.
    pub(crate) fn listed(&self) -> bool {
        self.listed
    }

    /// A pod has said what it holds, and whether that is all it ever accepted. The answer is whether that may change a
    /// permission.
    pub(crate) fn answered(
        &mut self,
        pod: &Arc<str>,
        pool: &Key,
        all: bool,
        holds: impl IntoIterator<Item = Arc<str>>,
    ) -> bool {
        for uid in holds {
            // Kept beside what others said: a lie must not hide the truth.
            self.named.entry(uid).or_default().push((Arc::clone(pod), pool.clone()));
        }
        match self.pods.get_mut(pod) {
            Some(known) => {
                *known = Pod::Answered { all };
                true
            }
            None => false,
        }
    }

    /// A pod can no longer be asked. What it has said before stays. The answer is whether that may change a
    /// permission.
    pub(crate) fn gone(&mut self, pod: &str, fate: &Fate) -> bool {
        let Some(known) = self.pods.get_mut(pod) else { return false };
        let Pod::Silent { pool } = known else { return false };
        *known = Pod::Dead { pool: pool.clone(), fate: fate.clone() };
        true
    }

    /// An execution has ended or is gone: nobody will ask for it again.
    pub(crate) fn forget(&mut self, uid: &str) {
        self.inherited.remove(uid);
        self.named.remove(uid);
    }

    /// Whether anything is still to be found out, for readiness.
    pub(crate) fn open(&self, now: Instant) -> bool {
        !self.listed || (now < self.barrier && self.silent().next().is_some())
    }

    /// Whether an execution was there before this leader.
    pub(crate) fn is_inherited(&self, uid: &str) -> bool {
        self.inherited.contains_key(uid)
    }

    /// Whether that pod may hold something that it has not told.
    pub(crate) fn is_silent(&self, pod: &str) -> bool {
        matches!(self.pods.get(pod), Some(Pod::Silent { .. }))
    }

    /// When what a silent pod may hold is lost.
    pub(crate) fn lost_at(&self) -> Instant {
        self.lost
    }

    /// What may be done with the execution `uid`, which wants a pod of `pool`. What a pod says of executions that it
    /// cannot have been given is not believed: programs run beside what answers there.
    pub(crate) fn permission(&self, uid: &str, pool: Option<&Key>, now: Instant) -> Permission {
        let mut named = self.named.get(uid).into_iter().flatten();
        if let Some((pod, _)) = named.find(|(pod, of)| self.credible(uid, pool, pod, of)) {
            return Permission::Attach { pod: Arc::clone(pod) };
        }
        if self.open(now) {
            // The lists may take longer than the barrier stands; whoever completes them wakes everybody.
            return Permission::Wait(self.listed.then_some(self.barrier));
        }
        let Some(found) = self.inherited.get(uid) else { return Permission::Start };
        if let Some(fate) = self.last_words(uid, pool) {
            let reason = if fate.out_of_memory { Reason::OutOfMemory } else { Reason::Lost };
            return Permission::Over(reason, "its sandbox died while no operator was there");
        }
        match found.phase {
            ExecutionPhase::Queued => Permission::Start,
            ExecutionPhase::Running => self.running(found, now),
            _ => self.pending(found, now),
        }
    }

    /// The pod that the status of an execution names. What was announced for one pod was started in no other.
    fn shown(&self, uid: &str) -> Option<&str> {
        let found = self.inherited.get(uid).filter(|found| found.phase == ExecutionPhase::Running)?;
        found.pod.as_deref()
    }

    /// Whether `pod`, which is one of the pool `of`, can have been given an execution that wants `pool`.
    fn credible(&self, uid: &str, pool: Option<&Key>, pod: &str, of: &Key) -> bool {
        pool.is_none_or(|pool| pool == of) && self.shown(uid).is_none_or(|shown| shown == pod)
    }

    /// How the dead pod ended that had accepted this execution. Programs can write last words as well.
    fn last_words(&self, uid: &str, pool: Option<&Key>) -> Option<&Fate> {
        self.pods.iter().find_map(|(pod, known)| match known {
            Pod::Dead { pool: of, fate } => {
                let told = fate.told.as_ref()?.execution_uid.as_deref()?;
                (told == uid && self.credible(uid, pool, pod, of)).then_some(fate)
            }
            Pod::Silent { .. } | Pod::Answered { .. } => None,
        })
    }

    /// The pods that have not answered, with their pools.
    fn silent(&self) -> impl Iterator<Item = &Key> {
        self.pods.values().filter_map(|pod| match pod {
            Pod::Silent { pool } => Some(pool),
            Pod::Dead { .. } | Pod::Answered { .. } => None,
        })
    }

    /// The status says that a pod has it, but no inventory does.
    fn running(&self, found: &Inherited, now: Instant) -> Permission {
        match found.pod.as_deref().and_then(|pod| self.pods.get(pod)) {
            Some(Pod::Answered { all: true }) => Permission::Start,
            // It had accepted nothing, or its last words would have named this execution.
            Some(Pod::Dead { fate, .. }) if fate.told.is_some() => Permission::Start,
            Some(Pod::Silent { .. }) if now < self.lost => Permission::Wait(Some(self.lost)),
            Some(Pod::Silent { .. }) => Permission::Over(Reason::Lost, "its sandbox does not answer"),
            Some(Pod::Dead { fate, .. }) if fate.out_of_memory => {
                Permission::Over(Reason::OutOfMemory, "its sandbox ran out of memory")
            }
            Some(Pod::Answered { .. } | Pod::Dead { .. }) | None => {
                Permission::Over(Reason::Lost, "its sandbox is gone")
            }
        }
    }

    /// Nothing is known of it. It can have been started only in a pod of its pool.
    fn pending(&self, found: &Inherited, now: Instant) -> Permission {
        let left_no_word = |pod: &Pod| match pod {
            Pod::Dead { pool, fate } => {
                let since = fate.ended.is_none_or(|at| at >= found.created);
                *pool == found.pool && fate.told.is_none() && since
            }
            Pod::Silent { .. } | Pod::Answered { .. } => false,
        };
        if self.silent().any(|pool| *pool == found.pool) {
            return if now < self.lost {
                Permission::Wait(Some(self.lost))
            } else {
                Permission::Over(Reason::Lost, "a sandbox that may have run it does not answer")
            };
        }
        if self.pods.values().any(left_no_word) {
            let why = "a sandbox that may have run it died while no operator was there";
            Permission::Over(Reason::Lost, why)
        } else if self.unattended.is_some_and(|ended| found.created <= ended) {
            let why = "no operator was there for so long that a sandbox may have run it and given it up";
            Permission::Over(Reason::Lost, why)
        } else {
            Permission::Start
        }
    }

    /// The executions whose permission may have changed.
    pub(crate) fn undecided(&self) -> HashSet<Arc<str>> {
        self.inherited.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
