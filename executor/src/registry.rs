//! Who has the one slot. This is where "at most once" is decided, so it does no I/O and reads no clock.
//!
//! A uid has the slot once in the executor's life. When its run was acknowledged the slot is spent, and stays so unless
//! it is proved that nothing of the run is left (`reset.rs`). Then another uid may have it; those that had it never.
//!
//! A uid takes the slot before its inputs arrive. From then on every inventory names it, so a new leader
//! that raised the epoch either sees the run or can be sure that the old leader's start is refused.

use std::{collections::BTreeSet, sync::Arc};

use protocol::{Claims, RunState, TokenError, token};

use crate::held::HeldRun;

/// How many uids that were acknowledged without ever being held are remembered.
const MAX_REFUSED: usize = 1024;

/// How many executions one executor accepts in its life. All are remembered, and whatever a run leaves where nobody
/// looks does not add up for ever.
const MAX_USES: usize = 64;

/// The slot and what guards it.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    epoch: u64,
    draining: bool,
    slot: Slot,
    /// Every uid that ever had the slot.
    accepted: Vec<String>,
    refused: BTreeSet<String>,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Vacant,
    Held(Arc<HeldRun>),
    /// The run of that uid was acknowledged.
    Spent(String),
    /// It is being proved that nothing of that run is left. Whoever was to say so may be gone: then it stays so.
    Resetting(String),
}

/// What a claim found.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// The slot is this uid's now: start it.
    New(Arc<HeldRun>),
    /// The uid had it already: attach.
    Held(Arc<HeldRun>),
}

/// Why a uid does not get the slot.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("this execution was acknowledged and is not started again")]
    Acknowledged,
    #[error("another execution is or was held here")]
    Occupied,
    #[error("draining")]
    Draining,
}

/// Why an executor is not made ready for another execution.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResetError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("draining")]
    Draining,
    #[error("this execution is not the one that was acknowledged last")]
    NotSpent,
    #[error("the sandbox was used {MAX_USES} times")]
    UsedUp,
}

/// A run cannot be acknowledged before it has ended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the execution has not ended; cancel it first")]
pub(crate) struct StillRunning;

impl Registry {
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn raise_epoch(&mut self, epoch: u64) {
        self.epoch = self.epoch.max(epoch);
    }

    pub(crate) fn draining(&self) -> bool {
        self.draining
    }

    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether nothing was ever accepted.
    pub(crate) fn vacant(&self) -> bool {
        matches!(self.slot, Slot::Vacant) && self.accepted.is_empty()
    }

    /// How many executions were accepted.
    pub(crate) fn used(&self) -> u32 {
        u32::try_from(self.accepted.len()).unwrap_or(u32::MAX)
    }

    /// The state of the run that is held.
    pub(crate) fn state(&self) -> Option<RunState> {
        match &self.slot {
            Slot::Held(run) => Some(run.state()),
            Slot::Vacant | Slot::Spent(_) | Slot::Resetting(_) => None,
        }
    }

    pub(crate) fn held(&self, uid: &str) -> Option<Arc<HeldRun>> {
        match &self.slot {
            Slot::Held(run) if run.uid == uid => Some(Arc::clone(run)),
            _ => None,
        }
    }

    pub(crate) fn runs(&self) -> Vec<protocol::HeldRun> {
        match &self.slot {
            Slot::Held(run) => vec![protocol::HeldRun { uid: run.uid.clone(), state: run.state() }],
            Slot::Vacant | Slot::Spent(_) | Slot::Resetting(_) => Vec::new(),
        }
    }

