//! What a new leader may start, as rows of what it found.

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
    for late in [now, now + WAIT, now + LOST] {
        let permission = takeover.permission("new", Some(&pool()), late);
        assert_eq!(permission, Permission::Wait(None), "no timer: the end of the lists wakes everybody");
    }
    takeover.complete();
    assert_eq!(takeover.permission("new", Some(&pool()), now), Permission::Start);
}

#[test]
fn nothing_starts_while_a_pod_is_silent_within_the_lease_and_its_margin() {
    let now = Instant::now();
    let takeover = takeover(now, ExecutionPhase::Queued, None);
    for uid in ["e1", "new"] {
        assert_eq!(takeover.permission(uid, Some(&pool()), now), Permission::Wait(Some(now + WAIT)), "{uid}");
        assert_eq!(takeover.permission(uid, Some(&pool()), now + WAIT), Permission::Start, "{uid}");
    }
}

#[test]
fn what_an_inventory_names_is_attached_to() {
    let now = Instant::now();
    for phase in [ExecutionPhase::Pending, ExecutionPhase::Queued, ExecutionPhase::Running] {
        let mut takeover = takeover(now, phase, None);
        takeover.answered(&"p1".into(), &pool(), false, ["e1".into()]);
        assert_eq!(
            takeover.permission("e1", Some(&pool()), now),
            Permission::Attach { pod: "p1".into() },
            "{phase:?}"
        );
    }
}

#[test]
fn what_no_pod_has_starts_when_all_have_answered() {
    let now = Instant::now();
    let mut takeover = takeover(now, ExecutionPhase::Pending, None);
    takeover.answered(&"p1".into(), &pool(), false, []);
    assert_eq!(takeover.permission("e1", Some(&pool()), now), Permission::Start);
}

#[test]
fn a_silent_pod_makes_a_pending_execution_wait_and_then_lost() {
    let now = Instant::now();
    let mut takeover = takeover(now, ExecutionPhase::Pending, None);
    assert_eq!(takeover.permission("e1", Some(&pool()), now + WAIT), Permission::Wait(Some(now + LOST)));
    assert!(matches!(
        takeover.permission("e1", Some(&pool()), now + LOST),
        Permission::Over(Reason::Lost, _)
    ));
    takeover.answered(&"p1".into(), &pool(), true, []);
    assert_eq!(
        takeover.permission("e1", Some(&pool()), now + LOST),
        Permission::Start,
        "a late answer is an answer"
    );
}

#[test]
fn a_pod_that_died_since_the_execution_was_made_may_have_run_it() {
    let now = Instant::now();
    for (died, start) in [(Some(at(99)), true), (Some(at(100)), false), (None, false)] {
        let mut takeover = takeover(now, ExecutionPhase::Pending, None);
        takeover.gone("p1", &Fate { ended: died, ..Fate::default() });
        let permission = takeover.permission("e1", Some(&pool()), now);
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
        takeover.permission("e1", Some(&pool()), now)
    };
    for phase in [ExecutionPhase::Pending, ExecutionPhase::Queued, ExecutionPhase::Running] {
        assert_eq!(after(phase, None, false), Permission::Start, "{phase:?}");
        assert_eq!(after(phase, Some("e2"), true), Permission::Start, "{phase:?}");
        assert!(matches!(after(phase, Some("e1"), false), Permission::Over(Reason::Lost, _)), "{phase:?}");
        let killed = after(phase, Some("e1"), true);
        assert!(matches!(killed, Permission::Over(Reason::OutOfMemory, _)), "{phase:?}");
    }
}

#[test]
fn a_silent_pod_of_another_pool_delays_and_does_not_lose() {
    let now = Instant::now();
    let mut takeover = takeover(now, ExecutionPhase::Pending, None);
    takeover.answered(&"p1".into(), &pool(), true, []);
    takeover.pod("p2".into(), Key::new("ns", "other"));
    assert_eq!(takeover.permission("e1", Some(&pool()), now), Permission::Wait(Some(now + WAIT)));
    assert_eq!(takeover.permission("e1", Some(&pool()), now + WAIT), Permission::Start);
}

#[test]
fn a_queued_execution_was_not_started_whatever_died() {
    let now = Instant::now();
    let mut takeover = takeover(now, ExecutionPhase::Queued, None);
    takeover.gone("p1", &Fate::default());
    assert_eq!(takeover.permission("e1", Some(&pool()), now), Permission::Start);
}

#[test]
fn a_running_execution_starts_again_only_when_its_pod_cannot_have_held_it() {
    let now = Instant::now();
    let running = |change: fn(&mut Takeover) -> bool| {
        let mut takeover = takeover(now, ExecutionPhase::Running, Some("p1"));
        change(&mut takeover);
        takeover.permission("e1", Some(&pool()), now + WAIT)
    };
    assert_eq!(running(|t| t.answered(&"p1".into(), &pool(), true, [])), Permission::Start);
    let other = running(|t| t.answered(&"p1".into(), &pool(), true, ["e2".into()]));
    assert_eq!(other, Permission::Start, "it has accepted another one only");
    for held in [None, Some("e2")] {
        let mut takeover = takeover(now, ExecutionPhase::Running, Some("p1"));
        takeover.answered(&"p1".into(), &pool(), false, held.map(Arc::from));
        let permission = takeover.permission("e1", Some(&pool()), now + WAIT);
        assert!(
            matches!(permission, Permission::Over(Reason::Lost, _)),
            "it has let go of something: {held:?}"
        );
    }
    assert!(matches!(running(|t| t.gone("p1", &Fate::default())), Permission::Over(Reason::Lost, _)));
    assert_eq!(running(|_| false), Permission::Wait(Some(now + LOST)));
    let unknown = takeover(now, ExecutionPhase::Running, Some("p9"));
    assert!(matches!(unknown.permission("e1", Some(&pool()), now + WAIT), Permission::Over(Reason::Lost, _)));
}

