//! An installation whose users are accounts of the cluster (`tokenReview`).

use e2e::{Addon, Door, in_time};
use serde_json::json;

use crate::shared::apart;

/// What the chart asks tokens to be made for.
const AUDIENCE: &str = "carrel";

/// The right to run code, given and taken.
fn allow(addon: &Addon, tenant: &str, account: &str) {
    let role = format!("--clusterrole={}-carrel-user", addon.system());
    let account = format!("--serviceaccount={}:{account}", addon.namespace(tenant));
    let _ = addon.tenant(tenant).run(&["create", "rolebinding", "users", &role, &account], "");
}

/// A way in for an account of the tenant.
async fn door(addon: &Addon, tenant: &str, account: &str) -> Door {
    let _ = addon.tenant(tenant).output(&["create", "serviceaccount", account], "");
    let token = token(addon, tenant, account, &["--audience", AUDIENCE]);
    addon.door(tenant).await.with_token(&token)
}

fn token(addon: &Addon, tenant: &str, account: &str, audience: &[&str]) -> String {
    let args = [&["create", "token", account][..], audience].concat();
    addon.tenant(tenant).run(&args, "").trim().to_owned()
}

async fn status_of(door: &Door) -> u16 {
    door.try_execute(&json!({"source_code": "1"})).await.status
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn accounts_of_the_cluster_run_code_where_they_may_create_executions() {
    let _apart = apart().await;
    let values = json!({"operator": {"userNamespaces": true}, "shim": {"auth": {"mode": "tokenReview"}}});
    let tenant = |name: &str| json!({"name": name, "pool": {"replicas": 1, "maxPods": 4}});
    let addon = Addon::prepare(&values, &[tenant("one"), tenant("two")]);
    addon.install();
    let [alice, bob, guest] = [("one", "alice"), ("two", "bob"), ("one", "guest")];
    let (alice, bob, guest) = (
        door(&addon, alice.0, alice.1).await,
        door(&addon, bob.0, bob.1).await,
        door(&addon, guest.0, guest.1).await,
    );
    allow(&addon, "one", "alice");
    allow(&addon, "two", "bob");

    let made = alice.execute(&json!({"source_code": "open('out.txt', 'w').write('hers')"})).await;
    let user = format!("system:serviceaccount:{}:alice", addon.namespace("one"));
    let scopes = addon.tenant("one").run(&["get", "cex", "-o", "jsonpath={.items[*].spec.scope}"], "");
    assert_eq!(scopes, user, "it is hers, and in the namespace of her account");
    let file = &made["files"]["/workspace/out.txt"];
    let read = json!({"source_code": "print(open('in.txt').read())", "files": {"/workspace/in.txt": file}});
    assert_eq!(alice.execute(&read).await["stdout"], "hers\n");
    assert_eq!(bob.try_execute(&read).await.status, 404, "it is not his");

    assert_eq!(status_of(&guest).await, 403, "who may create no executions runs no code");
    let of_the_api = alice.with_token(&token(&addon, "one", "alice", &[]));
    for stranger in [of_the_api, alice.with_token("not-a-token"), alice.without_token()] {
        assert_eq!(status_of(&stranger).await, 401);
    }
    let said = addon.helm().test();
    assert!(said.lines().any(|line| line.starts_with("ok execution of ")), "{said}");

    let _ = addon.tenant("one").run(&["delete", "rolebinding", "users"], "");
    in_time("a right that is taken to count", async || (status_of(&alice).await == 403).then_some(())).await;
    assert_eq!(status_of(&bob).await, 200);
}