    /// Gives the slot to `uid`, once. The permission is looked at again: between its first check and
    /// now the request was read, and another leader may have come.
    pub(crate) fn claim(&mut self, uid: &str, claims: &Claims, now: i64) -> Result<Claimed, ClaimError> {
        token::still_valid(claims, self.epoch, now)?;
        if let Some(run) = self.held(uid) {
            return Ok(Claimed::Held(run));
        }
        if self.refused.contains(uid) || self.accepted.iter().any(|accepted| accepted == uid) {
            return Err(ClaimError::Acknowledged);
        }
        if !matches!(self.slot, Slot::Vacant) {
            return Err(ClaimError::Occupied);
        }
        if self.draining {
            return Err(ClaimError::Draining);
        }
        let run = Arc::new(HeldRun::new(uid));
        self.slot = Slot::Held(Arc::clone(&run));
        self.accepted.push(uid.to_owned());
        Ok(Claimed::New(run))
    }

    /// Drops the run of that uid, if it is held, and refuses the uid from now on.
    pub(crate) fn acknowledge(&mut self, uid: &str) -> Result<Option<Arc<HeldRun>>, StillRunning> {
        let held = self.held(uid);
        if held.as_ref().is_some_and(|run| run.state() == RunState::Running) {
            return Err(StillRunning);
        }
        if held.is_some() {
            self.slot = Slot::Spent(uid.to_owned());
        }
        if held.is_some() || self.refused.len() < MAX_REFUSED {
            self.refused.insert(uid.to_owned());
        }
        Ok(held)
    }

    /// Begins to make the slot free for another uid after the run of `uid`. Until [`Self::end_reset`] nobody gets it.
    /// The answer is every uid that ever had it.
    pub(crate) fn begin_reset(
        &mut self,
        uid: &str,
        claims: &Claims,
        now: i64,
    ) -> Result<Vec<String>, ResetError> {
        token::still_valid(claims, self.epoch, now)?;
        if self.draining {
            return Err(ResetError::Draining);
        }
        if !matches!(&self.slot, Slot::Spent(last) if last == uid) {
            return Err(ResetError::NotSpent);
        }
        if self.accepted.len() >= MAX_USES {
            return Err(ResetError::UsedUp);
        }
        self.slot = Slot::Resetting(uid.to_owned());
        Ok(self.accepted.clone())
    }

    /// The slot is free only when it was proved that nothing is left.
    pub(crate) fn end_reset(&mut self, proved: bool) {
        if let Slot::Resetting(uid) = &mut self.slot {
            let uid = std::mem::take(uid);
            self.slot = if proved { Slot::Vacant } else { Slot::Spent(uid) };
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Method, StartFailure};

    use super::*;
    use crate::run::outcome;

    const NOW: i64 = 1_000_000;

    fn claims(epoch: u64) -> Claims {
        Claims {
            key_id: "k".to_owned(),
            method: Method::Execute,
            execution_uid: None,
            pod_uid: "p".to_owned(),
            epoch,
            expires_unix_milliseconds: NOW + 1000,
        }
    }

    fn claim(registry: &mut Registry, uid: &str) -> Result<Claimed, ClaimError> {
        registry.claim(uid, &claims(registry.epoch()), NOW)
    }

    fn finish(run: &HeldRun) {
        run.frames.end(outcome::never_started(StartFailure::Internal, None, "test".to_owned()));
    }

    #[test]
    fn a_uid_gets_the_slot_once_and_finds_its_run_afterwards() {
        let mut registry = Registry::default();
        assert!(registry.vacant());
        let Ok(Claimed::New(first)) = claim(&mut registry, "a") else { panic!() };
        let Ok(Claimed::Held(second)) = claim(&mut registry, "a") else { panic!() };
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!registry.vacant());
    }

    #[test]
    fn no_second_uid_gets_the_slot_neither_during_nor_after_the_first() {
        let mut registry = Registry::default();
        let Ok(Claimed::New(run)) = claim(&mut registry, "a") else { panic!() };
        assert_eq!(claim(&mut registry, "b").unwrap_err(), ClaimError::Occupied);
        finish(&run);
        registry.acknowledge("a").unwrap();
        assert_eq!(claim(&mut registry, "b").unwrap_err(), ClaimError::Occupied);
        assert!(!registry.vacant());
    }

