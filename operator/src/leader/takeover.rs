//! What a new leader may start, and what its predecessor may have started: pure.
//!
//! The first lists of executions and pods, and the executors' inventories, are all there is to know. An execution
//! of the first list may run already when
//! - an inventory names it: it is attached to, never started;
//! - its status names a pod that held something or never answered;
//! - a dead pod's last words name it;
//! - its status is still the first one, and a pod of its pool could have been given it and left no word.
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

/// What the new leader found about one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pod {
    /// It has not been asked successfully.
    Silent { pool: Key },
    /// It cannot be asked any more.
    Dead { pool: Key, fate: Fate },
    /// It said what it holds.
    Answered { vacant: bool },
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
    /// It cannot be told yet; look again then, or when a pod has answered.
    Wait(Instant),
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
    pods: HashMap<Arc<str>, Pod>,
    named: HashMap<Arc<str>, Arc<str>>,
    inherited: HashMap<Arc<str>, Inherited>,
}

impl Takeover {
    /// `wait` is lease and margin, `lost_after` when silence becomes loss.
    pub(crate) fn new(now: Instant, wait: Duration, lost_after: Duration) -> Self {
        Self {
            barrier: now + wait,
            lost: now + lost_after.max(wait),
            listed: false,
            pods: HashMap::new(),
            named: HashMap::new(),
            inherited: HashMap::new(),
        }
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

    /// A pod has said what it holds. The answer is whether that may change a permission.
    pub(crate) fn answered(
        &mut self,
        pod: &Arc<str>,
        vacant: bool,
        holds: impl IntoIterator<Item = Arc<str>>,
    ) -> bool {
        for uid in holds {
            self.named.insert(uid, Arc::clone(pod));
        }
        match self.pods.get_mut(pod) {
            Some(known) => {
                *known = Pod::Answered { vacant };
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

    /// Whether that pod may hold something that it has not told.
    pub(crate) fn is_silent(&self, pod: &str) -> bool {
        matches!(self.pods.get(pod), Some(Pod::Silent { .. }))
    }

    /// What may be done with the execution `uid`.
    pub(crate) fn permission(&self, uid: &str, now: Instant) -> Permission {
        if let Some(pod) = self.named.get(uid) {
            return Permission::Attach { pod: Arc::clone(pod) };
        }
        if self.open(now) {
            return Permission::Wait(self.barrier);
        }
        let Some(found) = self.inherited.get(uid) else { return Permission::Start };
        if let Some(fate) = self.last_words(uid) {
            let reason = if fate.out_of_memory { Reason::OutOfMemory } else { Reason::Lost };
            return Permission::Over(reason, "its sandbox died while no operator was there");
        }
        match found.phase {
            ExecutionPhase::Queued => Permission::Start,
            ExecutionPhase::Running => self.running(found, now),
            _ => self.pending(found, now),
        }
    }

    /// How the dead pod ended that had accepted this execution.
    fn last_words(&self, uid: &str) -> Option<&Fate> {
        self.pods.values().find_map(|pod| match pod {
            Pod::Dead { fate, .. } => {
                let told = fate.told.as_ref()?.execution_uid.as_deref()?;
                (told == uid).then_some(fate)
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
            Some(Pod::Answered { vacant: true }) => Permission::Start,
            // It had accepted nothing, or its last words would have named this execution.
            Some(Pod::Dead { fate, .. }) if fate.told.is_some() => Permission::Start,
            Some(Pod::Silent { .. }) if now < self.lost => Permission::Wait(self.lost),
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
                Permission::Wait(self.lost)
            } else {
                Permission::Over(Reason::Lost, "a sandbox that may have run it does not answer")
            };
        }
        if self.pods.values().any(left_no_word) {
            let why = "a sandbox that may have run it died while no operator was there";
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
mod tests {
    use protocol::TerminationMessage;

    use super::*;

    const WAIT: Duration = Duration::from_secs(17);
    const LOST: Duration = Duration::from_mins(1);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn pool() -> Key {
        Key::new("ns", "default")
    }

    fn inherited(phase: ExecutionPhase, pod: Option<&str>) -> Inherited {
        Inherited { phase, pod: pod.map(str::to_owned), pool: pool(), created: at(100) }
    }

    fn takeover(now: Instant, phase: ExecutionPhase, status_pod: Option<&str>) -> Takeover {
        let mut takeover = Takeover::new(now, WAIT, LOST);
        takeover.pod("p1".into(), pool());
        takeover.execution("e1".into(), inherited(phase, status_pod));
        takeover.complete();
        takeover
    }

    #[test]
    fn nothing_starts_before_the_lists_are_complete() {
        let now = Instant::now();
        let mut takeover = Takeover::new(now, WAIT, LOST);
        assert!(matches!(takeover.permission("new", now), Permission::Wait(_)));
        takeover.complete();
        assert_eq!(takeover.permission("new", now), Permission::Start);
    }

    #[test]
    fn nothing_starts_while_a_pod_is_silent_within_the_lease_and_its_margin() {
        let now = Instant::now();
        let takeover = takeover(now, ExecutionPhase::Queued, None);
        for uid in ["e1", "new"] {
            assert_eq!(takeover.permission(uid, now), Permission::Wait(now + WAIT), "{uid}");
            assert_eq!(takeover.permission(uid, now + WAIT), Permission::Start, "{uid}");
        }
    }

    #[test]
    fn what_an_inventory_names_is_attached_to() {
        let now = Instant::now();
        for phase in [ExecutionPhase::Pending, ExecutionPhase::Queued, ExecutionPhase::Running] {
            let mut takeover = takeover(now, phase, None);
            takeover.answered(&"p1".into(), false, ["e1".into()]);
            assert_eq!(takeover.permission("e1", now), Permission::Attach { pod: "p1".into() }, "{phase:?}");
        }
    }

    #[test]
    fn what_no_pod_has_starts_when_all_have_answered() {
        let now = Instant::now();
        let mut takeover = takeover(now, ExecutionPhase::Pending, None);
        takeover.answered(&"p1".into(), false, []);
        assert_eq!(takeover.permission("e1", now), Permission::Start);
    }

    #[test]
    fn a_silent_pod_makes_a_pending_execution_wait_and_then_lost() {
        let now = Instant::now();
        let mut takeover = takeover(now, ExecutionPhase::Pending, None);
        assert_eq!(takeover.permission("e1", now + WAIT), Permission::Wait(now + LOST));
        assert!(matches!(takeover.permission("e1", now + LOST), Permission::Over(Reason::Lost, _)));
        takeover.answered(&"p1".into(), true, []);
        assert_eq!(takeover.permission("e1", now + LOST), Permission::Start, "a late answer is an answer");
    }

    #[test]
    fn a_pod_that_died_since_the_execution_was_made_may_have_run_it() {
        let now = Instant::now();
        for (died, start) in [(Some(at(99)), true), (Some(at(100)), false), (None, false)] {
            let mut takeover = takeover(now, ExecutionPhase::Pending, None);
            takeover.gone("p1", &Fate { ended: died, ..Fate::default() });
            let permission = takeover.permission("e1", now);
            assert_eq!(permission == Permission::Start, start, "{died:?}: {permission:?}");
        }
    }

    #[test]
    fn the_last_words_of_a_dead_pod_say_what_may_have_run() {
        let now = Instant::now();
        let after = |phase, told: Option<&str>, out_of_memory| {
            let mut takeover = takeover(now, phase, Some("p1"));
            let told = Some(TerminationMessage { execution_uid: told.map(str::to_owned) });
            takeover.gone("p1", &Fate { ended: None, out_of_memory, told });
            takeover.permission("e1", now)
        };
        for phase in [ExecutionPhase::Pending, ExecutionPhase::Queued, ExecutionPhase::Running] {
            assert_eq!(after(phase, None, false), Permission::Start, "{phase:?}");
            assert_eq!(after(phase, Some("e2"), true), Permission::Start, "{phase:?}");
            assert!(
                matches!(after(phase, Some("e1"), false), Permission::Over(Reason::Lost, _)),
                "{phase:?}"
            );
            let killed = after(phase, Some("e1"), true);
            assert!(matches!(killed, Permission::Over(Reason::OutOfMemory, _)), "{phase:?}");
        }
    }

    #[test]
    fn a_silent_pod_of_another_pool_delays_and_does_not_lose() {
        let now = Instant::now();
        let mut takeover = takeover(now, ExecutionPhase::Pending, None);
        takeover.answered(&"p1".into(), true, []);
        takeover.pod("p2".into(), Key::new("ns", "other"));
        assert_eq!(takeover.permission("e1", now), Permission::Wait(now + WAIT));
        assert_eq!(takeover.permission("e1", now + WAIT), Permission::Start);
    }

    #[test]
    fn a_queued_execution_was_not_started_whatever_died() {
        let now = Instant::now();
        let mut takeover = takeover(now, ExecutionPhase::Queued, None);
        takeover.gone("p1", &Fate::default());
        assert_eq!(takeover.permission("e1", now), Permission::Start);
    }

    #[test]
    fn a_running_execution_starts_again_only_when_its_pod_never_held_anything() {
        let now = Instant::now();
        let running = |change: fn(&mut Takeover) -> bool| {
            let mut takeover = takeover(now, ExecutionPhase::Running, Some("p1"));
            change(&mut takeover);
            takeover.permission("e1", now + WAIT)
        };
        assert_eq!(running(|t| t.answered(&"p1".into(), true, [])), Permission::Start);
        assert!(matches!(
            running(|t| t.answered(&"p1".into(), false, [])),
            Permission::Over(Reason::Lost, _)
        ));
        assert!(matches!(running(|t| t.gone("p1", &Fate::default())), Permission::Over(Reason::Lost, _)));
        assert_eq!(running(|_| false), Permission::Wait(now + LOST));
        let unknown = takeover(now, ExecutionPhase::Running, Some("p9"));
        assert!(matches!(unknown.permission("e1", now + WAIT), Permission::Over(Reason::Lost, _)));
    }

    #[test]
    fn what_a_pod_said_stays_known_when_it_is_gone() {
        let now = Instant::now();
        let mut takeover = takeover(now, ExecutionPhase::Pending, None);
        takeover.answered(&"p1".into(), false, ["e1".into()]);
        takeover.gone("p1", &Fate::default());
        assert_eq!(takeover.permission("e1", now), Permission::Attach { pod: "p1".into() });
    }
}
