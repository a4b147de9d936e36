//! Who gets which pod, in which order.

use super::*;

fn pool() -> Key {
    Key::new("ns", "default")
}

fn ticket(name: &str) -> Ticket {
    Ticket { uid: name.into(), key: Key::new("ns", name), reuse: None }
}

fn names(reserve: &mut Reserve, count: usize) -> Vec<String> {
    (0..count).map(|n| reserve.offer(&pool(), &format!("pod{n}").into()).unwrap().uid.to_string()).collect()
}

#[test]
fn an_idle_pod_is_given_to_one_execution_only() {
    let mut reserve = Reserve::default();
    assert_eq!(reserve.offer(&pool(), &"p1".into()), None);
    assert_eq!(reserve.request(&pool(), &None, &ticket("a")), Place::Granted("p1".into()));
    assert_eq!(reserve.request(&pool(), &None, &ticket("a")), Place::Granted("p1".into()));
    assert_eq!(reserve.request(&pool(), &None, &ticket("b")), Place::Waiting);
    assert_eq!(reserve.offer(&pool(), &"p1".into()), None, "it is not free because it is offered again");
    assert_eq!(reserve.usage(&pool()), Usage { idle: 0, busy: 1, queued: 1, kept: 0 });
}

#[test]
fn scopes_take_turns_and_each_keeps_its_order() {
    let mut reserve = Reserve::default();
    for (name, who) in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("c1", "c"), ("b2", "b")] {
        reserve.request(&pool(), &Some(who.into()), &ticket(name));
    }
    assert_eq!(names(&mut reserve, 6), ["a1", "b1", "c1", "a2", "b2", "a3"]);
}

#[test]
fn a_scope_that_comes_back_does_not_jump_the_queue() {
    let mut reserve = Reserve::default();
    reserve.request(&pool(), &Some("a".into()), &ticket("a1"));
    reserve.request(&pool(), &Some("b".into()), &ticket("b1"));
    assert_eq!(names(&mut reserve, 1), ["a1"]);
    reserve.request(&pool(), &Some("a".into()), &ticket("a2"));
    reserve.request(&pool(), &Some("b".into()), &ticket("b2"));
    let mut rest = Vec::new();
    for n in 10..13 {
        rest.push(reserve.offer(&pool(), &format!("pod{n}").into()).unwrap().uid.to_string());
    }
    assert_eq!(rest, ["b1", "a2", "b2"]);
}

#[test]
fn an_execution_that_leaves_frees_its_pod_for_the_next() {
    let mut reserve = Reserve::default();
    reserve.offer(&pool(), &"p1".into());
    reserve.request(&pool(), &None, &ticket("a"));
    reserve.request(&pool(), &None, &ticket("b"));
    reserve.request(&pool(), &None, &ticket("c"));
    assert_eq!(reserve.leave(&pool(), "b"), None, "it only waited");
    assert_eq!(reserve.leave(&pool(), "a"), Some(ticket("c")));
    assert_eq!(reserve.place(&pool(), "c"), Some(Place::Granted("p1".into())));
    assert_eq!(reserve.leave(&pool(), "c"), None);
    assert_eq!(reserve.usage(&pool()), Usage { idle: 1, busy: 0, queued: 0, kept: 0 });
}

#[test]
fn a_used_pod_is_never_given_out_again() {
    let mut reserve = Reserve::default();
    reserve.offer(&pool(), &"p1".into());
    reserve.request(&pool(), &None, &ticket("a"));
    assert_eq!(reserve.remove_pod(&pool(), "p1"), Some(ticket("a")));
    assert_eq!(reserve.request(&pool(), &None, &ticket("b")), Place::Waiting);
    assert_eq!(reserve.place(&pool(), "a"), None);
}

