//! The pods of a pool: how many there are, and what happens when they die.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use crds::{ExecutionPhase, Reason};
use futures::StreamExt as _;
use kube::{
    ResourceExt as _,
    api::DeleteParams,
    runtime::watcher::{self, Event, watcher},
};
use serde_json::json;

use crate::{
    bed::{Bed, alone, eventually, until},
    programs::{counting, go, gone, kill_executor, started, starts, waiting},
};

#[test]
fn however_many_executions_come_there_are_never_more_pods_than_allowed() {
    alone(async {
        let bed = Bed::new(3, 4).await;
        let most = most_pods(&bed);
        let names: Vec<String> = (0..12).map(|n| format!("run-{n}")).collect();
        for name in &names {
            bed.create(name, counting(&bed, name)).await;
        }
        for name in &names {
            let status = bed.finished(name).await;
            assert_eq!(status.reason, Some(Reason::Completed), "{name}: {:?}", status.failure);
            assert_eq!(starts(&bed, name), 1, "{name}");
        }
        bed.ready(3).await;
        let most = *most.lock().unwrap();
        assert!((3..=4).contains(&most), "{most}");
    });
}

/// Counts from now on how many pods there were at most.
fn most_pods(bed: &Bed) -> Arc<Mutex<usize>> {
    let most = Arc::new(Mutex::new(0));
    let (mut events, highest) = (Box::pin(watcher(bed.pods(), watcher::Config::default())), most.clone());
    tokio::spawn(async move {
        let mut present = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event.unwrap() {
                Event::Apply(pod) | Event::InitApply(pod) => present.insert(pod.name_any()),
                Event::Delete(pod) => present.remove(&pod.name_any()),
                Event::Init | Event::InitDone => false,
            };
            let mut highest = highest.lock().unwrap();
            *highest = present.len().max(*highest);
        }
    });
    most
}

#[test]
fn a_pool_that_is_scaled_to_nothing_loses_its_idle_pods_and_keeps_what_runs() {
    alone(async {
        let bed = Bed::new(2, 4).await;
        bed.create("long", waiting(&bed, "long")).await;
        let busy = bed.phase("long", ExecutionPhase::Running).await.pod_name.unwrap();
        bed.ready(2).await;
        bed.scale(0).await;
        let only: BTreeSet<String> = [busy].into();
        eventually("only the busy pod is left", async || bed.pod_names().await == only).await;
        go(&bed, "long");
        assert_eq!(bed.finished("long").await.reason, Some(Reason::Completed));
        eventually("no pod is left", async || bed.pod_names().await.is_empty()).await;
        bed.scale(3).await;
        bed.ready(3).await;
        assert_eq!(bed.pod_names().await.len(), 3);
        assert_eq!(bed.run("next", json!({"code": ""})).await.reason, Some(Reason::Completed));
    });
}

#[test]
fn an_idle_executor_that_is_killed_is_replaced() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let name = bed.pod_names().await.pop_first().unwrap();
        kill_executor(&bed.pods().get(&name).await.unwrap().uid().unwrap());
        until(bed.pods(), &name, |pod| pod.is_none()).await;
        bed.ready(1).await;
        assert!(!bed.pod_names().await.contains(&name));
        assert_eq!(bed.run("next", json!({"code": ""})).await.reason, Some(Reason::Completed));
    });
}

#[test]
fn a_run_whose_pod_is_deleted_is_lost_and_not_run_again() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        bed.create("long", waiting(&bed, "long")).await;
        let pod = bed.phase("long", ExecutionPhase::Running).await.pod_name.unwrap();
        started(&bed, "long").await;
        bed.pods().delete(&pod, &DeleteParams::default().grace_period(0)).await.unwrap();
        let status = bed.finished("long").await;
        assert_eq!((status.phase, status.reason), (ExecutionPhase::Failed, Some(Reason::Lost)));
        assert_eq!(bed.run("next", json!({"code": ""})).await.reason, Some(Reason::Completed));
        assert_eq!(starts(&bed, "long"), 1);
    });
}

#[test]
fn a_run_whose_executor_is_killed_is_lost_and_not_run_again() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        bed.create("long", waiting(&bed, "long")).await;
        let pod = bed.phase("long", ExecutionPhase::Running).await.pod_uid.unwrap();
        let program = started(&bed, "long").await;
        kill_executor(&pod);
        let status = bed.finished("long").await;
        assert_eq!((status.phase, status.reason), (ExecutionPhase::Failed, Some(Reason::Lost)));
        gone(program).await;
        assert_eq!(bed.run("next", json!({"code": ""})).await.reason, Some(Reason::Completed));
        assert_eq!(starts(&bed, "long"), 1);
    });
}

#[test]
fn a_pod_that_is_deleted_without_grace_takes_its_program_with_it() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        bed.create("long", waiting(&bed, "long")).await;
        let pod = bed.phase("long", ExecutionPhase::Running).await.pod_name.unwrap();
        let program = started(&bed, "long").await;
        bed.pods().delete(&pod, &DeleteParams::default().grace_period(0)).await.unwrap();
        gone(program).await;
    });
}

#[test]
fn a_run_whose_pod_is_told_to_go_comes_to_its_end_and_its_pod_goes_then() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        bed.create("long", waiting(&bed, "long")).await;
        let pod = bed.phase("long", ExecutionPhase::Running).await.pod_name.unwrap();
        started(&bed, "long").await;
        bed.ready(1).await;
        // As an eviction does: with the pod's own grace, which is as long as the longest program.
        bed.pods().delete(&pod, &DeleteParams::default()).await.unwrap();
        bed.scale(0).await;
        let only: BTreeSet<String> = [pod.clone()].into();
        eventually("the operator has seen it", async || bed.pod_names().await == only).await;
        go(&bed, "long");
        let status = bed.finished("long").await;
        assert_eq!((status.reason, starts(&bed, "long")), (Some(Reason::Completed), 1));
        assert_eq!(status.stdout.unwrap().text, "before\nafter\n");
        until(bed.pods(), &pod, |pod| pod.is_none()).await;
    });
}

#[test]
fn an_idle_pod_that_is_told_to_go_is_replaced_and_not_given_out() {
    alone(async {
        let bed = Bed::new(1, 3).await;
        let name = bed.pod_names().await.pop_first().unwrap();
        bed.pods().delete(&name, &DeleteParams::default()).await.unwrap();
        let others = async || bed.pod_names().await.into_iter().any(|other| other != name);
        eventually("the operator has seen it", others).await;
        let status = bed.run("next", counting(&bed, "next")).await;
        assert_eq!((status.reason, starts(&bed, "next")), (Some(Reason::Completed), 1));
        assert_ne!(status.pod_name, Some(name.clone()));
        until(bed.pods(), &name, |pod| pod.is_none()).await;
    });
}
