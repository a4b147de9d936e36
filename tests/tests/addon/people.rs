//! What the roles of the chart let people do, in one tenant and in another.

use e2e::{Addon, Kubectl, in_time, kubectl::execution};
use serde_json::json;

use crate::{batch::finished, shared::together};

/// Binds a `ClusterRole` to a person in a tenant, and gives kubectl as that person.
fn bind(addon: &Addon, tenant: &str, role: &str, user: &str) -> Kubectl {
    let kubectl = addon.tenant(tenant);
    let role = format!("--clusterrole={role}");
    let _ = kubectl.run(&["create", "rolebinding", user, &role, &format!("--user={user}")], "");
    kubectl.acting_as(user)
}

/// What kubectl says of a right.
fn may(kubectl: &Kubectl, verb: &str, kind: &str) -> bool {
    kubectl.output(&["auth", "can-i", verb, kind, "--quiet"], "").status.success()
}

/// Rights of a new binding, and those that roles take from others, come a moment later.
async fn await_right(kubectl: &Kubectl, verb: &str, kind: &str) {
    in_time("a right", async || may(kubectl, verb, kind).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn who_may_edit_runs_code_and_who_may_view_does_not_even_read_it() {
    let addon = together().await;
    let own = |role: &str| format!("{}-carrel-{role}", addon.system());
    let editor = bind(&addon, "a", "edit", "editor");
    await_right(&editor, "create", "codeexecutions").await;
    let name = editor.create(&execution(&json!({"code": "print('mine')"})));
    assert_eq!(finished(&editor, &name, 60)["stdout"]["text"], "mine\n");
    assert!(!may(&editor, "patch", "sandboxpools"), "a pool says how programs are isolated");
    let said = editor.fail(&["scale", "sbp", "default", "--replicas=9"], "");
    assert!(said.contains("forbidden"), "{said}");

    let reader = bind(&addon, "a", &own("viewer"), "reader");
    await_right(&reader, "get", "codeexecutions").await;
    assert_eq!(reader.get("cex", &name)["status"]["stdout"]["text"], "mine\n");
    let said = reader.fail(&["create", "-f", "-"], &execution(&json!({"code": "1"})).to_string());
    assert!(said.contains("forbidden") && said.contains("codeexecutions"), "{said}");
    let said = reader.fail(&["delete", "cex", &name], "");
    assert!(said.contains("forbidden"), "{said}");

    let viewer = bind(&addon, "a", "view", "viewer");
    await_right(&viewer, "get", "pods").await;
    let said = viewer.fail(&["get", "cex", &name], "");
    assert!(said.contains("forbidden"), "code and output are as secret as what they are about: {said}");

    let keeper = bind(&addon, "b", &own("admin"), "keeper");
    await_right(&keeper, "patch", "sandboxpools").await;
    let _ = keeper.run(&["scale", "sbp", "default", "--replicas=1"], "");
    assert!(!may(&keeper, "create", "codeexecutions"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_person_of_one_tenant_sees_nothing_of_another() {
    let addon = together().await;
    let secret = addon.tenant("b").create(&execution(&json!({"code": "print('secret')"})));
    assert_eq!(finished(addon.tenant("b"), &secret, 60)["reason"], "Completed");
    let user = format!("{}-carrel-user", addon.system());
    let alice = bind(&addon, "a", &user, "alice");
    await_right(&alice, "create", "codeexecutions").await;
    let other = addon.namespace("b");
    for args in [
        &["get", "cex", &secret, "-n", other][..],
        &["get", "cex", "-n", other],
        &["get", "cex,sbf,sbp", "--all-namespaces"],
        &["get", "secrets", "-n", addon.system()],
        &["logs", "-n", addon.system(), "deployment/carrel-operator"],
        &["delete", "cex", &secret, "-n", other],
    ] {
        let said = alice.fail(args, "");
        assert!(said.to_lowercase().contains("forbidden"), "{args:?}: {said}");
    }
    let object = execution(&json!({"code": "print(1)"})).to_string();
    let said = alice.fail(&["create", "-n", other, "-f", "-"], &object);
    assert!(said.contains("forbidden"), "{said}");
    // A reference never leaves its namespace: the same name is somebody else's, or nobody's.
    let body = json!({"code": "1", "files": [{"path": "f", "source": {"fileRef": {"name": secret}}}]});
    let name = alice.create(&execution(&body));
    assert_eq!(finished(&alice, &name, 60)["reason"], "FileUnavailable");
}
