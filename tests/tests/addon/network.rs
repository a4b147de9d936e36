//! What the chart's test says of a network that keeps sandboxes apart.

use e2e::{Cluster, machine::Muted};

use crate::{shared::alone, tenants::addresses};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn the_charts_test_says_when_sandboxes_reach_nothing() {
    let addon = alone().await;
    if Cluster::own_script().is_none() {
        println!(
            "NOT TESTED: the pods of this cluster are not on this machine, so their network is left alone"
        );
        return;
    }
    let mut all = Vec::new();
    for tenant in ["a", "b", "small"] {
        all.extend(addresses(&addon, tenant).await);
    }
    let _muted = Muted::start(&all);
    let said = addon.helm().test();
    assert!(said.lines().any(|line| line.starts_with("ENFORCED network: ")), "{said}");
    assert!(!said.contains("NOT ENFORCED"), "{said}");
}
