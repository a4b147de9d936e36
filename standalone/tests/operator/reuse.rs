//! Pods that run further programs of the same isolation key, and of no other.

use std::{collections::BTreeMap, time::Duration};

use crds::{ExecutionPhase, Reason};
use kube::api::{Patch, PatchParams};
use operator::Timings;
use serde_json::{Value, json};

use crate::{
    bed::{Bed, NEVER, alone, eventually, until},
    programs::{counting, go, started, starts, waiting},
};

/// Pods are kept for so long that no test reaches it.
fn timings() -> Timings {
    Timings { kept: NEVER, ..Timings::default() }
}

/// A default pool whose pods run programs of the same key.
async fn reusing(timings: Timings, replicas: i32, max_pods: i32) -> Bed {
    let bed = Bed::with(timings, replicas, max_pods).await;
    set_policy(&bed, "SameKey").await;
    bed
}

async fn set_policy(bed: &Bed, policy: &str) {
    let patch = Patch::Merge(json!({"spec": {"reusePolicy": policy}}));
    let pool = bed.pools().patch("default", &PatchParams::default(), &patch).await.unwrap();
    observed(bed, pool.metadata.generation).await;
}

/// Waits until the operator knows the pool as it is.
async fn observed(bed: &Bed, generation: Option<i64>) {
    let seen = move |pool: Option<&crds::SandboxPool>| {
        pool.and_then(|pool| pool.status.as_ref()).is_some_and(|s| s.observed_generation == generation)
    };
    until(bed.pools(), "default", seen).await;
}

