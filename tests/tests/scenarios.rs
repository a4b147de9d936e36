//! The life of an execution and of a pool, with the same operator in one process and on a cluster.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on shall stop with the reason"
)]

use e2e::{Carrel, Cluster, Counter, Front, eventually, kubectl::execution};
use serde_json::{Value, json};

fn finished(front: &Front, name: &str) -> Value {
    let kubectl = front.kubectl();
    let _ = kubectl.run(&["wait", "--for=condition=Finished", &format!("cex/{name}"), "--timeout=120s"], "");
    kubectl.get("cex", name)["status"].clone()
}

async fn await_phase(front: &Front, name: &str, phase: &str) {
    eventually(phase, async || (front.kubectl().get("cex", name)["status"]["phase"] == phase).then_some(()))
        .await;
}

fn a_run_ends_with_what_it_wrote(front: &Front) {
    let spec = json!({
        "code": "import sys\nprint(input())\nprint('e', file=sys.stderr)\nopen('out.txt', 'w').write('x')\nsys.exit(3)",
        "stdin": "text\n", "files": [{"path": "in.txt", "source": {"inline": "i"}}],
    });
    let object = front.kubectl().execute(&spec);
    let status = &object["status"];
    assert_eq!(
        (&status["phase"], &status["reason"]),
        (&json!("Failed"), &json!("NonZeroExit")),
        "{status:#}"
    );
    assert_eq!((&status["stdout"]["text"], &status["stderr"]["text"]), (&json!("text\n"), &json!("e\n")));
    assert_eq!(status["exitCode"], 3);
    assert_eq!(status["files"].as_array().map(Vec::len), Some(1), "{status:#}");
    let file = status["files"][0]["fileRef"]["name"].as_str().unwrap();
    assert_eq!(front.kubectl().get("sandboxfile", file)["status"]["phase"], "Ready");
}

fn a_run_past_its_deadline_keeps_what_it_wrote(front: &Front) {
    // Long enough for Python to start on a node with much else to do.
    let code = "import time\nprint('before', flush=True)\ntime.sleep(600)";
    let object = front.kubectl().execute(&json!({"code": code, "timeoutMilliseconds": 5000}));
    let status = &object["status"];
    assert_eq!(
        (&status["reason"], &status["stdout"]["text"]),
        (&json!("TimedOut"), &json!("before\n")),
        "{status:#}"
    );
}

async fn a_cancelled_run_ends(front: &Front) {
    let name = front.kubectl().create(&execution(&json!({"code": "import time; time.sleep(600)"})));
    await_phase(front, &name, "Running").await;
    let _ = front
        .kubectl()
        .run(&["patch", "cex", &name, "--type=merge", "-p", r#"{"spec":{"cancel":true}}"#], "");
    assert_eq!(finished(front, &name)["reason"], "Cancelled");
}

async fn a_finished_object_goes_after_its_time(front: &Front) {
    let name = front.kubectl().create(&execution(&json!({"code": "1", "ttlSecondsAfterFinished": 0})));
    eventually("the object to go", async || {
        let got = front.kubectl().output(&["get", "cex", &name], "");
        String::from_utf8_lossy(&got.stderr).contains("NotFound").then_some(())
    })
    .await;
}

async fn a_pool_follows_its_scale(front: &Front) {
    let kubectl = front.kubectl();
    for count in ["1", "3", "0", "2"] {
        let _ = kubectl.run(&["scale", "sandboxpool", "default", "--replicas", count], "");
        eventually("the pool to have as many pods as it should", async || {
            let ready = kubectl.run(&["get", "sbp", "default", "-o", "jsonpath={.status.readyReplicas}"], "");
            let selector = "carrel.dev/pool=default";
            let pods =
                kubectl.run(&["get", "pods", "-l", selector, "--no-headers", "--ignore-not-found"], "");
            let left = pods.lines().filter(|line| !line.contains("Terminating")).count();
            (ready == count && left.to_string() == count).then_some(())
        })
        .await;
    }
}

fn a_start_deadline_is_kept_when_there_is_no_sandbox(front: &Front) {
    let kubectl = front.kubectl();
    let _ = kubectl.create(&json!({
        "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": "none"},
        "spec": {"replicas": 0, "maxPods": 1, "template": {"nodeSelector": {"nowhere": "true"}}},
    }));
    let object =
        kubectl.execute(&json!({"code": "1", "poolRef": {"name": "none"}, "startDeadlineSeconds": 1}));
    let reason = object["status"]["reason"].as_str().unwrap_or_default();
    assert!(matches!(reason, "StartDeadlineExceeded" | "CapacityUnavailable"), "{:#}", object["status"]);
    let _ = kubectl.run(&["delete", "sandboxpool", "none"], "");
}

async fn all(front: &Front) {
    a_run_ends_with_what_it_wrote(front);
    a_run_past_its_deadline_keeps_what_it_wrote(front);
    a_cancelled_run_ends(front).await;
    a_finished_object_goes_after_its_time(front).await;
    a_pool_follows_its_scale(front).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_in_one_process() {
    all(&Carrel::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn lives_on_a_cluster() {
    let (cluster, _operator) = Cluster::start(&json!({"replicas": 2, "maxPods": 6})).await;
    all(&cluster).await;
    // The local node has no selectors to refuse.
    a_start_deadline_is_kept_when_there_is_no_sandbox(&cluster);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_run_is_found_again_by_the_next_operator() {
    let (mut cluster, mut operator) = Cluster::start(&json!({"replicas": 1, "maxPods": 2})).await;
    let counter = Counter::start();
    let name = cluster.kubectl().create(&execution(&json!({"code": counter.program("run", 20.0)})));
    eventually("the program to start", async || (counter.starts("run") > 0).then_some(())).await;
    operator.kill();
    let _next = cluster.operator(&[]);
    let status = finished(&cluster, &name);
    assert_eq!(
        (&status["reason"], &status["stdout"]["text"]),
        (&json!("Completed"), &json!("done\n")),
        "{status:#}"
    );
    assert_eq!(status["files"].as_array().map(Vec::len), Some(1), "{status:#}");
    assert_eq!(counter.starts("run"), 1);
}
