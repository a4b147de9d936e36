//! Operators that end, stop and wake up: each program starts at most once, and every execution ends.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on shall stop with the reason"
)]

use std::{future::ready, time::Duration};

use e2e::{Cluster, Counter, Process, eventually, kubectl::execution, machine::Silent};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Programs that are running, and programs that wait, when it happens.
const COUNT: usize = 8;

/// What makes `env` start a program with another clock. Debian's package is `faketime`.
fn preload() -> String {
    let found = ["x86_64", "aarch64"]
        .map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|file| std::path::Path::new(file).exists());
    format!("LD_PRELOAD={}", found.expect("libfaketime: apt-get install faketime"))
}

struct Bed {
    cluster: Cluster,
    leader: Process,
    counter: Counter,
    names: Vec<String>,
}

/// A leader with running and waiting programs.
async fn bed() -> Bed {
    let (cluster, leader) = Cluster::start(&json!({"replicas": 2, "maxPods": 4})).await;
    let counter = Counter::start();
    let create = |at: usize| {
        let code = counter.program(&format!("p{at}"), 4.0);
        cluster.kubectl().create(&execution(&json!({ "code": code })))
    };
    let names: Vec<String> = (0..COUNT).map(create).collect();
    eventually("a program to start", async || {
        ((0..COUNT).any(|at| counter.starts(&format!("p{at}")) > 0)).then_some(())
    })
    .await;
    Bed { cluster, leader, counter, names }
}

impl Bed {
    /// Every execution ends; nothing was started twice, and what completed was started once.
    fn check(&self, least_completed: usize) {
        let mut completed = 0;
        for (at, name) in self.names.iter().enumerate() {
            let kubectl = self.cluster.kubectl();
            let target = format!("cex/{name}");
            let _ = kubectl.run(&["wait", "--for=condition=Finished", &target, "--timeout=180s"], "");
            let status: Value = kubectl.get("cex", name)["status"].clone();
            let starts = self.counter.starts(&format!("p{at}"));
            match status["reason"].as_str().unwrap_or_default() {
                "Completed" => {
                    completed += 1;
                    assert_eq!((starts, &status["stdout"]["text"]), (1, &json!("done\n")), "{status:#}");
                }
                "Lost" => assert!(starts <= 1, "{name} was started {starts} times"),
                _ => panic!("{status:#}"),
            }
        }
        assert!(completed >= least_completed, "only {completed} of {COUNT} completed");
    }

    /// Stops the executor of a pod that runs a program, and the leader for ever, and waits for the next one.
    async fn silence_one_and_change_the_leader(&mut self) -> (Silent, Process) {
        let kubectl = self.cluster.kubectl();
        let silent = eventually("a program that is shown as running, and its executor", async || {
            // The one that was started last has most of its time before it.
            let shown = kubectl.list(&["cex"]);
            let running =
                shown.iter().map(|run| &run["status"]).filter(|status| status["phase"] == "Running");
            let last = running.max_by_key(|status| status["startTime"].as_str())?;
            Silent::stop(last["podName"].as_str()?)
        })
        .await;
        let old = self.holder();
        self.leader.kill();
        let next = self.cluster.operator(&[]);
        self.await_other_holder(&old).await;
        (silent, next)
    }

    fn holder(&self) -> String {
        let system = self.cluster.system();
        let path = "jsonpath={.items[*].spec.holderIdentity}";
        self.cluster.kubectl().run(&["get", "lease", "-n", &system, "-o", path], "")
    }

    async fn await_other_holder(&self, old: &str) {
        eventually("another leader", async || {
            let now = self.holder();
            (!now.is_empty() && now != old).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_killed_leader_is_followed_and_nothing_runs_twice() {
    let mut bed = bed().await;
    let old = bed.holder();
    let _standby = bed.cluster.operator(&[]);
    bed.leader.kill();
    bed.await_other_holder(&old).await;
    bed.check(COUNT);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_leader_that_slept_through_its_lease_starts_nothing_when_it_wakes() {
    let mut bed = bed().await;
    let old = bed.holder();
    let _standby = bed.cluster.operator(&[]);
    bed.leader.signal(Signal::SIGSTOP);
    bed.await_other_holder(&old).await;
    bed.leader.signal(Signal::SIGCONT);
    bed.check(COUNT);
    assert_ne!(bed.holder(), old, "it does not take the lease back while the other one holds it");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_lease_that_is_deleted_starts_nothing_twice() {
    let mut bed = bed().await;
    let mut standby = bed.cluster.operator(&[]);
    for _ in 0..2 {
        let (old, system) = (bed.holder(), bed.cluster.system());
        let _ = bed.cluster.kubectl().run(&["delete", "lease", "-n", &system, "--all"], "");
        eventually("another leader", || {
            // A leader that has lost its lease ends, and whoever runs it starts it again, as a cluster does.
            for operator in [&mut bed.leader, &mut standby] {
                if operator.has_ended() {
                    *operator = bed.cluster.operator(&[]);
                }
            }
            let now = bed.holder();
            ready((!now.is_empty() && now != old).then_some(()))
        })
        .await;
    }
    bed.check(COUNT);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_leader_with_another_clock_starts_nothing_and_loses_nothing() {
    let mut bed = bed().await;
    let old = bed.holder();
    bed.leader.kill();
    let mut skewed = bed.cluster.operator(&["env", &preload(), "FAKETIME=+40s"]);
    bed.await_other_holder(&old).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let before: usize = (0..COUNT).map(|at| bed.counter.starts(&format!("p{at}"))).sum();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let after: usize = (0..COUNT).map(|at| bed.counter.starts(&format!("p{at}"))).sum();
    assert_eq!(before, after, "no pod takes a program from it: {}", skewed.log());
    let other = bed.holder();
    skewed.kill();
    let _next = bed.cluster.operator(&[]);
    bed.await_other_holder(&other).await;
    bed.check(1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_pod_that_is_silent_for_ever_loses_its_program_and_nothing_runs_twice() {
    let mut bed = bed().await;
    let _both = bed.silence_one_and_change_the_leader().await;
    bed.check(1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_pod_that_answers_again_in_time_loses_nothing() {
    let mut bed = bed().await;
    let (silent, _next) = bed.silence_one_and_change_the_leader().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    silent.answer();
    bed.check(COUNT);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_silent_pod_that_is_killed_loses_its_own_program_only() {
    let mut bed = bed().await;
    let (silent, _next) = bed.silence_one_and_change_the_leader().await;
    drop(silent);
    bed.check(COUNT - 1);
}
