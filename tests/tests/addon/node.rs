//! A node that is drained, and an API server that goes away.

use std::{collections::HashSet, path::Path, process::Command};

use e2e::{Addon, Cluster, Counter, Kubectl, in_time};
use serde_json::Value;

use crate::{
    batch::{Batch, await_all_ended, check_completed, create_one, finished, in_flight, running},
    shared::{MOST, nobody_else},
};

/// Lets the node take pods again, whatever happens.
struct Cordoned<'a> {
    kubectl: &'a Kubectl,
    node: String,
}

impl Drop for Cordoned<'_> {
    fn drop(&mut self) {
        let _ = self.kubectl.output(&["uncordon", &self.node], "");
    }
}

fn uids(pods: &[Value]) -> HashSet<String> {
    pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_drained_node_lets_programs_finish_and_is_filled_again_when_it_is_back() {
    let addon = nobody_else().await;
    let (kubectl, counter) = (addon.tenant("a"), Counter::start());
    let name = create_one(kubectl, &counter, "drained", 12.0);
    let pod = running(kubectl, &name);
    let node = pod["spec"]["nodeName"].as_str().expect("a node").to_owned();
    let here = ["pods", "-l", "carrel.dev/pool", "--field-selector", &format!("spec.nodeName={node}")];
    let before = uids(&kubectl.list(&here));
    let cordoned = Cordoned { kubectl: addon.admin(), node };
    // The one node of a small cluster has operator and front too, so only sandboxes are asked to leave.
    let _ = addon.admin().run(
        &[
            "drain",
            &cordoned.node,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--force",
            "--pod-selector=carrel.dev/pool",
            "--timeout=120s",
        ],
        "",
    );
    check_completed(&finished(kubectl, &name, 60));
    assert_eq!(counter.starts("drained"), 1);
    let after = uids(&kubectl.list(&here));
    assert!(before.is_disjoint(&after), "pods that have stayed: {:?}", before.intersection(&after));
    drop(cordoned);
    addon.await_pools();
}

/// Kills the API server and starts it again; false when it is not ours.
async fn crash_api_server() -> bool {
    let Some(script) = Cluster::own_script() else {
        println!("NOT TESTED: the cluster is not of this machine, so its API server is left alone");
        return false;
    };
    let run = |args: &[&str]| {
        let output = Command::new(&script).args(args).output().expect("the script of the cluster");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let process = Path::new("/proc").join(run(&["pid", "apiserver"]));
    run(&["signal", "apiserver", "KILL"]);
    in_time("the API server to end", async || (!process.exists()).then_some(())).await;
    run(&["start", "apiserver"]);
    true
}

async fn await_api(addon: &Addon) {
    in_time("the API server", async || {
        addon.admin().output(&["get", "--raw", "/readyz"], "").status.success().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn an_api_server_that_is_killed_under_load_loses_nothing_and_nothing_runs_twice() {
    let addon = nobody_else().await;
    let counter = Counter::start();
    let door = addon.door("a").await;
    let requests = in_flight(&[&door; MOST / 2], &counter, 10.0).await;
    let batch = Batch::create(addon.tenant("a"), &counter, MOST, 2.0);
    batch.await_started(1).await;
    if !crash_api_server().await {
        return;
    }
    await_api(&addon).await;
    batch.check();
    for request in requests {
        let name = request.name.clone();
        request.check().await;
        assert_eq!(counter.starts(&name), 1, "{name}");
    }
    await_all_ended(addon.tenant("a")).await;
    in_time("all of it to be ready again", async || {
        (addon.pods("operator").len() == 2 && addon.pods("shim").len() == 2).then_some(())
    })
    .await;
    addon.await_pools();
}
