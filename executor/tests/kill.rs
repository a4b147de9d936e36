//! Nothing of a program survives it: not at its end, not at the deadline, not after a cancel, and not
//! the executor's own end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use axum::{body::Body, http::Method as Verb};
use common::{Executor, UID, body, is_alive, pids, python, signed};
use nix::sys::signal::Signal;
use protocol::{End, Method, routes};

/// Detaches a process that ignores what can be ignored, forks again under way, and would write a file.
/// The file `pids` names everything that was started.
const DETACH: &str = r"
import os, signal, sys, time
def detach():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            if os.fork() == 0:
                os.setsid()
            with open('started', 'a') as f: f.write(f'{os.getpid()}\n')
            while True:
                time.sleep(0.01)
                open('late-' + str(time.time_ns()), 'w').close()
        os._exit(0)
    os.wait()
detach()
while not os.path.exists('started') or open('started').read().count('\n') < 2: time.sleep(0.002)
text = open('started').read() + str(os.getpid()) + '\n'
open('pids.new', 'w').write(text)
os.rename('pids.new', 'pids')
";

fn late_files(executor: &Executor) -> usize {
    let names = std::fs::read_dir(executor.workspace()).unwrap();
    names.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("late-")).count()
}

async fn start(executor: &Executor, code: &str, timeout_milliseconds: u64) -> Vec<i32> {
    let mut request = python(code);
    request.timeout_milliseconds = timeout_milliseconds;
    let token = signed(Method::Execute, Some(UID));
    let body = Body::from(body(&request, &[]));
    drop(executor.open(Verb::PUT, &routes::execution(UID), Some(&token), body).await);
    pids(&executor.wait_for_file("pids").await)
}

async fn nothing_is_left(executor: &Executor, pids: &[i32]) {
    assert_eq!(pids.len(), 3);
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "alive: {pids:?}");
    let files = late_files(executor);
    // Several of the writers' turns.
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(late_files(executor), files);
}

#[tokio::test]
async fn what_detached_itself_is_killed_when_the_program_ends() {
    let executor = Executor::start().await;
    let pids = start(&executor, DETACH, 50_000).await;
    let outcome = executor.attach(UID).await.ok().outcome();
    nothing_is_left(&executor, &pids).await;
    assert!(outcome.files.iter().any(|file| file.path == "started"));
}

#[tokio::test]
async fn what_detached_itself_is_killed_at_the_deadline_and_files_so_far_are_returned() {
    let executor = Executor::start().await;
    let code = format!("{DETACH}\nprint('so far', flush=True)\nwhile True: pass");
    let pids = start(&executor, &code, 3000).await;
    let answer = executor.attach(UID).await;
    assert_eq!(answer.end(), End::TimedOut);
    assert_eq!(answer.stdout(), "so far\n");
    nothing_is_left(&executor, &pids).await;
    let outcome = answer.outcome();
    assert!(outcome.timings.run_milliseconds >= 3000);
    assert!(outcome.files.iter().any(|file| file.path == "started"));
}

#[tokio::test]
async fn what_detached_itself_is_killed_at_a_cancel() {
    let executor = Executor::start().await;
    let pids = start(&executor, &format!("{DETACH}\nwhile True: time.sleep(1)"), 50_000).await;
    assert_eq!(executor.cancel(UID).await.status, 202);
    assert_eq!(executor.attach(UID).await.end(), End::Cancelled);
    nothing_is_left(&executor, &pids).await;
    // A second cancel changes nothing.
    assert_eq!(executor.cancel(UID).await.status, 202);
    assert_eq!(executor.attach(UID).await.end(), End::Cancelled);
}

#[tokio::test]
async fn a_stopped_program_and_one_that_ignores_signals_meet_the_deadline() {
    for code in [
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "import signal\nfor n in range(1, 65):\n  try: signal.signal(n, signal.SIG_IGN)\n  \
         except (OSError, ValueError): pass\nwhile True: pass",
    ] {
        let executor = Executor::start().await;
        let mut request = python(code);
        request.timeout_milliseconds = 300;
        assert_eq!(executor.put(&request).await.end(), End::TimedOut);
    }
}

#[tokio::test]
async fn a_background_child_that_holds_stdout_does_not_delay_the_answer() {
    let executor = Executor::start().await;
    let code = "import subprocess\np = subprocess.Popen(['sleep', '40'])\nprint(p.pid)";
    let began = Instant::now();
    let answer = executor.run(code).await.ok();
    assert!(began.elapsed() < Duration::from_secs(40));
    assert!(!is_alive(pids(&answer.stdout())[0]));
}

#[tokio::test]
async fn programs_that_keep_forking_are_all_killed() {
    let executor = Executor::start().await;
    // Each process replaces itself by a child and dies: at no time does a process id stay valid.
    let code = "import os, time\nopen('pids', 'w').write('0\\n')\n\
                def hop():\n  while True:\n    if os.fork(): os._exit(0)\n    os.setsid()\n\
                for _ in range(8):\n  if os.fork() == 0: hop()\n\
                time.sleep(60)";
    start(&executor, code, 50_000).await;
    assert_eq!(executor.cancel(UID).await.status, 202);
    assert_eq!(executor.attach(UID).await.end(), End::Cancelled);
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", executor.pid())).unwrap();
    assert_eq!(children, "");
    assert!(!executor.log.lock().iter().any(|line| line.contains("could not be killed")));
}

#[tokio::test]
async fn the_executor_lives_on_after_killing_everything() {
    let executor = Executor::start().await;
    start(&executor, &format!("{DETACH}\nwhile True: pass"), 50_000).await;
    executor.cancel(UID).await;
    executor.attach(UID).await;
    assert_eq!(executor.acknowledge(UID).await.status, 204);
    assert!(executor.inventory().await.runs.is_empty());
}

#[tokio::test]
async fn orphans_that_die_during_a_run_are_reaped() {
    let executor = Executor::start().await;
    let code = "import os, time\nfor _ in range(50):\n  if os.fork() == 0:\n    \
                if os.fork() == 0: os._exit(0)\n    os._exit(0)\n  os.wait()\n\
                open('pids', 'w').write('0\\n')\ntime.sleep(60)";
    start(&executor, code, 50_000).await;
    let children = format!("/proc/{0}/task/{0}/children", executor.pid());
    // Only the program itself remains.
    executor
        .until(async || std::fs::read_to_string(&children).unwrap().split_whitespace().count() == 1)
        .await;
    executor.cancel(UID).await;
}

#[tokio::test]
async fn the_end_of_the_lifeline_is_the_end_of_everything() {
    let mut executor = Executor::start().await;
    let pids = start(&executor, &format!("{DETACH}\nwhile True: pass"), 50_000).await;
    executor.close_lifeline();
    assert_eq!(executor.exit_code().await, Some(0));
    nothing_is_left(&executor, &pids).await;
}

#[tokio::test]
async fn a_program_dies_with_a_killed_executor() {
    let mut executor = Executor::start().await;
    let code = "import os, time\nopen('new', 'w').write(f'{os.getpid()}\\n')\nos.rename('new', 'pids')\ntime.sleep(60)";
    let pids = start(&executor, code, 50_000).await;
    executor.signal(Signal::SIGKILL);
    executor.exit_code().await;
    executor.until(async || !is_alive(pids[0])).await;
}
