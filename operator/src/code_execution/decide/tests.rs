//! Every rule of an execution's life, as rows.

use std::time::Duration;

use chrono::DateTime;

use super::*;
use crate::key::Key;

const PATIENCE: Patience =
    Patience { running: Duration::from_millis(150), queued: Duration::from_millis(500) };

fn plan() -> Plan {
    Plan {
        created: DateTime::UNIX_EPOCH,
        generation: Some(1),
        pool: Key::new("ns", "default"),
        scope: None,
        isolation_key: None,
        timeout: Duration::from_secs(1),
        start_deadline: Some(Duration::from_secs(30)),
        limits: protocol::RunLimits::default(),
        collection: None,
        max_downloads: None,
        output_ttl_seconds: None,
    }
}

fn seen(now: Instant) -> Observed {
    Observed {
        phase: ExecutionPhase::Pending,
        announce: false,
        announced: None,
        not_before: None,
        cancel: false,
        seen: now,
        deadline: Some(now + Duration::from_secs(30)),
        permission: Permission::Start,
        pool: PoolState::Able,
        place: Place::None,
        inputs: Inputs::Ready,
        run: Run::None,
    }
}

fn step(seen: &Observed, now: Instant) -> Step {
    decide(Ok(&plan()), seen, PATIENCE, now)
}

fn reason(step: &Step) -> Option<Reason> {
    match step {
        Step::Finish(reason, _) => Some(*reason),
        _ => None,
    }
}

fn active(now: Instant) -> Observed {
    Observed {
        place: Place::Granted("p".into()),
        run: Run::Active { since: now, cancel_sent: false },
        ..seen(now)
    }
}

#[test]
fn a_fresh_execution_asks_for_a_pod_and_starts_in_the_one_it_gets() {
    let now = Instant::now();
    assert_eq!(step(&seen(now), now), Step::Queue);
    let granted = Observed { place: Place::Granted("p".into()), ..seen(now) };
    assert_eq!(step(&granted, now), Step::Start("p".into()));
}

#[test]
fn a_finished_execution_is_left_alone_whatever_else_is_true() {
    let now = Instant::now();
    for phase in [ExecutionPhase::Succeeded, ExecutionPhase::Failed] {
        let finished = Observed { phase, cancel: true, ..seen(now) };
        assert_eq!(step(&finished, now), Step::Forget);
        let lost = Observed { permission: Permission::Over(Reason::Lost, "x"), ..finished };
        assert_eq!(step(&lost, now), Step::Forget);
    }
}

#[test]
fn a_start_after_a_visible_wait_is_announced_first_and_only_for_that_pod() {
    let now = Instant::now();
    let granted = |phase, announced: Option<&str>| Observed {
        phase,
        announce: phase != ExecutionPhase::Pending,
        announced: announced.map(Into::into),
        place: Place::Granted("p".into()),
        ..seen(now)
    };
    for (phase, announced, expected) in [
        (ExecutionPhase::Pending, None, Step::Start("p".into())),
        (ExecutionPhase::Queued, None, Step::ShowRunning("p".into())),
        (ExecutionPhase::Running, Some("p"), Step::Start("p".into())),
        (ExecutionPhase::Running, Some("other"), Step::ShowRunning("p".into())),
        // By an earlier leader, or before `Queued` was written with an answer that got lost.
        (ExecutionPhase::Running, None, Step::ShowRunning("p".into())),
    ] {
        assert_eq!(step(&granted(phase, announced), now), expected, "{phase:?} {announced:?}");
    }
    let unsure = Observed { announce: true, ..granted(ExecutionPhase::Pending, None) };
    assert_eq!(step(&unsure, now), Step::ShowRunning("p".into()), "`Queued` may have been written");
}

#[test]
fn a_short_run_is_never_shown_and_a_long_one_once() {
    let now = Instant::now();
    let show = now + PATIENCE.running;
    assert_eq!(step(&active(now), now), Step::Wait(Some(show)));
    assert_eq!(step(&active(now), show), Step::ShowRunning("p".into()));
    let shown = Observed { phase: ExecutionPhase::Running, ..active(now) };
    assert_eq!(step(&shown, show), Step::Wait(None));
}

