//! Another execution after one that was acknowledged: only when nothing of that one is left.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::{collections::BTreeSet, fs};

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

/// Says everything that is in the state directory, but for what is the program's own.
const LOOKS: &str = "
import hashlib, os
state, _, own, _ = os.environ['HOME'].rsplit('/', 3)
for at, folders, files in os.walk(state):
    folders[:] = [name for name in folders if name != own]
    for name in folders + files:
        path = os.path.join(at, name)
        content = hashlib.sha256(open(path, 'rb').read()).hexdigest() if name in files else None
        print(os.path.relpath(path, state), content or oct(os.stat(path).st_mode))
";

/// Leaves something in every folder of the state directory, and itself in place of every file of the runner.
const LITTERS: &str = "
state, _, own, _ = os.environ['HOME'].rsplit('/', 3)
for at, folders, files in os.walk(state):
    open(at + '/left', 'w').close()
    for name in files if at.startswith(state + '/runner') else []:
        os.unlink(os.path.join(at, name))
        open(os.path.join(at, name), 'w').write('print(\"mine now\")')
os.chmod(f'{state}/runs/{own}', 0o711)
";

#[tokio::test]
async fn the_next_program_finds_nothing_of_the_one_before() {
    let executor = Executor::start().await;
    let first = run(&executor, UID, &format!("{LOOKS}{LITTERS}")).await;
    assert!(first.contains("runner/runner.py ") && first.contains("runs 0o40755\n"), "{first}");
    assert_eq!(executor.reset(UID).await.status, 204);
    let next = run(&executor, NEXT, LOOKS).await;
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    // Nothing but the mark of the first run came to it.
    assert_eq!(sorted(&next), sorted(&format!("{first}runs/{UID} 0o40755")));
}

#[tokio::test]
async fn the_next_program_does_not_wait_for_the_runner_to_be_compiled() {
    let executor = Executor::start().await;
    let compiles = "
import os
from importlib.machinery import SourceFileLoader
class Compiled(SourceFileLoader):
    def source_to_code(self, *_): raise SystemExit(f'{self.path} is not compiled')
runner = os.environ['HOME'].rsplit('/', 3)[0] + '/runner/'
files = [name for name in os.listdir(runner) if name.endswith('.py')]
for name in files: Compiled(name, runner + name).get_code(name)
print(len(files) > 1)";
    assert_eq!(run(&executor, UID, compiles).await, "True\n");
    assert_eq!(executor.reset(UID).await.status, 204);
    assert_eq!(run(&executor, NEXT, compiles).await, "True\n");
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
