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
mod tests;