#[test]
fn a_cancelled_run_is_told_once_and_then_waited_for() {
    let now = Instant::now();
    let cancelled = Observed { cancel: true, ..active(now) };
    assert_eq!(step(&cancelled, now), Step::Cancel);
    let told = Observed { run: Run::Active { since: now, cancel_sent: true }, ..cancelled };
    assert!(matches!(step(&told, now), Step::Wait(_)));
}

#[test]
fn what_has_not_started_is_cancelled_at_once() {
    let now = Instant::now();
    for place in [Place::None, Place::Waiting, Place::Granted("p".into())] {
        let cancelled = Observed { cancel: true, place, ..seen(now) };
        assert_eq!(reason(&step(&cancelled, now)), Some(Reason::Cancelled), "{cancelled:?}");
    }
}

#[test]
fn what_may_run_already_is_not_called_cancelled_or_invalid() {
    let now = Instant::now();
    let until = now + Duration::from_secs(1);
    let unknown = Observed { permission: Permission::Wait(Some(until)), cancel: true, ..seen(now) };
    assert_eq!(step(&unknown, now), Step::Wait(Some(until)));
    let invalid = Failure::default();
    assert_eq!(decide(Err(&invalid), &unknown, PATIENCE, now), Step::Wait(Some(until)));
    let held = Observed { permission: Permission::Attach { pod: "p".into() }, cancel: true, ..seen(now) };
    assert_eq!(step(&held, now), Step::Attach("p".into()));
}

#[test]
fn a_run_that_has_ended_is_concluded_before_anything_else() {
    let now = Instant::now();
    let ended = Observed {
        run: Run::Ended,
        cancel: true,
        permission: Permission::Over(Reason::Lost, "x"),
        ..seen(now)
    };
    assert_eq!(step(&ended, now), Step::Conclude);
}

#[test]
fn an_invalid_execution_ends_with_its_failure() {
    let now = Instant::now();
    let invalid = Failure { field: Some("args[0]".to_owned()), ..Failure::default() };
    let expected = Step::Finish(Reason::Invalid, invalid.clone());
    assert_eq!(decide(Err(&invalid), &seen(now), PATIENCE, now), expected);
}

#[test]
fn a_pod_that_did_not_start_it_is_given_up_but_not_for_ever() {
    let now = Instant::now();
    let refused = |attempts| Observed {
        run: Run::NotStarted { attempts, message: "draining".to_owned() },
        ..seen(now)
    };
    assert_eq!(step(&refused(1), now), Step::TryAnother);
    assert_eq!(reason(&step(&refused(MAX_ATTEMPTS), now)), Some(Reason::CapacityUnavailable));
}

#[test]
fn a_pod_that_was_sent_nothing_is_given_back_however_often_that_happens() {
    let now = Instant::now();
    assert_eq!(step(&Observed { run: Run::NeverSent, ..seen(now) }, now), Step::GiveBack);
    // Whatever else makes it look meanwhile.
    let until = now + Duration::from_secs(1);
    let held = Observed { not_before: Some(until), ..seen(now) };
    assert_eq!(step(&held, now), Step::Wait(Some(until)));
    assert_eq!(step(&held, until), Step::Queue);
}

#[test]
fn what_did_not_start_is_shown_in_its_pod_no_more_before_the_pod_goes_to_others() {
    let now = Instant::now();
    let refused = Run::NotStarted { attempts: 1, message: "draining".to_owned() };
    for (run, then) in [(refused, Step::TryAnother), (Run::NeverSent, Step::GiveBack)] {
        let place = Place::Granted("p".into());
        let shown = Observed { phase: ExecutionPhase::Running, run, place, ..seen(now) };
        assert!(matches!(step(&shown, now), Step::ShowQueued(_)), "{shown:?}");
        assert_eq!(step(&Observed { phase: ExecutionPhase::Queued, ..shown }, now), then);
    }
    let inherited = Observed { phase: ExecutionPhase::Running, place: Place::Waiting, ..seen(now) };
    assert_eq!(step(&inherited, now), Step::ShowQueued("waiting for a sandbox".to_owned()), "at once");
}

#[test]
fn a_wait_is_shown_when_it_is_long_and_says_why() {
    let now = Instant::now();
    let waiting = Observed { place: Place::Waiting, ..seen(now) };
    assert_eq!(step(&waiting, now), Step::Wait(Some(now + PATIENCE.queued)));
    let later = now + PATIENCE.queued;
    assert_eq!(step(&waiting, later), Step::ShowQueued("waiting for a sandbox".to_owned()));
    let shown = Observed { phase: ExecutionPhase::Queued, ..waiting };
    assert_eq!(step(&shown, later), Step::Wait(shown.deadline));
}

