//! A pod that waits for longer than its pool allows. Nothing that other tests stop matters to it.

use e2e::in_time;
use serde_json::json;

use crate::{pools::pool, shared::apart};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn an_idle_pod_that_has_become_old_is_replaced() {
    let addon = apart().await;
    let kubectl = addon.tenant("b");
    let mut aging = pool("aging", 1, &json!({}));
    aging["spec"]["maxPodAgeSeconds"] = 60.into();
    let _ = kubectl.create(&aging);
    let only_pod = async || {
        let pods = kubectl.list(&["pods", "-l", "carrel.dev/pool=aging"]);
        let ready = kubectl.get("sbp", "aging")["status"]["readyReplicas"] == 1;
        (ready && pods.len() == 1).then(|| pods[0]["metadata"]["uid"].clone())
    };
    let first = in_time("a pod", only_pod).await;
    in_time("another pod", async || only_pod().await.filter(|uid| *uid != first)).await;
    let _ = kubectl.run(&["delete", "sbp", "aging"], "");
}
