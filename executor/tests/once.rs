//! At most once: one uid, one start, however often and by whomever it is asked for.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::{fs, sync::Arc};

use axum::{body::Body, http::Method as Verb};
use common::{Executor, UID, body, claims, key, python, signed};
use http_body_util::BodyExt as _;
use protocol::{End, Method, RunState, routes, token};
use tempfile::TempDir;

#[tokio::test]
async fn many_puts_at_once_start_one_program_and_all_see_its_end() {
    let executor = Arc::new(Executor::start().await);
    let marks = executor.dir.path().join("marks");
    let code = format!("open({marks:?}, 'a').write('x')\nprint('out')");
    let puts: Vec<_> = (0..16)
        .map(|_| {
            let (executor, code) = (Arc::clone(&executor), code.clone());
            tokio::spawn(async move { executor.run(&code).await })
        })
        .collect();
    let mut answers = Vec::new();
    for put in puts {
        answers.push(put.await.unwrap().ok());
    }
    assert_eq!(fs::read_to_string(marks).unwrap(), "x");
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    assert_eq!(answers[0].stdout(), "out\n");
}

#[tokio::test]
async fn whoever_attaches_sees_everything_during_and_after_the_run() {
    let executor = Executor::start().await;
    let code = "import os, time\nprint('first', flush=True)\nopen('up', 'w').write('1\\n')\n\
                while not os.path.exists('go'): time.sleep(0.005)\nprint('second')";
    let token = signed(Method::Execute, Some(UID));
    let bytes = body(&python(code), &[]);
    let starter = executor.open(Verb::PUT, &routes::execution(UID), Some(&token), Body::from(bytes)).await;
    executor.wait_for_file("up").await;
    assert_eq!(executor.inventory().await.runs[0].state, RunState::Running);
    // The starter goes away; the program does not care.
    drop(starter);
    let (attached, again, ()) = tokio::join!(executor.attach(UID), executor.run("print('other')"), async {
        fs::write(executor.workspace().join("go"), "").unwrap();
    });
    for answer in [attached, again, executor.attach(UID).await, executor.run("never").await] {
        assert_eq!(answer.ok().stdout(), "first\nsecond\n");
    }
    let inventory = executor.inventory().await;
    assert_eq!((inventory.runs[0].uid.as_str(), inventory.runs[0].state), (UID, RunState::Finished));
    assert!(!inventory.vacant);
}

#[tokio::test]
async fn attaching_never_starts() {
    let executor = Executor::start().await;
    assert_eq!(executor.attach(UID).await.refusal().0, 404);
    assert_eq!(executor.cancel(UID).await.refusal().0, 404);
    assert!(executor.inventory().await.vacant);
}

#[tokio::test]
async fn another_uid_is_refused_while_one_is_held_and_ever_after() {
    let executor = Executor::start().await;
    executor.run("print(1)").await.ok();
    let refused = executor.put_as("uid-2", &python("print(2)"), &[]).await.refusal();
    assert_eq!(refused, (409, "Occupied".to_owned(), None));
    assert_eq!(executor.acknowledge(UID).await.status, 204);
    assert_eq!(executor.put_as("uid-2", &python("print(2)"), &[]).await.refusal().0, 409);
}

#[tokio::test]
async fn an_acknowledged_uid_is_gone_and_never_started_again() {
    let executor = Executor::start().await;
    executor.run("open('f', 'w').write('x')").await.ok();
    assert_eq!(executor.file(UID, 0).await.body, "x");
    assert_eq!(executor.acknowledge(UID).await.status, 204);
    assert_eq!(executor.acknowledge(UID).await.status, 204);
    assert_eq!(executor.attach(UID).await.refusal().0, 404);
    assert_eq!(executor.file(UID, 0).await.refusal().0, 404);
    assert_eq!(executor.run("print(2)").await.refusal().0, 409);
    assert!(executor.inventory().await.runs.is_empty());
    let workspace = executor.workspace();
    let run = workspace.parent().unwrap();
    executor.until(async || run.read_dir().unwrap().next().is_none()).await;
}

#[tokio::test]
async fn an_acknowledgement_that_overtakes_the_start_wins() {
    let executor = Executor::start().await;
    assert_eq!(executor.acknowledge(UID).await.status, 204);
    assert_eq!(executor.run("print(1)").await.refusal().0, 409);
}

#[tokio::test]
async fn a_running_program_cannot_be_acknowledged_away() {
    let executor = Executor::start().await;
    let token = signed(Method::Execute, Some(UID));
    let bytes = body(&python("import time; time.sleep(60)"), &[]);
    let _starter = executor.open(Verb::PUT, &routes::execution(UID), Some(&token), Body::from(bytes)).await;
    assert_eq!(executor.acknowledge(UID).await.refusal().0, 409);
    executor.cancel(UID).await;
    assert_eq!(executor.attach(UID).await.end(), End::Cancelled);
    assert_eq!(executor.acknowledge(UID).await.status, 204);
}

#[tokio::test]
async fn a_start_under_way_is_refused_when_a_newer_leader_asks_in_between() {
    let executor = Executor::start().await;
    // The old leader's request has arrived, but not yet the end of its first line.
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(4);
    let line = body(&python("print(1)"), &[]);
    let (first, rest) = line.split_at(10);
    sender.send(Ok(bytes::Bytes::copy_from_slice(first))).await.unwrap();
    let slow = Body::from_stream(futures::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }));
    let token = signed(Method::Execute, Some(UID));
    let path = routes::execution(UID);
    let old = executor.open(Verb::PUT, &path, Some(&token), slow);
    let newer = async {
        // Only a look at the epoch shows that the old request has been authorized.
        executor.until(async || executor.inventory().await.epoch == 5).await;
        let mut claims = claims(Method::Inventory, None);
        claims.epoch = 6;
        let token = token::sign(&key(), &claims);
        let answer = executor.request(Verb::GET, routes::INVENTORY, Some(&token), Vec::new()).await;
        let inventory: protocol::Inventory = answer.json();
        assert!(inventory.vacant);
        sender.send(Ok(bytes::Bytes::copy_from_slice(rest))).await.unwrap();
        drop(sender);
    };
    let (response, ()) = tokio::join!(old, newer);
    assert_eq!(response.status(), 403);
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("OldEpoch"));
}

#[tokio::test]
async fn an_executor_in_a_used_state_directory_does_not_start() {
    let mut executor = Executor::start().await;
    executor.run("print(1)").await.ok();
    executor.acknowledge(UID).await;
    executor.close_lifeline();
    executor.exit_code().await;
    let dir = std::mem::replace(&mut executor.dir, TempDir::new().unwrap());
    let output = Executor::command(&dir).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("started once"), "{output:?}");
}
