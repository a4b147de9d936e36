//! Crashes in the middle: nothing is lost, nothing hangs, nothing runs twice.
//!
//! Each program appends a line to a file outside its sandbox, which works because a service without inner walls
//! does not hide it. The number of lines is the number of starts.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on shall stop with the reason")]

use std::path::Path;

use e2e::{Carrel, Options, eventually, kubectl::execution};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// A program that leaves a mark when it starts and sleeps for so many seconds.
fn marked(file: &Path, seconds: f64) -> Value {
    let code = format!(
        "import time\nopen({:?}, 'a').write('started\\n')\ntime.sleep({seconds})\nprint('done')",
        file.display().to_string()
    );
    json!({ "code": code })
}

fn starts(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

async fn await_start(file: &Path) {
    eventually("the program to start", async || (starts(file) > 0).then_some(())).await;
}

fn finished(carrel: &Carrel, name: &str) -> Value {
    let kubectl = carrel.kubectl();
    let _ = kubectl.run(&["wait", "--for=condition=Finished", &format!("cex/{name}"), "--timeout=120s"], "");
    kubectl.get("cex", name)["status"].clone()
}

/// The executors: children of the service that are called so.
fn executors(service: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(Result::ok).filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent(*pid) == Some(service)).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The executor below which `marker` is in some command line or environment: the one that runs the program.
fn busy_executor(carrel: &Carrel) -> Option<i32> {
    executors(carrel.pid()).into_iter().find(|executor| !executors(*executor).is_empty())
}

#[tokio::test]
async fn an_executor_killed_in_the_middle_ends_the_execution_as_lost_and_runs_it_once() {
    let carrel = Carrel::start();
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let name = carrel.kubectl().create(&execution(&marked(&mark, 30.0)));
    await_start(&mark).await;
    let executor = busy_executor(&carrel).expect("an executor with a program");
    let program = executors(executor);
    kill(Pid::from_raw(executor), Signal::SIGKILL).unwrap();
    let status = finished(&carrel, &name);
    assert_eq!(status["reason"], "Lost", "{status:#}");
    assert_eq!(starts(&mark), 1);
    eventually("the program to be gone", async || {
        program.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_killed_in_the_middle_loses_no_object_and_runs_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let mut carrel = Carrel::start_in(dir.path(), &Options::default());
    let done = carrel.kubectl().execute(&json!({"code": "print('before')"}));
    let running = carrel.kubectl().create(&execution(&marked(&mark, 30.0)));
    await_start(&mark).await;
    carrel.kill();
    let carrel = Carrel::start_in(dir.path(), &Options::default());
    let before = carrel.kubectl().get("cex", done["metadata"]["name"].as_str().unwrap());
    assert_eq!(before["status"], done["status"], "a finished execution is as it was");
    let status = finished(&carrel, &running);
    assert_eq!(status["reason"], "Lost", "{status:#}");
    assert_eq!(starts(&mark), 1, "it was not started again");
    let after = carrel.kubectl().execute(&json!({"code": "print('after')"}));
    assert_eq!(after["status"]["stdout"]["text"], "after\n");
}

#[tokio::test]
async fn executions_that_waited_when_the_service_was_killed_run_once_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let marks: Vec<_> = (0..6).map(|n| dir.path().join(format!("mark{n}"))).collect();
    let one = Options { args: vec!["--warm-sandboxes".into(), "1".into()], ..Options::default() };
    let mut carrel = Carrel::start_in(dir.path(), &one);
    let names: Vec<_> = marks.iter().map(|m| carrel.kubectl().create(&execution(&marked(m, 0.2)))).collect();
    carrel.kill();
    let carrel = Carrel::start_in(dir.path(), &one);
    for (name, mark) in names.iter().zip(&marks) {
        let status = finished(&carrel, name);
        let reason = status["reason"].as_str().unwrap_or_default();
        assert!(matches!(reason, "Completed" | "Lost"), "{status:#}");
        assert!(starts(mark) <= 1, "{name} was started {} times", starts(mark));
        assert_eq!(reason == "Completed", status["stdout"]["text"] == "done\n", "{status:#}");
    }
}

#[tokio::test]
async fn every_acknowledged_object_survives_a_kill_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let off = Options { args: vec!["--warm-sandboxes".into(), "0".into()], ..Options::default() };
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut carrel = Carrel::start_in(dir.path(), &off);
        let kubectl = carrel.kubectl();
        for number in 0..4 {
            let object = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c{round}-{number}")}, "data": {"k": "v"},
            });
            acknowledged.push(kubectl.create(&object));
        }
        carrel.kill();
    }
    let carrel = Carrel::start_in(dir.path(), &off);
    let found = carrel.kubectl().run(&["get", "configmap", "-o", "name"], "");
    for name in &acknowledged {
        assert!(found.contains(&format!("configmap/{name}\n")), "{name} is gone: {found}");
    }
}

/// The processes whose command line has `word`, inside of sandboxes too.
fn processes_with(word: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).filter(|line| line.contains(word)).collect()
}

#[tokio::test]
async fn ctrl_c_ends_everything_that_was_started() {
    let mut carrel = Carrel::start();
    let dir = tempfile::tempdir().unwrap();
    // The folder's name is like no other, so it finds the processes again, in whatever sandbox they are.
    let word = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
    let mark = dir.path().join("mark");
    // A child that leaves nothing of its ancestors: another session, and a parent that has ended.
    let code = format!(
        "import os, subprocess, sys, time\n\
         if os.fork() == 0:\n  \
           os.setsid()\n  \
           if os.fork() == 0:\n    \
             os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)', '{word}'])\n  \
           os._exit(0)\n\
         os.wait()\n\
         while True:\n  \
           found = subprocess.run(['bash', '-c', 'cat /proc/[0-9]*/cmdline'], capture_output=True).stdout\n  \
           if b'time.sleep(600)\\0{word}' in found: break\n\
         open({:?}, 'a').write('started\\n')\n\
         time.sleep(600)",
        mark.display().to_string()
    );
    let _ = carrel.kubectl().create(&execution(&json!({ "code": code })));
    await_start(&mark).await;
    assert_eq!(processes_with(&word).len(), 1, "the child that detached itself");
    let mut below = executors(carrel.pid());
    below.extend(below.clone().into_iter().flat_map(executors));
    assert!(below.len() >= 2, "an executor and its program: {below:?}");
    let status = carrel.interrupt();
    assert!(status.success(), "{status}: {}", carrel.log());
    assert_eq!(processes_with(&word), Vec::<String>::new());
    eventually("all processes to be gone", async || {
        below.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    })
    .await;
}