    #[test]
    fn an_acknowledged_uid_is_never_started_again() {
        let mut registry = Registry::default();
        let Ok(Claimed::New(run)) = claim(&mut registry, "a") else { panic!() };
        finish(&run);
        assert!(registry.acknowledge("a").unwrap().is_some());
        assert!(registry.held("a").is_none());
        assert_eq!(claim(&mut registry, "a").unwrap_err(), ClaimError::Acknowledged);
    }

    #[test]
    fn a_uid_acknowledged_before_it_came_is_refused_and_leaves_the_slot_vacant() {
        let mut registry = Registry::default();
        assert!(registry.acknowledge("a").unwrap().is_none());
        assert_eq!(claim(&mut registry, "a").unwrap_err(), ClaimError::Acknowledged);
        assert!(matches!(claim(&mut registry, "b"), Ok(Claimed::New(_))));
    }

    #[test]
    fn a_running_run_cannot_be_acknowledged() {
        let mut registry = Registry::default();
        let _run = claim(&mut registry, "a").unwrap();
        assert_eq!(registry.acknowledge("a").unwrap_err(), StillRunning);
        assert!(registry.held("a").is_some());
    }

    #[test]
    fn a_start_permitted_before_a_newer_leader_came_is_refused() {
        let mut registry = Registry::default();
        let old = claims(3);
        registry.raise_epoch(4);
        let refused = registry.claim("a", &old, NOW).unwrap_err();
        assert_eq!(refused, ClaimError::Token(TokenError::OldEpoch { epoch: 3, highest: 4 }));
        assert!(registry.vacant());
    }

    #[test]
    fn a_start_whose_permission_ran_out_while_it_was_read_is_refused() {
        let mut registry = Registry::default();
        let refused = registry.claim("a", &claims(0), NOW + 1000).unwrap_err();
        assert_eq!(refused, ClaimError::Token(TokenError::Expired));
    }

    /// Runs `uid` to its acknowledged end.
    fn run(registry: &mut Registry, uid: &str) {
        let Ok(Claimed::New(run)) = claim(registry, uid) else { panic!() };
        finish(&run);
        registry.acknowledge(uid).unwrap();
    }

    fn begin(registry: &mut Registry, uid: &str) -> Result<Vec<String>, ResetError> {
        registry.begin_reset(uid, &claims(registry.epoch()), NOW)
    }

    #[test]
    fn after_a_reset_another_uid_gets_the_slot_and_no_earlier_one_ever_does() {
        let mut registry = Registry::default();
        run(&mut registry, "a");
        assert_eq!(begin(&mut registry, "a").unwrap(), ["a"]);
        assert_eq!(claim(&mut registry, "b").unwrap_err(), ClaimError::Occupied, "it is not proved yet");
        registry.end_reset(true);
        run(&mut registry, "b");
        assert_eq!(begin(&mut registry, "b").unwrap(), ["a", "b"]);
        registry.end_reset(true);
        for uid in ["a", "b"] {
            assert_eq!(claim(&mut registry, uid).unwrap_err(), ClaimError::Acknowledged, "{uid}");
        }
        assert!(matches!(claim(&mut registry, "c"), Ok(Claimed::New(_))));
    }

    #[test]
    fn an_executor_that_was_reset_is_not_vacant_and_tells_how_often_it_was_used() {
        let mut registry = Registry::default();
        assert_eq!((registry.vacant(), registry.used()), (true, 0));
        run(&mut registry, "a");
        begin(&mut registry, "a").unwrap();
        registry.end_reset(true);
        assert_eq!((registry.vacant(), registry.used(), registry.runs()), (false, 1, Vec::new()));
    }

