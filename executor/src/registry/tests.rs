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
