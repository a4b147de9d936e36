//! Sandboxes that are deleted, and sandboxes that have no memory left, while their program runs.

use e2e::{Counter, in_time, kubectl::execution};
use serde_json::json;

use crate::{
    batch::{check_completed, create_one, finished, running},
    shared::{WARM, together},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_sandbox_that_is_told_to_go_lets_its_program_finish() {
    let addon = together().await;
    let (kubectl, counter) = (addon.tenant("a"), Counter::start());
    let name = create_one(kubectl, &counter, "graceful", 8.0);
    let pod = running(kubectl, &name);
    let pod = pod["metadata"]["name"].as_str().expect("a name");
    let _ = kubectl.run(&["delete", "pod", pod, "--wait=false"], "");
    check_completed(&finished(kubectl, &name, 60));
    assert_eq!(counter.starts("graceful"), 1);
    let gone = ["wait", "--for=delete", &format!("pod/{pod}"), "--timeout=60s"];
    let _ = kubectl.run(&gone, "");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_sandbox_that_is_taken_away_ends_its_execution_as_lost_and_is_replaced() {
    let addon = together().await;
    let (kubectl, counter) = (addon.tenant("a"), Counter::start());
    let name = create_one(kubectl, &counter, "forced", 300.0);
    let pod = running(kubectl, &name);
    let pod = pod["metadata"]["name"].as_str().expect("a name");
    let _ = kubectl.run(&["delete", "pod", pod, "--grace-period=0", "--force"], "");
    let status = finished(kubectl, &name, 120);
    assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("Lost")), "{status:#}");
    assert_eq!(counter.starts("forced"), 1);
    in_time("the pool to be full again", async || {
        let ready = kubectl.get("sbp", "default")["status"]["readyReplicas"].as_u64();
        (ready == Some(WARM as u64)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_program_that_takes_all_memory_ends_as_out_of_memory() {
    let addon = together().await;
    let greedy = "print('begin', flush=True)\nall = []\nwhile True: all.append(bytearray(1 << 24))";
    let name = addon.tenant("a").create(&execution(&json!({"code": greedy})));
    let status = finished(addon.tenant("a"), &name, 120);
    assert_eq!(
        (&status["phase"], &status["reason"]),
        (&json!("Failed"), &json!("OutOfMemory")),
        "{status:#}"
    );
    let answer = addon.door("a").await.execute(&json!({"source_code": greedy})).await;
    assert_eq!(answer["exit_code"], -1, "{answer}");
}