#[test]
fn only_an_idle_pod_can_be_retired() {
    let mut reserve = Reserve::default();
    reserve.offer(&pool(), &"p1".into());
    reserve.offer(&pool(), &"p2".into());
    reserve.request(&pool(), &None, &ticket("a"));
    assert!(!reserve.retire(&pool(), "p1"));
    assert!(reserve.retire(&pool(), "p2"));
    assert!(!reserve.retire(&pool(), "p2"));
}

#[test]
fn an_adopted_pod_is_busy_and_its_execution_has_it() {
    let mut reserve = Reserve::default();
    reserve.offer(&pool(), &"p1".into());
    reserve.adopt(&pool(), &"p1".into(), &ticket("a"));
    assert_eq!(reserve.usage(&pool()), Usage { idle: 0, busy: 1, queued: 0, kept: 0 });
    assert_eq!(reserve.place(&pool(), "a"), Some(Place::Granted("p1".into())));
}

#[test]
fn a_pod_that_must_go_soon_is_given_out_only_when_there_is_no_other() {
    let mut reserve = Reserve::default();
    for pod in ["going", "stays"] {
        reserve.avoid(&pool(), &pod.into(), pod == "going");
        reserve.offer(&pool(), &pod.into());
    }
    assert_eq!(reserve.request(&pool(), &None, &ticket("a")), Place::Granted("stays".into()));
    assert_eq!(reserve.request(&pool(), &None, &ticket("b")), Place::Granted("going".into()));
    reserve.request(&pool(), &None, &ticket("c"));
    reserve.avoid(&pool(), &"late".into(), true);
    assert_eq!(reserve.offer(&pool(), &"late".into()), Some(ticket("c")), "who waits takes what there is");
}

#[test]
fn a_pod_that_may_stay_after_all_is_one_like_any_other() {
    let mut reserve = Reserve::default();
    for pod in ["first", "second"] {
        reserve.avoid(&pool(), &pod.into(), true);
        reserve.offer(&pool(), &pod.into());
    }
    reserve.avoid(&pool(), &"second".into(), false);
    assert_eq!(reserve.request(&pool(), &None, &ticket("a")), Place::Granted("second".into()));
    reserve.avoid(&pool(), &"first".into(), false);
    assert_eq!(reserve.request(&pool(), &None, &ticket("b")), Place::Granted("first".into()));
}

fn chat(name: &str) -> ReuseKey {
    ReuseKey { scope: None, isolation_key: name.into() }
}

fn of_chat(name: &str, key: &ReuseKey) -> Ticket {
    Ticket { reuse: Some(key.clone()), ..ticket(name) }
}

/// A pod in which `first` of that key has just ended.
fn after_first(key: &ReuseKey) -> Reserve {
    let mut reserve = Reserve::default();
    reserve.offer(&pool(), &"p1".into());
    assert_eq!(reserve.request(&pool(), &None, &of_chat("first", key)), Place::Granted("p1".into()));
    reserve
}

fn keep(reserve: &mut Reserve, execution: &str, key: &ReuseKey) -> Kept {
    reserve.keep(&pool(), &"p1".into(), execution, key, Instant::now())
}

#[test]
fn a_kept_pod_goes_to_the_next_of_its_key_and_to_nobody_else() {
    let c1 = chat("c1");
    let mut reserve = after_first(&c1);
    assert_eq!(keep(&mut reserve, "first", &c1), Kept::Waits);
    assert_eq!(reserve.usage(&pool()), Usage { idle: 0, busy: 0, queued: 0, kept: 1 });
    assert_eq!(reserve.place(&pool(), "first"), None);
    let scoped = ReuseKey { scope: Some("alice".into()), ..chat("c1") };
    for (name, key) in [("other", Some(chat("c2"))), ("scoped", Some(scoped)), ("none", None)] {
        let other = Ticket { reuse: key, ..ticket(name) };
        assert_eq!(reserve.request(&pool(), &None, &other), Place::Waiting, "{name}");
        reserve.leave(&pool(), name);
    }
    assert_eq!(reserve.request(&pool(), &None, &of_chat("next", &c1)), Place::Granted("p1".into()));
    assert!(reserve.is_used(&pool(), "p1") && reserve.holder(&pool(), "p1").is_some());
    assert_eq!(reserve.request(&pool(), &None, &of_chat("third", &c1)), Place::Waiting);
}