#[test]
fn what_a_pod_said_stays_known_when_it_is_gone() {
    let now = Instant::now();
    let mut takeover = takeover(now, ExecutionPhase::Pending, None);
    takeover.answered(&"p1".into(), &pool(), false, ["e1".into()]);
    takeover.gone("p1", &Fate::default());
    assert_eq!(takeover.permission("e1", Some(&pool()), now), Permission::Attach { pod: "p1".into() });
}

#[test]
fn a_pod_is_not_believed_about_executions_of_another_pool() {
    let now = Instant::now();
    let other = Key::new("other", "default");
    let mut takeover = takeover(now, ExecutionPhase::Pending, None);
    takeover.answered(&"p1".into(), &pool(), true, []);
    takeover.answered(&"liar".into(), &other, false, ["e1".into(), "new".into()]);
    for uid in ["e1", "new"] {
        assert_eq!(takeover.permission(uid, Some(&pool()), now), Permission::Start, "{uid}");
        let theirs = takeover.permission(uid, Some(&other), now);
        assert_eq!(theirs, Permission::Attach { pod: "liar".into() }, "{uid}");
    }
}

#[test]
fn a_lie_does_not_hide_what_the_right_pod_said() {
    let now = Instant::now();
    for lie_first in [true, false] {
        let mut takeover = takeover(now, ExecutionPhase::Pending, None);
        let mut say = |pod: &str, pool: &Key| takeover.answered(&pod.into(), pool, false, ["e1".into()]);
        let pods = [("liar", Key::new("other", "default")), ("p1", pool())];
        for (pod, pool) in if lie_first { [&pods[0], &pods[1]] } else { [&pods[1], &pods[0]] } {
            say(pod, pool);
        }
        let attach = takeover.permission("e1", Some(&pool()), now);
        assert_eq!(attach, Permission::Attach { pod: "p1".into() });
    }
}

#[test]
fn a_pod_is_not_believed_about_what_was_announced_for_another_pod() {
    let now = Instant::now();
    let mut takeover = takeover(now, ExecutionPhase::Running, Some("p1"));
    takeover.answered(&"liar".into(), &pool(), false, ["e1".into()]);
    assert_eq!(takeover.permission("e1", Some(&pool()), now + WAIT), Permission::Wait(Some(now + LOST)));
    takeover.answered(&"p1".into(), &pool(), false, ["e1".into()]);
    let attach = takeover.permission("e1", Some(&pool()), now);
    assert_eq!(attach, Permission::Attach { pod: "p1".into() });
}

#[test]
fn the_last_words_of_a_pod_are_not_believed_about_what_it_cannot_have_been_given() {
    let now = Instant::now();
    let lie = |phase, pool: Key| {
        let mut takeover = takeover(now, phase, Some("p1"));
        takeover.answered(&"p1".into(), &self::pool(), true, []);
        takeover.pod("liar".into(), pool);
        let told = Some(TerminationMessage { execution_uid: Some("e1".to_owned()) });
        takeover.gone("liar", &Fate { ended: None, out_of_memory: true, told });
        takeover.permission("e1", Some(&self::pool()), now)
    };
    let other = Key::new("other", "default");
    for phase in [ExecutionPhase::Pending, ExecutionPhase::Queued, ExecutionPhase::Running] {
        assert_eq!(lie(phase, other.clone()), Permission::Start, "another pool, {phase:?}");
    }
    assert_eq!(lie(ExecutionPhase::Running, pool()), Permission::Start, "another pod than the announced one");
    assert!(matches!(lie(ExecutionPhase::Pending, pool()), Permission::Over(Reason::OutOfMemory, _)));
}

#[test]
fn what_was_made_before_a_long_absence_and_never_shown_may_have_run_in_a_pod_that_is_gone() {
    let now = Instant::now();
    let permission = |phase, ended: i64, minutes: i64| {
        let mut takeover = Takeover::new(now, WAIT, LOST);
        takeover.unattended(at(ended), at(ended + minutes * 60));
        takeover.execution("e1".into(), inherited(phase, None));
        takeover.complete();
        takeover.permission("e1", Some(&pool()), now)
    };
    let pending = ExecutionPhase::Pending;
    assert!(matches!(permission(pending, 100, 10), Permission::Over(Reason::Lost, _)));
    assert_eq!(permission(pending, 100, 5), Permission::Start, "an executor would still have it");
    assert_eq!(permission(pending, 99, 10), Permission::Start, "it was made when nobody was there");
    assert_eq!(permission(ExecutionPhase::Queued, 100, 10), Permission::Start, "it was not started");
}