#[test]
fn a_missing_pool_is_waited_for_and_named_at_the_deadline() {
    let now = Instant::now();
    let missing = Observed { pool: PoolState::Missing, ..seen(now) };
    assert!(matches!(step(&missing, now), Step::Wait(Some(_))));
    let later = now + PATIENCE.queued;
    assert_eq!(step(&missing, later), Step::ShowQueued("the pool default does not exist".to_owned()));
    let Step::Finish(reason, failure) = step(&missing, now + Duration::from_secs(30)) else {
        panic!("it must end at its deadline")
    };
    assert_eq!(reason, Reason::StartDeadlineExceeded);
    assert_eq!(failure.field.as_deref(), Some("poolRef.name"));
}

#[test]
fn a_pool_that_cannot_make_pods_ends_those_with_a_deadline_at_once() {
    let now = Instant::now();
    let quota = Some(FailureCause::QuotaExceeded);
    let unable = Observed { pool: PoolState::Unable("Quota".to_owned(), quota), ..seen(now) };
    let Step::Finish(Reason::CapacityUnavailable, failure) = step(&unable, now) else {
        panic!("it must end at once")
    };
    assert_eq!(failure.cause, quota);
    let patient = Plan { start_deadline: None, ..plan() };
    let unable = Observed { deadline: None, ..unable };
    assert_eq!(decide(Ok(&patient), &unable, PATIENCE, now), Step::Queue);
    let granted = Observed { place: Place::Granted("p".into()), ..unable };
    assert_eq!(
        step(&granted, now),
        Step::Start("p".into()),
        "it has a pod, so the pool's trouble is not its own"
    );
}

#[test]
fn the_start_deadline_ends_what_has_not_started_and_nothing_else() {
    let now = Instant::now();
    let late = now + Duration::from_secs(30);
    for place in [Place::None, Place::Waiting, Place::Granted("p".into())] {
        let waiting = Observed { place, ..seen(now) };
        assert_eq!(reason(&step(&waiting, late)), Some(Reason::StartDeadlineExceeded));
    }
    assert_eq!(step(&active(now), late), Step::ShowRunning("p".into()));
    let unknown = Observed { permission: Permission::Wait(Some(late)), ..seen(now) };
    assert_eq!(step(&unknown, late), Step::Wait(Some(late)), "it may have started in time");
}

#[test]
fn a_start_deadline_of_zero_takes_a_free_pod_and_waits_for_none() {
    let now = Instant::now();
    let plan = Plan { start_deadline: Some(Duration::ZERO), ..plan() };
    let step = |seen: Observed| decide(Ok(&plan), &seen, PATIENCE, now + Duration::from_secs(1));
    let seen = Observed { deadline: Some(now), ..seen(now) };
    assert_eq!(step(seen.clone()), Step::Queue, "it is not late before it has asked");
    let granted = Observed { place: Place::Granted("p".into()), ..seen.clone() };
    assert_eq!(step(granted), Step::Start("p".into()));
    let waiting = Observed { place: Place::Waiting, ..seen.clone() };
    assert_eq!(reason(&step(waiting)), Some(Reason::StartDeadlineExceeded));
    let missing = Observed { pool: PoolState::Missing, ..seen };
    assert_eq!(reason(&step(missing)), Some(Reason::StartDeadlineExceeded));
}

#[test]
fn files_must_be_there_before_a_pod_is_asked_for() {
    let now = Instant::now();
    let failure = Failure { field: Some("files[0].source".to_owned()), ..Failure::default() };
    let missing = Observed { inputs: Inputs::Missing(failure.clone()), ..seen(now) };
    assert_eq!(step(&missing, now), Step::Finish(Reason::FileUnavailable, failure));
    let until = now + Duration::from_secs(10);
    let coming = Observed { inputs: Inputs::Coming(until), ..seen(now) };
    assert_eq!(step(&coming, now), Step::Wait(Some(until)));
}

#[test]
fn what_is_lost_ends_as_lost() {
    let now = Instant::now();
    let lost =
        Observed { permission: Permission::Over(Reason::Lost, "its pod is gone"), cancel: true, ..seen(now) };
    assert_eq!(reason(&step(&lost, now)), Some(Reason::Lost));
}
