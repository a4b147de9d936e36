//! What is kept of executions, and what late events do to it.

use serde_json::json;

use super::*;

fn object(uid: &str, version: &str, phase: &str) -> CodeExecution {
    serde_json::from_value(json!({
        "apiVersion": "carrel.dev/v1alpha1", "kind": "CodeExecution",
        "metadata": { "namespace": "ns", "name": "a", "uid": uid, "resourceVersion": version },
        "spec": { "code": "1" }, "status": { "phase": phase },
    }))
    .unwrap()
}

fn key() -> Key {
    Key::new("ns", "a")
}

#[test]
fn a_late_event_never_takes_a_phase_back_and_a_newer_one_does() {
    let executions = Executions::default();
    executions.apply(object("u", "10", "Running"));
    executions.apply(object("u", "9", "Pending"));
    let entry = executions.get(&key()).unwrap();
    assert_eq!((entry.phase, entry.version.as_str()), (ExecutionPhase::Running, "10"));
    executions.apply(object("u", "11", "Queued"));
    executions.apply(object("u", "10", "Running"));
    let entry = executions.get(&key()).unwrap();
    assert_eq!((entry.phase, entry.version.as_str()), (ExecutionPhase::Queued, "11"));
}

#[test]
fn a_finished_execution_is_let_go() {
    let executions = Executions::default();
    assert_eq!(executions.apply(object("u", "1", "Pending")), Change::Look);
    assert_eq!(executions.apply(object("u", "2", "Failed")), Change::Finished);
    assert!(executions.get(&key()).is_none());
    assert!(!executions.wake("u", &WorkQueue::new()));
}

#[test]
fn a_late_event_does_not_revive_what_was_finished() {
    let executions = Executions::default();
    executions.apply(object("u", "1", "Pending"));
    executions.finish(&key(), &"u".into());
    executions.apply(object("u", "2", "Pending"));
    assert!(executions.get(&key()).is_none(), "the event is older than our own write");
    executions.apply(object("u", "3", "Succeeded"));
    executions.finish(&key(), &"u".into());
    executions.apply(object("v", "4", "Pending"));
    assert!(executions.get(&key()).is_some(), "a new object of that name is another matter");
}

#[test]
fn an_object_of_the_same_name_and_another_uid_replaces_the_old_one() {
    let executions = Executions::default();
    executions.apply(object("u", "1", "Pending"));
    assert_eq!(executions.apply(object("v", "2", "Pending")), Change::Replaced("u".into()));
    assert!(!executions.wake("u", &WorkQueue::new()));
    assert!(executions.wake("v", &WorkQueue::new()));
}

#[test]
fn the_request_is_known_also_of_what_cannot_be_run() {
    let executions = Executions::default();
    let mut invalid = object("u", "1", "Pending");
    invalid.spec.code = None;
    invalid.metadata.annotations = Some([(crds::labels::REQUEST_ID.to_owned(), "r-1".to_owned())].into());
    let meta = invalid.metadata.clone();
    executions.apply(invalid);
    let entry = executions.get(&key()).unwrap();
    assert!(entry.plan.is_err());
    assert_eq!(entry.origin.request_id.as_deref(), Some("r-1"));
    executions.apply_unreadable(&meta, "no code");
    assert_eq!(executions.get(&key()).unwrap().origin.request_id.as_deref(), Some("r-1"));
}

fn large(number: usize) -> CodeExecution {
    let mut object = object(&format!("u{number}"), "1", "Pending");
    object.metadata.name = Some(format!("a{number}"));
    object.spec.code = Some("x".repeat(400_000));
    object.spec.args = vec!["y".repeat(1000); 50];
    object
}

/// What the cache keeps of all executions, text by text.
fn kept_bytes(executions: &Executions) -> usize {
    let inner = executions.inner.lock();
    let entry = |(key, entry): (&Key, &Entry)| {
        let Entry { uid, version, plan, origin, .. } = entry;
        let plan = plan.as_ref().unwrap();
        let texts = [&plan.isolation_key, &plan.collection, &origin.request_id, &origin.trace_parent];
        let texts = texts.into_iter().flatten().map(String::len).sum::<usize>();
        let names = key.namespace.len() + key.name.len() + plan.pool.name.len() + uid.len() + version.len();
        size_of::<Entry>() + size_of_val(&**plan) + size_of_val(&**origin) + texts + names + weight(entry)
    };
    inner.entries.iter().map(entry).sum()
}

#[test]
fn all_texts_together_have_a_bound_and_what_waits_keeps_none() {
    let executions = Executions::default();
    for number in 0..200 {
        executions.apply(large(number));
    }
    let kept = kept_bytes(&executions);
    assert!(kept < TEXT_BYTES + 200 * 1024, "90 MB came, {kept} bytes are kept");
    assert!(executions.get(&Key::new("ns", "a0")).unwrap().program.is_some(), "the first have room");
    for number in 0..200 {
        executions.update(&Key::new("ns", &format!("a{number}")), &format!("u{number}"), Entry::waits);
    }
    let kept = kept_bytes(&executions);
    assert!(kept < 200 * 1024, "each of 200 keeps {} bytes", kept / 200);
    executions.apply(large(200));
    assert!(executions.get(&Key::new("ns", "a200")).unwrap().program.is_some(), "there is room again");
    for number in 0..=200 {
        executions.remove(&Key::new("ns", &format!("a{number}")));
    }
    assert_eq!(executions.inner.lock().text_bytes, 0);
    assert_eq!(kept_bytes(&executions), 0);
}

#[test]
fn texts_that_were_let_go_do_not_come_back_with_the_next_event() {
    let executions = Executions::default();
    executions.apply(object("u", "1", "Pending"));
    executions.update(&key(), "u", |entry| entry.program = None);
    executions.apply(object("u", "2", "Queued"));
    assert!(executions.get(&key()).unwrap().program.is_none());
}

#[test]
fn what_is_known_beside_the_object_stays_when_its_texts_are_read_again() {
    let mut old = entry(object("u", "4", "Pending"));
    old.waits();
    (old.asked, old.maybe_queued, old.attempts, old.hiccups, old.cancel) = (true, true, 2, 3, true);
    let fresh = read_again(&old, entry(object("u", "5", "Queued")));
    assert!(fresh.program.is_some() && fresh.asked && fresh.maybe_queued && fresh.cancel);
    assert_eq!((fresh.attempts, fresh.hiccups, fresh.seen), (2, 3, old.seen));
    assert_eq!((fresh.version.as_str(), fresh.phase), ("5", ExecutionPhase::Queued));
}
