//! Every request but the health checks carries a permission, and each of its bindings is checked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use axum::http::Method as Verb;
use common::{Executor, UID, body, claims, key, now, python, signed};
use protocol::{Claims, Method, SigningKey, routes, token};

fn requests() -> Vec<(Verb, String, Method, Option<&'static str>)> {
    vec![
        (Verb::GET, routes::INVENTORY.to_owned(), Method::Inventory, None),
        (Verb::PUT, routes::execution(UID), Method::Execute, Some(UID)),
        (Verb::GET, routes::execution(UID), Method::Attach, Some(UID)),
        (Verb::GET, routes::file(UID, 0), Method::ReadFile, Some(UID)),
        (Verb::POST, routes::cancel(UID), Method::Cancel, Some(UID)),
        (Verb::DELETE, routes::execution(UID), Method::Acknowledge, Some(UID)),
        (Verb::POST, routes::reset(UID), Method::Reset, Some(UID)),
    ]
}

/// Sends each kind of request with claims changed in one way and expects one refusal for all.
async fn refused(change: impl Fn(&mut Claims), key: &SigningKey, status: u16, code: &str) {
    let executor = Executor::start().await;
    // Raises the epoch to 5, that of all other claims.
    assert_eq!(executor.inventory().await.epoch, 5);
    for (verb, path, method, uid) in requests() {
        let mut claims = claims(method, uid);
        change(&mut claims);
        let token = token::sign(key, &claims);
        let answer = executor.request(verb, &path, Some(&token), body(&python("print(1)"), &[])).await;
        assert_eq!(answer.refusal(), (status, code.to_owned(), None), "{method:?}");
    }
    assert!(executor.inventory().await.vacant);
}

#[tokio::test]
async fn without_a_token_or_with_another_scheme_nothing_is_answered() {
    let executor = Executor::start().await;
    for (verb, path, method, uid) in requests() {
        let bearer = signed(method, uid).replace("Carrel ", "Bearer ");
        for token in [None, Some(""), Some("Carrel x.y"), Some(bearer.as_str())] {
            let answer = executor.request(verb.clone(), &path, token, Vec::new()).await;
            assert_eq!(answer.refusal(), (401, "BadToken".to_owned(), None), "{method:?} {token:?}");
        }
    }
    assert!(executor.inventory().await.vacant);
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let forger = SigningKey::from_seed("k1", &[1; 32]).unwrap();
    refused(|_| (), &forger, 401, "BadToken").await;
}

#[tokio::test]
async fn a_key_that_is_not_known_is_refused() {
    let stranger = SigningKey::from_seed("k2", &[42; 32]).unwrap();
    refused(|_| (), &stranger, 401, "BadToken").await;
}

#[tokio::test]
async fn a_late_token_is_refused() {
    refused(|claims| claims.expires_unix_milliseconds = now() - 1, &key(), 401, "TokenExpired").await;
}

#[tokio::test]
async fn a_token_that_would_live_too_long_is_refused() {
    refused(|claims| claims.expires_unix_milliseconds = now() + 120_000, &key(), 401, "BadToken").await;
}

#[tokio::test]
async fn an_older_epoch_is_refused() {
    refused(|claims| claims.epoch = 4, &key(), 403, "OldEpoch").await;
}

#[tokio::test]
async fn a_token_for_another_pod_is_refused() {
    refused(|claims| claims.pod_uid = "pod-2".to_owned(), &key(), 403, "WrongPod").await;
}

#[tokio::test]
async fn a_token_for_another_execution_is_refused() {
    refused(|claims| claims.execution_uid = Some("uid-2".to_owned()), &key(), 401, "BadToken").await;
}

#[tokio::test]
async fn a_token_for_one_method_opens_no_other() {
    let executor = Executor::start().await;
    for (verb, path, method, uid) in requests() {
        for (_, _, other, _) in requests().into_iter().filter(|(_, _, other, _)| *other != method) {
            let token = signed(other, uid);
            let answer = executor.request(verb.clone(), &path, Some(&token), Vec::new()).await;
            assert_eq!(answer.refusal().1, "BadToken", "{other:?} for {method:?}");
        }
    }
}

#[tokio::test]
async fn a_higher_epoch_is_remembered_whatever_request_brings_it() {
    let executor = Executor::start().await;
    let mut higher = claims(Method::Attach, Some(UID));
    higher.epoch = 9;
    let token = token::sign(&key(), &higher);
    let answer = executor.request(Verb::GET, &routes::execution(UID), Some(&token), Vec::new()).await;
    assert_eq!(answer.refusal().0, 404);
    assert_eq!(executor.run("print(1)").await.refusal().1, "OldEpoch");
}

#[tokio::test]
async fn a_forged_higher_epoch_locks_nobody_out() {
    let executor = Executor::start().await;
    let forger = SigningKey::from_seed("k1", &[1; 32]).unwrap();
    let mut higher = claims(Method::Inventory, None);
    higher.epoch = u64::MAX;
    let token = token::sign(&forger, &higher);
    let answer = executor.request(Verb::GET, routes::INVENTORY, Some(&token), Vec::new()).await;
    assert_eq!(answer.status, 401);
    executor.run("print(1)").await.ok();
}

#[tokio::test]
async fn health_needs_no_token() {
    let executor = Executor::start().await;
    let answer = executor.request(Verb::GET, routes::HEALTHZ, None, Vec::new()).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, &b"ok"[..]));
    let readiness: protocol::Readiness =
        executor.request(Verb::GET, routes::READYZ, None, Vec::new()).await.json();
    assert!(readiness.ready);
}
