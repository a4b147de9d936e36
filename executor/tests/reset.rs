//! Another execution after one that was acknowledged: only when nothing of that one is left.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs;

use axum::http::Method as Verb;
use common::{Executor, UID, claims, is_alive, key, pids, python};
use protocol::{Method, TerminationMessage, routes, token};
use tempfile::TempDir;

const NEXT: &str = "uid-2";

/// Runs a program to its acknowledged end; what it printed.
async fn run(executor: &Executor, uid: &str, code: &str) -> String {
    let answer = executor.put_as(uid, &python(code), &[]).await.ok();
    assert_eq!(executor.acknowledge(uid).await.status, 204);
    answer.stdout()
}

#[tokio::test]
async fn the_next_program_finds_nothing_of_the_one_before() {
    let executor = Executor::start().await;
    let state = executor.dir.path().join("state");
    let leaves = format!(
        "import os\n\
         for place in [os.getcwd(), os.environ['HOME'], os.environ['TMPDIR'], {state:?}, '{runs}', '{runner}']:\n\
         \x20 open(os.path.join(place, 'secret'), 'w').write('x')\n\
         os.unlink('{runner}/runner.py')\n\
         open('{runner}/runner.py', 'w').write('print(\"mine now\")')",
        state = state.display().to_string(),
        runs = state.join("runs").display(),
        runner = state.join("runner").display(),
    );
    run(&executor, UID, &leaves).await;
    assert_eq!(executor.reset(UID).await.status, 204);
    let looks = format!(
        "import os\n\
         for place, folders, files in os.walk({:?}):\n\
         \x20 if 'secret' in files: print(place)\n\
         print(sorted(os.listdir('{}')))",
        state.display().to_string(),
        state.join("runs").display(),
    );
    assert_eq!(run(&executor, NEXT, &looks).await, format!("['{UID}', '{NEXT}']\n"));
}

#[tokio::test]
async fn what_detached_itself_is_dead_before_the_next_program_comes() {
    let executor = Executor::start().await;
    let detaches = "
import os, time
if os.fork() == 0:
  os.setsid()
  if os.fork() == 0:
    open('new', 'w').write(f'{os.getpid()}\\n'); os.rename('new', 'pids')
    time.sleep(100)
  os._exit(0)
while not os.path.exists('pids'): time.sleep(0.005)
print(open('pids').read())";
    let pid = pids(&run(&executor, UID, detaches).await);
    assert_eq!(executor.reset(UID).await.status, 204);
    assert!(!is_alive(pid[0]));
    assert_eq!(run(&executor, NEXT, "print('next')").await, "next\n");
}

#[tokio::test]
async fn no_earlier_uid_is_ever_started_again() {
    let executor = Executor::start().await;
    run(&executor, UID, "print(1)").await;
    assert_eq!(executor.reset(UID).await.status, 204);
    let inventory = executor.inventory().await;
    assert_eq!((inventory.vacant, inventory.used, inventory.runs.len()), (false, 1, 0));
    assert_eq!(executor.run("print(2)").await.refusal().0, 409);
    run(&executor, NEXT, "print(2)").await;
    assert_eq!(executor.reset(NEXT).await.status, 204);
    for uid in [UID, NEXT] {
        assert_eq!(executor.put_as(uid, &python("print(3)"), &[]).await.refusal().0, 409, "{uid}");
        assert_eq!(executor.attach(uid).await.refusal().0, 404, "{uid}");
    }
    assert_eq!(executor.inventory().await.used, 2);
}

#[tokio::test]
async fn nothing_is_reset_before_its_outcome_was_acknowledged_or_twice() {
    let executor = Executor::start().await;
    assert_eq!(executor.reset(UID).await.refusal().0, 409);
    assert!(executor.inventory().await.vacant);
    executor.run("print(1)").await.ok();
    assert_eq!(executor.reset(UID).await.refusal().0, 409);
    assert_eq!(executor.attach(UID).await.ok().stdout(), "1\n");
    executor.acknowledge(UID).await;
    assert_eq!(executor.reset(NEXT).await.refusal().0, 409);
    assert_eq!(executor.reset(UID).await.status, 204);
    assert_eq!(executor.reset(UID).await.refusal().0, 409);
    // A request that was under way while the next one ran.
    run(&executor, NEXT, "print(2)").await;
    assert_eq!(executor.reset(UID).await.refusal().0, 409);
    assert_eq!(executor.put_as("uid-3", &python("print(3)"), &[]).await.refusal().0, 409);
}

#[tokio::test]
async fn an_older_leader_resets_nothing() {
    let executor = Executor::start().await;
    run(&executor, UID, "print(1)").await;
    let mut old = claims(Method::Reset, Some(UID));
    old.epoch = 4;
    let token = token::sign(&key(), &old);
    let answer = executor.request(Verb::POST, &routes::reset(UID), Some(&token), Vec::new()).await;
    assert_eq!(answer.refusal(), (403, "OldEpoch".to_owned(), None));
    assert_eq!(executor.put_as(NEXT, &python("print(2)"), &[]).await.refusal().0, 409);
}

#[tokio::test]
async fn where_something_may_be_left_nothing_runs_any_more() {
    let executor = Executor::start().await;
    let runs = executor.dir.path().join("state/runs");
    let hides = format!("import os\nos.rename('{0}', '{0}-1')\nos.symlink('/', '{0}')", runs.display());
    executor.run(&hides).await.ok();
    executor.acknowledge(UID).await;
    let (status, code, _) = executor.reset(UID).await.refusal();
    assert_eq!((status, code.as_str()), (409, "Occupied"));
    assert_eq!(executor.put_as(NEXT, &python("print(2)"), &[]).await.refusal().0, 409);
    assert!(executor.log.lock().iter().any(|line| line.contains("not used again")), "it says why");
}

#[tokio::test]
async fn the_last_words_after_a_reset_are_those_of_the_last_execution() {
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("words");
    fs::write(&log, "").unwrap();
    let path = log.clone();
    let executor = Executor::spawn(dir, move |command| {
        command.arg("--termination-log").arg(path);
    });
    executor.ready().await;
    run(&executor, UID, &format!("open({:?}, 'w').write('lies')", log.display().to_string())).await;
    assert_eq!(executor.reset(UID).await.status, 204);
    let words = TerminationMessage::parse(&fs::read_to_string(log).unwrap()).unwrap();
    assert_eq!(words.execution_uid.as_deref(), Some(UID));
}

#[tokio::test]
async fn an_executor_in_the_state_directory_of_one_that_was_reset_does_not_start() {
    let mut executor = Executor::start().await;
    run(&executor, UID, "print(1)").await;
    assert_eq!(executor.reset(UID).await.status, 204);
    executor.close_lifeline();
    executor.exit_code().await;
    let dir = std::mem::replace(&mut executor.dir, TempDir::new().unwrap());
    let output = Executor::command(&dir).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("started once"), "{output:?}");
}
