//! The executor's own beginning and end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt as _};

use axum::{body::Body, http::Method as Verb};
use common::{Executor, UID, body, python, signed};
use nix::sys::signal::Signal;
use protocol::{Method, Readiness, routes};
use tempfile::TempDir;

#[tokio::test]
async fn an_idle_executor_goes_at_once() {
    let mut executor = Executor::start().await;
    executor.signal(Signal::SIGTERM);
    assert_eq!(executor.exit_code().await, Some(0));
}

/// Tells the executor to go while a program runs that ends when there is a file `go`.
async fn drain_with_a_program(executor: &Executor) {
    let code = "import os, time\nopen('up', 'w').write('1\\n')\n\
                while not os.path.exists('go'): time.sleep(0.005)\nprint('done')";
    let token = signed(Method::Execute, Some(UID));
    let bytes = Body::from(body(&python(code), &[]));
    drop(executor.open(Verb::PUT, &routes::execution(UID), Some(&token), bytes).await);
    executor.wait_for_file("up").await;
    executor.signal(Signal::SIGTERM);
    executor.until(async || executor.inventory().await.draining).await;
}

#[tokio::test]
async fn a_draining_executor_finishes_its_run_and_keeps_the_outcome_until_acknowledged() {
    let mut executor = Executor::start().await;
    drain_with_a_program(&executor).await;
    let answer = executor.request(Verb::GET, routes::READYZ, None, Vec::new()).await;
    assert_eq!((answer.status.as_u16(), answer.json::<Readiness>().ready), (503, false));
    fs::write(executor.workspace().join("go"), "").unwrap();
    assert_eq!(executor.attach(UID).await.ok().stdout(), "done\n");
    assert_eq!(executor.run("attaches").await.ok().stdout(), "done\n");
    assert!(!executor.has_exited());
    assert_eq!(executor.acknowledge(UID).await.status, 204);
    assert_eq!(executor.exit_code().await, Some(0));
}

#[tokio::test]
async fn an_outcome_that_nobody_asks_for_does_not_keep_a_draining_executor() {
    // No patience at all, so that each wait below could be the one that ends too early.
    let mut executor = Executor::start_with(|command| {
        command.args(["--outcome-patience-milliseconds", "0"]);
    })
    .await;
    // The program runs, so the executor stays, also when it is asked again and again.
    drain_with_a_program(&executor).await;
    assert!(!executor.has_exited());
    fs::write(executor.workspace().join("go"), "").unwrap();
    assert_eq!(executor.exit_code().await, Some(0));
    assert!(executor.log.lock().iter().any(|line| line.contains("given up")), "{:?}", executor.log.lock());
}

#[tokio::test]
async fn an_executor_that_does_not_drain_keeps_an_outcome_that_nobody_asks_for() {
    let mut executor = Executor::start_with(|command| {
        command.env("CARREL_OUTCOME_PATIENCE_MILLISECONDS", "0");
    })
    .await;
    executor.run("print('kept')").await.ok();
    assert_eq!(executor.attach(UID).await.ok().stdout(), "kept\n");
    assert!(!executor.has_exited());
    executor.signal(Signal::SIGTERM);
    assert_eq!(executor.exit_code().await, Some(0));
}

#[tokio::test]
async fn an_interpreter_that_does_not_work_means_never_ready_and_no_start() {
    let dir = TempDir::new().unwrap();
    let fake = dir.path().join("python3");
    fs::write(&fake, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let executor = Executor::spawn(dir, |command| {
        command.env("CARREL_PYTHON", &fake);
    });
    let asked = async || executor.request(Verb::GET, routes::READYZ, None, Vec::new()).await;
    executor.until(async || asked().await.json::<Readiness>().message.contains("ended with")).await;
    assert_eq!(asked().await.status, 503);
    assert_eq!(executor.run("print(1)").await.refusal(), (503, "Draining".to_owned(), None));
    assert!(executor.inventory().await.vacant);
}

#[tokio::test]
async fn a_wrong_configuration_is_named_and_ends_the_start() {
    let dir = TempDir::new().unwrap();
    let mut command = Executor::command(&dir);
    command.args(["--python", "/no/such/python"]);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("CARREL_PYTHON"), "{output:?}");
}
