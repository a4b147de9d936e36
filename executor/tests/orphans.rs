//! What a killed executor leaves is found and killed by its parent. Alone in its file: it looks at all
//! children of the test's process.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use axum::{body::Body, http::Method as Verb};
use common::{Executor, UID, body, is_alive, pids, python, signed};
use nix::sys::signal::Signal;
use protocol::{Method, routes};

const DETACH: &str = "
import os, time
if os.fork() == 0:
  os.setsid()
  if os.fork() == 0:
    open('new', 'w').write(f'{os.getpid()}\\n'); os.rename('new', 'pids')
    time.sleep(100)
  os._exit(0)
time.sleep(100)";

#[tokio::test]
async fn the_parent_kills_what_a_killed_executor_left_and_spares_the_living() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let living = Executor::start().await;
    let mut killed = Executor::start().await;
    let token = signed(Method::Execute, Some(UID));
    let body = Body::from(body(&python(DETACH), &[]));
    drop(killed.open(Verb::PUT, &routes::execution(UID), Some(&token), body).await);
    let detached = pids(&killed.wait_for_file("pids").await);
    killed.signal(Signal::SIGKILL);
    killed.exit_code().await;
    assert!(is_alive(detached[0]));
    assert!(executor::kill_orphans(&BTreeSet::from([living.pid()])));
    assert!(!is_alive(detached[0]));
    living.run("print(1)").await.ok();
}
