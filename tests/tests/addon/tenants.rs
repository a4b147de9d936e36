//! Two tenants, as HTTP and as the network see them.

use e2e::{Addon, in_time};
use serde_json::{Value, json};

use crate::shared::together;

/// A program that asks an executor for what it holds, as the operator does but without a signature.
fn unsigned_request(ip: &str) -> Value {
    let code = format!(
        "import http.client, socket\n\
         try:\n    c = http.client.HTTPConnection({ip:?}, 8700, timeout=5)\n    c.connect()\n\
         except OSError:\n    print('unreachable')\n\
         else:\n    c.request('GET', '/v1/inventory')\n    print(c.getresponse().status)"
    );
    json!({"source_code": code})
}

/// The addresses of a tenant's sandboxes, as soon as so many wait as the pool should have.
pub(crate) async fn addresses(addon: &Addon, tenant: &str) -> Vec<String> {
    let kubectl = addon.tenant(tenant);
    in_time("a pool that is full", async || {
        let pods = kubectl.list(&["pods", "-l", "carrel.dev/pool=default"]);
        let alive = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let addresses = alive.filter_map(|pod| pod["status"]["podIP"].as_str().map(str::to_owned));
        let addresses: Vec<String> = addresses.collect();
        let pool = kubectl.get("sbp", "default");
        let full = pool["status"]["readyReplicas"] == pool["spec"]["replicas"];
        (full && addresses.len() as u64 >= pool["spec"]["replicas"].as_u64()?).then_some(addresses)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn the_charts_test_passes_and_says_what_keeps_sandboxes_apart() {
    let addon = together().await;
    let said = addon.helm().test();
    println!("{said}");
    let says = |start: &str| said.lines().any(|line| line.starts_with(start));
    assert!(says("ok execution of ") && says("ok guard: a request without a token is refused"), "{said}");
    let enforced = says("ENFORCED network");
    assert!(enforced != says("NOT ENFORCED network"), "one of the two is said: {said}");
    let door = addon.door("a").await;
    let reached = door.execute(&unsigned_request(&addresses(&addon, "b").await[0])).await;
    // The wall behind the network: an executor answers nobody who cannot sign.
    let expected = if enforced { "unreachable\n" } else { "401\n" };
    assert_eq!(reached["stdout"], expected, "{reached}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_token_runs_programs_in_its_own_tenant_only() {
    let addon = together().await;
    let (a, b) = (addon.door("a").await, addon.door("b").await);
    let made = a.execute(&json!({"source_code": "open('out.txt', 'w').write('of a')"})).await;
    let id = made["files"]["/workspace/out.txt"].as_str().expect("a file");
    let read = json!({"source_code": "print(open('in.txt').read())", "files": {"/workspace/in.txt": id}});
    assert_eq!(a.execute(&read).await["stdout"], "of a\n");
    let answer = b.try_execute(&read).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    let label = "import uuid; print(uuid.uuid4())";
    let _ = b.execute(&json!({"source_code": label})).await;
    let of_b = addon.tenant("b").list(&["cex"]);
    assert!(of_b.iter().any(|object| object["spec"]["code"] == label), "it ran in its own namespace");
    let of_a = addon.tenant("a").list(&["cex"]);
    assert!(of_a.iter().all(|object| object["spec"]["code"] != label), "and not in the other one");
    for door in [a.with_token("not-a-token"), a.without_token()] {
        let answer = door.try_execute(&json!({"source_code": "1"})).await;
        assert_eq!(answer.status, 401, "{}", answer.body);
    }
}
