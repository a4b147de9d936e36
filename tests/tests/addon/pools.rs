//! Pools that grow and shrink, and pools that cannot have their pods.

use std::time::Instant;

use e2e::{Counter, Kubectl, in_time, kubectl::execution};
use serde_json::{Value, json};

use crate::{batch::Batch, shared::together};

pub(crate) fn pool(name: &str, replicas: u32, template: &Value) -> Value {
    let mut template = template.clone();
    template["resources"] =
        json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}});
    json!({
        "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": name},
        "spec": {"replicas": replicas, "maxPods": 4, "template": template},
    })
}

/// Its status without a sandbox; it is given up at once, not when its time to start is over.
fn refused_at_once(kubectl: &Kubectl, pool: &str) -> Value {
    let spec = json!({"code": "1", "poolRef": {"name": pool}, "startDeadlineSeconds": 60});
    let (start, name) = (Instant::now(), kubectl.create(&execution(&spec)));
    let wait = ["wait", "--for=condition=Finished", &format!("cex/{name}"), "--timeout=50s"];
    let _ = kubectl.run(&wait, "");
    println!("it was refused after {:.1} s", start.elapsed().as_secs_f64());
    kubectl.get("cex", &name)["status"].clone()
}

/// Waits for the event of a pool.
async fn await_event(kubectl: &Kubectl, pool: &str, reason: &str) {
    let selector = format!("involvedObject.kind=SandboxPool,involvedObject.name={pool}");
    in_time("an event of the pool", async || {
        let events = kubectl.list(&["events", "--field-selector", &selector]);
        events.iter().any(|event| event["reason"] == reason).then_some(())
    })
    .await;
}

pub(crate) fn degraded(kubectl: &Kubectl, pool: &str) -> String {
    let wait = ["wait", "--for=condition=Degraded", &format!("sbp/{pool}"), "--timeout=60s"];
    let _ = kubectl.run(&wait, "");
    let conditions = kubectl.get("sbp", pool)["status"]["conditions"].clone();
    let mut all = conditions.as_array().into_iter().flatten();
    let found = all.find(|condition| condition["type"] == "Degraded").expect("the condition");
    found["reason"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_pool_follows_kubectl_scale_from_nothing_and_back() {
    let addon = together().await;
    let kubectl = addon.tenant("b");
    let _ = kubectl.create(&pool("scaled", 0, &json!({})));
    for count in ["3", "0"] {
        let _ = kubectl.run(&["scale", "sandboxpool", "scaled", "--replicas", count], "");
        in_time("the pool to have as many pods as it should", async || {
            let status = kubectl.get("sbp", "scaled")["status"].clone();
            let selector = status["selector"].as_str()?.to_owned();
            let pods = kubectl.list(&["pods", "-l", &selector]).len();
            let ready = status["readyReplicas"].as_u64().unwrap_or_default();
            (ready.to_string() == count && pods.to_string() == count).then_some(())
        })
        .await;
    }
    let _ = kubectl.run(&["delete", "sbp", "scaled"], "");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_pool_whose_image_is_missing_says_so_everywhere() {
    let addon = together().await;
    let kubectl = addon.tenant("b");
    let _ = kubectl.create(&pool("imageless", 1, &json!({"image": "registry.invalid/absent:1"})));
    assert_eq!(degraded(kubectl, "imageless"), "ImageUnavailable");
    await_event(kubectl, "imageless", "ImageUnavailable").await;
    let status = refused_at_once(kubectl, "imageless");
    assert_eq!(
        (&status["reason"], &status["failure"]["cause"], &status["failure"]["field"]),
        (&json!("CapacityUnavailable"), &json!("CannotStart"), &json!("poolRef.name")),
        "{status:#}"
    );
    let _ = kubectl.run(&["delete", "sbp", "imageless"], "");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_tenant_whose_quota_is_used_up_is_told_at_once() {
    let addon = together().await;
    let (kubectl, counter) = (addon.tenant("small"), Counter::start());
    let batch = Batch::create(kubectl, &counter, 2, 600.0);
    batch.await_started(2).await;
    assert_eq!(degraded(kubectl, "default"), "Quota");
    await_event(kubectl, "default", "Quota").await;
    let status = refused_at_once(kubectl, "default");
    assert_eq!(
        (&status["reason"], &status["failure"]["cause"]),
        (&json!("CapacityUnavailable"), &json!("QuotaExceeded")),
        "{status:#}"
    );
    for at in 0..2 {
        let patch = ["patch", "cex", &batch.program(at), "--type=merge", "-p", r#"{"spec":{"cancel":true}}"#];
        let _ = kubectl.run(&patch, "");
    }
    for object in batch.ended() {
        assert_eq!(object["status"]["reason"], "Cancelled", "{object:#}");
    }
    // What is free again is used again, without anybody's help.
    let wait = ["wait", "--for=condition=Degraded=False", "sbp/default", "--timeout=120s"];
    let _ = kubectl.run(&wait, "");
    addon.await_pools();
}