#[test]
fn of_a_kept_and_an_idle_pod_its_key_gets_the_kept_one_and_others_the_idle_one() {
    let c1 = chat("c1");
    let mut reserve = after_first(&c1);
    keep(&mut reserve, "first", &c1);
    reserve.offer(&pool(), &"fresh".into());
    assert_eq!(
        reserve.request(&pool(), &None, &of_chat("other", &chat("c2"))),
        Place::Granted("fresh".into())
    );
    assert_eq!(reserve.request(&pool(), &None, &of_chat("next", &c1)), Place::Granted("p1".into()));
}

#[test]
fn a_used_pod_is_never_idle_again_whatever_happens() {
    let c1 = chat("c1");
    let mut reserve = after_first(&c1);
    keep(&mut reserve, "first", &c1);
    assert_eq!(reserve.offer(&pool(), &"p1".into()), None, "kept");
    reserve.request(&pool(), &None, &of_chat("next", &c1));
    assert_eq!(reserve.leave(&pool(), "next"), None, "it was not started after all");
    assert_eq!(reserve.offer(&pool(), &"p1".into()), None, "left");
    assert_eq!(reserve.usage(&pool()), Usage::default());
    assert_eq!(reserve.request(&pool(), &None, &of_chat("third", &c1)), Place::Waiting);
}

#[test]
fn a_pod_is_kept_only_when_nobody_else_is_next() {
    let c1 = chat("c1");
    let mut reserve = after_first(&c1);
    reserve.request(&pool(), &Some("a".into()), &ticket("other"));
    reserve.request(&pool(), &Some("b".into()), &of_chat("next", &c1));
    assert_eq!(keep(&mut reserve, "first", &c1), Kept::Unwanted);
    assert!(reserve.holder(&pool(), "p1").is_some(), "until it goes");
    reserve.leave(&pool(), "other");
    assert_eq!(keep(&mut reserve, "first", &c1), Kept::Given(of_chat("next", &c1)));
    assert_eq!(reserve.place(&pool(), "next"), Some(Place::Granted("p1".into())));
    assert_eq!(reserve.place(&pool(), "first"), None);
}

#[test]
fn only_the_execution_that_has_a_pod_leaves_it_to_others() {
    let c1 = chat("c1");
    let mut reserve = after_first(&c1);
    assert_eq!(keep(&mut reserve, "stranger", &c1), Kept::Unwanted);
    reserve.remove_pod(&pool(), "p1");
    assert_eq!(keep(&mut reserve, "first", &c1), Kept::Unwanted, "the pod is gone");
}

#[test]
fn a_kept_pod_can_be_retired_and_is_not_given_out_then() {
    let c1 = chat("c1");
    let mut reserve = after_first(&c1);
    let now = Instant::now();
    reserve.keep(&pool(), &"p1".into(), "first", &c1, now);
    assert_eq!(reserve.kept_since(&pool(), "p1"), Some(now));
    assert_eq!((reserve.longest_kept(&pool()), reserve.kept()), (Some(now), 1));
    assert!(reserve.retire(&pool(), "p1"));
    assert_eq!((reserve.longest_kept(&pool()), reserve.kept()), (None, 0));
    assert_eq!(reserve.request(&pool(), &None, &of_chat("next", &c1)), Place::Waiting);
}

#[test]
fn a_kept_pod_that_must_go_soon_is_not_given_out() {
    let c1 = chat("c1");
    let mut reserve = after_first(&c1);
    keep(&mut reserve, "first", &c1);
    reserve.avoid(&pool(), &"p1".into(), true);
    assert_eq!(reserve.request(&pool(), &None, &of_chat("next", &c1)), Place::Waiting);
}