    #[test]
    fn what_is_not_proved_leaves_the_slot_spent() {
        let mut registry = Registry::default();
        run(&mut registry, "a");
        begin(&mut registry, "a").unwrap();
        assert_eq!(begin(&mut registry, "a").unwrap_err(), ResetError::NotSpent, "one at a time");
        registry.end_reset(false);
        assert_eq!(claim(&mut registry, "b").unwrap_err(), ClaimError::Occupied);
        assert!(begin(&mut registry, "a").is_ok(), "it may be tried again");
    }

    #[test]
    fn only_the_run_that_was_acknowledged_last_can_be_reset() {
        let mut registry = Registry::default();
        assert_eq!(begin(&mut registry, "a").unwrap_err(), ResetError::NotSpent, "it never ran");
        let Ok(Claimed::New(held)) = claim(&mut registry, "a") else { panic!() };
        assert_eq!(begin(&mut registry, "a").unwrap_err(), ResetError::NotSpent, "it runs");
        finish(&held);
        assert_eq!(begin(&mut registry, "a").unwrap_err(), ResetError::NotSpent, "its outcome waits");
        registry.acknowledge("a").unwrap();
        assert_eq!(begin(&mut registry, "b").unwrap_err(), ResetError::NotSpent);
        begin(&mut registry, "a").unwrap();
        registry.end_reset(true);
        assert_eq!(begin(&mut registry, "a").unwrap_err(), ResetError::NotSpent, "it was reset");
        run(&mut registry, "b");
        assert_eq!(begin(&mut registry, "a").unwrap_err(), ResetError::NotSpent, "a late request");
    }

    #[test]
    fn a_draining_executor_and_an_older_leader_reset_nothing() {
        let mut registry = Registry::default();
        run(&mut registry, "a");
        registry.raise_epoch(4);
        let old = registry.begin_reset("a", &claims(3), NOW).unwrap_err();
        assert_eq!(old, ResetError::Token(TokenError::OldEpoch { epoch: 3, highest: 4 }));
        registry.drain();
        assert_eq!(begin(&mut registry, "a").unwrap_err(), ResetError::Draining);
    }

    #[test]
    fn an_executor_is_not_used_for_ever() {
        let mut registry = Registry::default();
        for number in 0..MAX_USES {
            run(&mut registry, &number.to_string());
            if begin(&mut registry, &number.to_string()).is_ok() {
                registry.end_reset(true);
            }
        }
        let last = (MAX_USES - 1).to_string();
        assert_eq!(begin(&mut registry, &last).unwrap_err(), ResetError::UsedUp);
        assert_eq!(claim(&mut registry, "next").unwrap_err(), ClaimError::Occupied);
    }

    #[test]
    fn draining_refuses_new_runs_but_not_the_one_that_is_held() {
        let mut registry = Registry::default();
        let Ok(Claimed::New(run)) = claim(&mut registry, "a") else { panic!() };
        registry.drain();
        assert!(matches!(claim(&mut registry, "a"), Ok(Claimed::Held(_))));
        assert_eq!(registry.state(), Some(RunState::Running));
        finish(&run);
        assert_eq!(registry.state(), Some(RunState::Finished));
        registry.acknowledge("a").unwrap();
        assert_eq!(registry.state(), None);
    }

    #[test]
    fn draining_while_vacant_refuses_everything_and_holds_nothing() {
        let mut registry = Registry::default();
        registry.drain();
        assert_eq!(claim(&mut registry, "a").unwrap_err(), ClaimError::Draining);
        assert_eq!(registry.state(), None);
    }

    #[test]
    fn the_epoch_only_rises() {
        let mut registry = Registry::default();
        registry.raise_epoch(7);
        registry.raise_epoch(3);
        assert_eq!(registry.epoch(), 7);
    }

    #[test]
    fn uids_acknowledged_without_a_run_are_remembered_within_bounds() {
        let mut registry = Registry::default();
        for number in 0..MAX_REFUSED + 10 {
            registry.acknowledge(&number.to_string()).unwrap();
        }
        assert_eq!(registry.refused.len(), MAX_REFUSED);
    }
}
