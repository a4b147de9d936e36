//! Who has the one slot. This is where "at most once" is decided, so it does no I/O and reads no clock.
//!
//! A uid takes the slot before its inputs arrive. From then on every inventory names it, so a new leader
//! that raised the epoch either sees the run or can be sure that the old leader's start is refused.

use std::{collections::BTreeSet, sync::Arc};

use protocol::{Claims, RunState, TokenError, token};

use crate::held::HeldRun;

/// How many uids that were acknowledged without ever being held are remembered.
const MAX_REFUSED: usize = 1024;

/// The slot and what guards it.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    epoch: u64,
    draining: bool,
    slot: Slot,
    refused: BTreeSet<String>,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Vacant,
    Held(Arc<HeldRun>),
    /// The run was acknowledged. An executor is used once.
    Spent,
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

    pub(crate) fn vacant(&self) -> bool {
        matches!(self.slot, Slot::Vacant)
    }

    /// The state of the run that is held.
    pub(crate) fn state(&self) -> Option<RunState> {
        match &self.slot {
            Slot::Held(run) => Some(run.state()),
            Slot::Vacant | Slot::Spent => None,
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
            Slot::Vacant | Slot::Spent => Vec::new(),
        }
    }

    /// Gives the slot to `uid`, once. The permission is looked at again: between its first check and
    /// now the request was read, and another leader may have come.
    pub(crate) fn claim(&mut self, uid: &str, claims: &Claims, now: i64) -> Result<Claimed, ClaimError> {
        token::still_valid(claims, self.epoch, now)?;
        if let Some(run) = self.held(uid) {
            return Ok(Claimed::Held(run));
        }
        if self.refused.contains(uid) {
            return Err(ClaimError::Acknowledged);
        }
        if !self.vacant() {
            return Err(ClaimError::Occupied);
        }
        if self.draining {
            return Err(ClaimError::Draining);
        }
        let run = Arc::new(HeldRun::new(uid));
        self.slot = Slot::Held(Arc::clone(&run));
        Ok(Claimed::New(run))
    }

    /// Drops the run of that uid, if it is held, and refuses the uid from now on.
    pub(crate) fn acknowledge(&mut self, uid: &str) -> Result<Option<Arc<HeldRun>>, StillRunning> {
        let held = self.held(uid);
        if held.as_ref().is_some_and(|run| run.state() == RunState::Running) {
            return Err(StillRunning);
        }
        if held.is_some() {
            self.slot = Slot::Spent;
        }
        if held.is_some() || self.refused.len() < MAX_REFUSED {
            self.refused.insert(uid.to_owned());
        }
        Ok(held)
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
