//! Pods that are kept for their isolation key, beyond the operator and the pool that keep them.

use std::collections::BTreeSet;

use crds::ExecutionPhase;
use kube::api::{DeleteParams, Patch, PatchParams};
use operator::Timings;
use serde_json::{Value, json};

use crate::{
    bed::{Bed, NEVER, alone, until},
    programs::{counting, go, started, starts, waiting},
};

/// A pool that has a kept pod, and what that is called.
async fn with_kept_pod(replicas: i32) -> (Bed, String) {
    let bed = Bed::with(Timings { kept: NEVER, ..Timings::default() }, replicas, 5).await;
    change(&bed, json!({"spec": {"reusePolicy": "SameKey"}})).await;
    let mut pods = BTreeSet::new();
    loop {
        let name = format!("run-{}", pods.len());
        let mut spec = counting(&bed, &name);
        spec.as_object_mut().unwrap().insert("isolationKey".to_owned(), json!("c1"));
        let pod = bed.run(&name, spec).await.pod_name.unwrap();
        if !pods.insert(pod.clone()) {
            return (bed, pod);
        }
        assert!(pods.len() < 20, "each program had a pod of its own: {pods:?}");
    }
}

async fn change(bed: &Bed, patch: Value) {
    bed.pools().patch("default", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

#[test]
fn an_operator_that_is_told_to_end_lets_its_used_pods_go_and_no_others() {
    alone(async {
        let (mut bed, kept) = with_kept_pod(2).await;
        bed.create("long", waiting(&bed, "long")).await;
        started(&bed, "long").await;
        let busy = bed.phase("long", ExecutionPhase::Running).await.pod_name.unwrap();
        bed.ready(2).await;
        bed.end_operator().await;
        until(bed.pods(), &kept, |pod| pod.is_none()).await;
        let left = bed.pods();
        let left = left.list(&kube::api::ListParams::default()).await.unwrap();
        let stays = |name: &str| {
            let found = left.iter().find(|pod| pod.metadata.name.as_deref() == Some(name));
            found.is_some_and(|pod| pod.metadata.deletion_timestamp.is_none())
        };
        assert!(stays(&busy), "its program runs");
        let names: Vec<_> = left.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
        assert!(names.iter().filter(|name| stays(name)).count() >= 3, "two are idle: {names:?}");
        bed.start_operator();
        go(&bed, "long");
        bed.finished("long").await;
        assert_eq!(starts(&bed, "long"), 1);
    });
}

#[test]
fn kept_pods_go_when_their_pool_is_being_deleted() {
    alone(async {
        let (bed, kept) = with_kept_pod(1).await;
        // Somebody's finalizer holds it, so its pods are not collected.
        change(&bed, json!({"metadata": {"finalizers": ["example.com/holds"]}})).await;
        bed.pools().delete("default", &DeleteParams::default()).await.unwrap();
        until(bed.pods(), &kept, |pod| pod.is_none()).await;
        assert!(bed.pools().get_opt("default").await.unwrap().is_some(), "the pods went before it");
    });
}

#[test]
fn kept_pods_go_when_their_pool_cannot_be_acted_on() {
    alone(async {
        let (bed, kept) = with_kept_pod(1).await;
        change(&bed, json!({"spec": {"reusePolicy": "Verified", "isolation": "Nested"}})).await;
        until(bed.pods(), &kept, |pod| pod.is_none()).await;
    });
}

#[test]
fn kept_pods_follow_a_limit_that_is_lowered() {
    alone(async {
        let (bed, kept) = with_kept_pod(1).await;
        change(&bed, json!({"spec": {"maxPods": 1}})).await;
        until(bed.pods(), &kept, |pod| pod.is_none()).await;
    });
}
