//! A leading operator and a front that are killed without a word, while programs run and wait.

use e2e::{Addon, Counter, in_time, machine::crash};
use serde_json::json;

use crate::{
    batch::{Batch, await_all_ended, in_flight},
    shared::{MOST, alone},
};

/// The pod of the operator that leads: its name, and a text of this process alone.
fn holder(addon: &Addon) -> String {
    let path = "jsonpath={.spec.holderIdentity}";
    addon.admin().run(&["get", "lease", "carrel-operator", "-o", path], "")
}

/// The pod that an identity names; what follows is a UUID.
fn pod_of(holder: &str) -> String {
    holder.split('-').rev().skip(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("-")
}

/// Ends a program as a crash does, or its pod where the node is another machine.
fn kill(addon: &Addon, program: &str, pod: &str) {
    if !crash(program, pod) {
        println!("{pod} is on another machine: the pod is deleted");
        let _ = addon.admin().run(&["delete", "pod", pod, "--grace-period=0", "--force", "--wait=false"], "");
    }
}

/// Both pods of a component are ready again.
async fn await_both(addon: &Addon, part: &str) {
    in_time("both pods to be ready", async || (addon.pods(part).len() == 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_leader_that_is_killed_under_load_loses_nothing_and_runs_nothing_twice() {
    let addon = alone().await;
    await_both(&addon, "operator").await;
    let counter = Counter::start();
    let door = addon.door("a").await;
    let requests = in_flight(&[&door; MOST / 2], &counter, 8.0).await;
    let batch = Batch::create(addon.tenant("a"), &counter, MOST, 2.0);
    batch.await_started(1).await;
    let old = holder(&addon);
    kill(&addon, "carrel-operator", &pod_of(&old));
    in_time("another leader", async || {
        let now = holder(&addon);
        (!now.is_empty() && now != old).then_some(())
    })
    .await;
    batch.check();
    for request in requests {
        let name = request.name.clone();
        request.check().await;
        assert_eq!(counter.starts(&name), 1, "{name}");
    }
    await_both(&addon, "operator").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_front_that_is_killed_under_load_loses_no_execution_and_the_other_one_serves() {
    let addon = alone().await;
    await_both(&addon, "shim").await;
    let pods = addon.pods("shim");
    let doors = [&pods[0], &pods[1]].map(|(_, ip)| addon.door_of_pod("a", ip));
    let counter = Counter::start();
    let mut requests = in_flight(&[&doors[0], &doors[1], &doors[0], &doors[1]], &counter, 6.0).await;
    kill(&addon, "carrel-api-shim", &pods[0].0);
    let hello = doors[1].execute(&json!({"source_code": "print('hello')"})).await;
    assert_eq!(hello["stdout"], "hello\n", "the other front serves on: {hello}");
    let names: Vec<String> = requests.iter().map(|request| request.name.clone()).collect();
    while !requests.is_empty() {
        let broken = requests.remove(0).answer().await;
        assert!(broken.is_err(), "the killed front has answered: {broken:?}");
        requests.remove(0).check().await;
    }
    await_all_ended(addon.tenant("a")).await;
    let objects = addon.tenant("a").list(&["cex"]);
    for name in names {
        let found = objects.iter().find(|o| o["spec"]["code"].as_str().is_some_and(|c| c.contains(&name)));
        let status = &found.unwrap_or_else(|| panic!("no execution of {name}"))["status"];
        assert_eq!(status["reason"], "Completed", "{status:#}");
        assert_eq!(counter.starts(&name), 1, "{name}");
    }
    await_both(&addon, "shim").await;
    let door = addon.door("a").await;
    in_time("the Service to leave the dead one out", async || {
        let answer = door.post("/v1/execute", &json!({"source_code": "1"})).await;
        answer.is_ok_and(|answer| answer.status == 200).then_some(())
    })
    .await;
}

#[test]
fn an_identity_is_a_pod_and_a_uuid() {
    let identity = "carrel-operator-5d9c-x7x2-6f1e2c9a-3b1d-4c55-9d2e-0a1b2c3d4e5f";
    assert_eq!(pod_of(identity), "carrel-operator-5d9c-x7x2");
}
