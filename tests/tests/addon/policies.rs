//! What the admission policies of the chart refuse, to admins as to everybody.

use e2e::in_time;
use serde_json::{Value, json};

use crate::{batch::running, pools::pool, shared::together};

/// A pod that Pod Security allows, and that is no sandbox.
fn restricted_pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "executor", "image": "localhost/any:1",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn pods_that_are_no_sandboxes_are_refused() {
    let addon = together().await;
    let admin = addon.tenant("a");
    let said = admin.fail(&["create", "-f", "-"], &restricted_pod().to_string());
    assert!(said.contains("only Carrel's operator makes pods here"), "{said}");
    let mut privileged = restricted_pod();
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    let said = admin.fail(&["create", "-f", "-"], &privileged.to_string());
    assert!(said.contains("forbidden"), "{said}");

    // Under the name of the operator the shape still counts.
    let operator = format!("system:serviceaccount:{}:carrel-operator", addon.system());
    let operator = admin.acting_as(&operator);
    let said = operator.fail(&["create", "-f", "-"], &restricted_pod().to_string());
    assert!(said.contains("a sandbox belongs to a SandboxPool"), "{said}");
    let said = operator.fail(&["create", "-f", "-"], &privileged.to_string());
    assert!(said.contains("forbidden"), "{said}");

    let said =
        admin.run(&["get", "pods", "--no-headers", "-l", "!carrel.dev/pool", "--ignore-not-found"], "");
    assert_eq!(said, "", "pods that belong to no pool");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn nobody_enters_a_running_sandbox_with_a_container_for_debugging() {
    let addon = together().await;
    let admin = addon.tenant("b");
    let name = admin.create(&e2e::kubectl::execution(&json!({"code": "import time; time.sleep(600)"})));
    let pod = running(admin, &name)["metadata"]["name"].as_str().expect("a name").to_owned();
    let said = admin.fail(&["debug", &pod, "--image=localhost/carrel-test:1", "--profile=restricted"], "");
    assert!(said.contains("only Carrel's operator makes pods here"), "{said}");
    let cancel = r#"{"spec":{"cancel":true}}"#;
    let _ = admin.run(&["patch", "cex", &name, "--type=merge", "-p", cancel], "");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_sandbox_gets_no_other_image_and_no_other_pool_and_other_marks_it_may_get() {
    let addon = together().await;
    let admin = addon.tenant("b");
    let _ = admin.create(&pool("still", 1, &json!({})));
    let pod = in_time("a pod", async || {
        let pods = admin.list(&["pods", "-l", "carrel.dev/pool=still"]);
        pods.first().and_then(|pod| pod["metadata"]["name"].as_str().map(str::to_owned))
    })
    .await;
    for args in
        [["set", "image", "executor=localhost/any:1"], ["label", "--overwrite", "carrel.dev/pool=default"]]
    {
        let [verb, word, change] = args;
        let target = format!("pod/{pod}");
        let said = admin.fail(&[verb, word, &target, change], "");
        assert!(said.contains("only Carrel's operator makes pods here"), "{args:?}: {said}");
    }
    let _ = admin.run(&["annotate", "pod", &pod, "e2e/note=seen"], "");
    let _ = admin.run(&["delete", "sbp", "still"], "");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn only_the_front_says_whose_an_execution_is() {
    let addon = together().await;
    for kind in ["CodeExecution", "SandboxFile"] {
        let spec = match kind {
            "CodeExecution" => json!({"code": "1", "scope": "alice"}),
            _ => json!({"fileName": "f", "source": {"inline": "x"}, "scope": "alice"}),
        };
        let object = json!({
            "apiVersion": "carrel.dev/v1alpha1", "kind": kind, "metadata": {"generateName": "of-alice-"},
            "spec": spec,
        });
        let said = addon.tenant("a").fail(&["create", "-f", "-"], &object.to_string());
        assert!(said.contains("spec.scope is set by the HTTP front only"), "{said}");
    }
}