fn with(spec: Value, more: &Value) -> Value {
    let mut spec = spec;
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// Runs programs of that key until a pod that had one before has another; its name.
async fn home(bed: &Bed, key: &str) -> String {
    let mut pods = Vec::new();
    loop {
        let name = format!("{key}-{}", pods.len());
        let status = bed.run(&name, with(counting(bed, &name), &json!({"isolationKey": key}))).await;
        assert_eq!((status.reason, starts(bed, &name)), (Some(Reason::Completed), 1), "{name}");
        let pod = status.pod_name.unwrap();
        if pods.contains(&pod) {
            return pod;
        }
        pods.push(pod);
        // That nothing is left is proved after the answer, so the very next program may come too early.
        assert!(pods.len() < 20, "each program had a pod of its own: {pods:?}");
    }
}

#[test]
fn programs_share_a_pod_only_with_those_of_their_own_key_and_scope() {
    alone(async {
        // So many that nobody waits: while somebody else does, a pod is not kept.
        let bed = reusing(timings(), 8, 20).await;
        let who = [
            json!({"isolationKey": "c1"}),
            json!({"isolationKey": "c2"}),
            json!({"isolationKey": "c1", "scope": "alice"}),
            json!({"isolationKey": "c1", "scope": "bob"}),
            json!({"isolationKey": "default"}),
            json!({}),
        ];
        let mut pods: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for round in 0..4 {
            for (index, owner) in who.iter().enumerate() {
                let name = format!("run-{round}-{index}");
                let status = bed.run(&name, with(counting(&bed, &name), owner)).await;
                assert_eq!((status.reason, starts(&bed, &name)), (Some(Reason::Completed), 1), "{name}");
                pods.entry(status.pod_name.unwrap()).or_default().push(index);
            }
        }
        for (pod, had) in &pods {
            assert!(had.iter().all(|index| index == &had[0]), "{pod} was shared: {had:?}");
            assert!(had[0] < 4 || had.len() == 1, "{pod} was used again by who has no key: {had:?}");
        }
        for index in 0..4 {
            assert!(pods.values().any(|had| had.len() > 1 && had[0] == index), "{index}: {pods:?}");
        }
    });
}

#[test]
fn a_program_finds_nothing_of_the_one_before_in_its_pod() {
    alone(async {
        let bed = reusing(timings(), 1, 4).await;
        let code = "import os\n\
                    state = os.environ['HOME'].rsplit('/', 3)[0]\n\
                    assert os.path.exists(state + '/runner/runner.py')\n\
                    folders = [at for at, _, _ in os.walk(state)]\n\
                    print([at for at in folders if os.path.exists(at + '/left')])\n\
                    for at in folders: open(at + '/left', 'w').close()";
        home(&bed, "c1").await;
        let mut pods = Vec::new();
        for number in 0..3 {
            let name = format!("look-{number}");
            let status = bed.run(&name, json!({"code": code, "isolationKey": "c1"})).await;
            assert_eq!(status.stdout.unwrap().text, "[]\n", "{name}");
            pods.push(status.pod_name.unwrap());
        }
        assert!(pods.iter().any(|pod| pods.iter().filter(|other| *other == pod).count() > 1), "{pods:?}");
    });
}

#[test]
fn a_pool_that_never_reuses_gives_each_program_a_pod_of_its_own() {
    alone(async {
        let bed = Bed::with(timings(), 1, 4).await;
        let mut pods = std::collections::BTreeSet::new();
        for number in 0..4 {
            let name = format!("run-{number}");
            let status = bed.run(&name, with(counting(&bed, &name), &json!({"isolationKey": "c1"}))).await;
            assert!(pods.insert(status.pod_name.unwrap()), "{pods:?}");
        }
    });
}

#[test]
fn a_new_operator_does_not_use_pods_that_were_kept_and_starts_nothing_twice() {
    alone(async {
        let mut bed = reusing(timings(), 1, 6).await;
        let kept = home(&bed, "c1").await;
        bed.create("long", with(waiting(&bed, "long"), &json!({"isolationKey": "c1"}))).await;
        started(&bed, "long").await;
        let second = home(&bed, "c2").await;
        bed.kill_operator().await;
        bed.create("between", with(counting(&bed, "between"), &json!({"isolationKey": "c2"}))).await;
        bed.start_operator();
        let between = bed.finished("between").await;
        assert_eq!((between.reason, starts(&bed, "between")), (Some(Reason::Completed), 1));
        assert_ne!(between.pod_name.as_ref(), Some(&second), "it knows nothing of keys");
        until(bed.pods(), &second, |pod| pod.is_none()).await;
        go(&bed, "long");
        let long = bed.finished("long").await;
        assert_eq!((long.reason, starts(&bed, "long")), (Some(Reason::Completed), 1), "{:?}", long.failure);
        until(bed.pods(), &kept, |pod| pod.is_none()).await;
        home(&bed, "c3").await;
    });
}

#[test]
fn kept_pods_give_way_to_whoever_waits() {
    alone(async {
        let bed = reusing(timings(), 0, 1).await;
        let kept = home(&bed, "c1").await;
        let status = bed.run("other", with(counting(&bed, "other"), &json!({"isolationKey": "c2"}))).await;
        assert_eq!((status.reason, starts(&bed, "other")), (Some(Reason::Completed), 1));
        assert_ne!(status.pod_name, Some(kept));
        assert!(bed.pod_names().await.len() <= 1);
    });
}

#[test]
fn a_pod_of_another_shape_than_the_pools_is_not_passed_on() {
    alone(async {
        let bed = reusing(timings(), 0, 1).await;
        bed.create("first", with(waiting(&bed, "first"), &json!({"isolationKey": "c1"}))).await;
        started(&bed, "first").await;
        bed.create("next", with(counting(&bed, "next"), &json!({"isolationKey": "c1"}))).await;
        bed.phase("next", ExecutionPhase::Queued).await;
        let new = json!({"spec": {"template": {"labels": {"example.com/version": "2"}}}});
        let pool = bed.pools().patch("default", &PatchParams::default(), &Patch::Merge(new)).await.unwrap();
        observed(&bed, pool.metadata.generation).await;
        go(&bed, "first");
        let (first, next) = (bed.finished("first").await, bed.finished("next").await);
        assert_eq!((next.reason, starts(&bed, "next")), (Some(Reason::Completed), 1));
        assert_ne!(first.pod_name, next.pod_name);
    });
}

#[test]
fn a_pod_is_kept_for_a_while_and_not_for_ever() {
    alone(async {
        let soon = Timings { kept: Duration::from_secs(1), ..Timings::default() };
        let bed = reusing(soon, 0, 2).await;
        home(&bed, "c1").await;
        eventually("no pod is left", async || bed.pod_names().await.is_empty()).await;
    });
}

#[test]
fn a_pool_that_stops_to_reuse_lets_the_kept_pods_go() {
    alone(async {
        let bed = reusing(timings(), 0, 2).await;
        home(&bed, "c1").await;
        set_policy(&bed, "Never").await;
        eventually("no pod is left", async || bed.pod_names().await.is_empty()).await;
    });
}
