//! Operators that die, also together with the node, and operators that take over from each other by the Lease.

use std::time::Duration;

use crds::{ExecutionPhase, Reason};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Pod, Secret},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use operator::{OperatorError, Timings};
use protocol::{Claims, ErrorBody, ErrorCode, Method, SigningKey, token};
use serde_json::json;

use crate::{
    bed::{Bed, NEVER, alone, eventually, soon, until},
    programs::{counting, go, gone, started, starts, waiting, waiting_code},
};

#[test]
fn a_run_goes_on_while_the_operator_dies_and_the_next_one_follows_it() {
    alone(async {
        let mut bed = Bed::new(1, 2).await;
        let code = format!("print('x' * 3000)\n{}print('y' * 3000)", waiting_code(&bed, "long"));
        bed.create("long", json!({"code": code})).await;
        let pod = bed.phase("long", ExecutionPhase::Running).await.pod_uid;
        started(&bed, "long").await;
        bed.kill_operator().await;
        bed.start_operator();
        // The new one works, and the old run still waits.
        assert_eq!(bed.run("new", json!({"code": ""})).await.reason, Some(Reason::Completed));
        assert_eq!(bed.phase("long", ExecutionPhase::Running).await.pod_uid, pod);
        go(&bed, "long");
        let status = bed.finished("long").await;
        assert_eq!((status.reason, status.pod_uid), (Some(Reason::Completed), pod));
        let whole = format!("{}\nbefore\nafter\n{}\n", "x".repeat(3000), "y".repeat(3000));
        assert_eq!(status.stdout.unwrap().text, whole);
        assert_eq!(starts(&bed, "long"), 1);
    });
}

#[test]
fn an_outcome_that_no_operator_waited_for_is_fetched_by_the_next() {
    alone(fetched_by_the_next(Timings::default()));
}

#[test]
fn an_outcome_of_which_the_status_said_nothing_is_fetched_by_the_next() {
    alone(fetched_by_the_next(Timings { lazy_running: NEVER, ..Timings::default() }));
}

async fn fetched_by_the_next(timings: Timings) {
    let mut bed = Bed::with(timings, 1, 2).await;
    let code = format!("{}open('kept.txt', 'w').write('kept')", waiting_code(&bed, "long"));
    bed.create("long", json!({"code": code})).await;
    let program = started(&bed, "long").await;
    if timings.lazy_running != NEVER {
        bed.phase("long", ExecutionPhase::Running).await;
    }
    bed.kill_operator().await;
    go(&bed, "long");
    gone(program).await;
    bed.start_operator();
    let status = bed.finished("long").await;
    assert_eq!(status.reason, Some(Reason::Completed), "{:?}", status.failure);
    assert_eq!(status.stdout.unwrap().text, "before\nafter\n");
    let files: Vec<_> = status.files.into_iter().map(|file| file.path).collect();
    assert_eq!(files, ["kept.txt"], "{:?}", status.files_skipped);
    assert_eq!(starts(&bed, "long"), 1);
}

#[test]
fn when_operator_and_node_die_the_running_is_lost_and_the_queued_completes() {
    alone(async {
        let mut bed = Bed::new(1, 1).await;
        bed.create("running", waiting(&bed, "running")).await;
        bed.phase("running", ExecutionPhase::Running).await;
        let program = started(&bed, "running").await;
        let queued = ["queued-1", "queued-2", "queued-3"];
        for name in queued {
            bed.create(name, counting(&bed, name)).await;
            bed.phase(name, ExecutionPhase::Queued).await;
        }
        bed.kill_operator().await;
        bed.kill_node().await;
        gone(program).await;
        bed.start_node();
        bed.start_operator();
        let status = bed.finished("running").await;
        assert_eq!((status.phase, status.reason), (ExecutionPhase::Failed, Some(Reason::Lost)));
        for name in queued {
            let status = bed.finished(name).await;
            assert_eq!(status.reason, Some(Reason::Completed), "{name}: {:?}", status.failure);
            assert_eq!(starts(&bed, name), 1, "{name}");
        }
        assert_eq!(starts(&bed, "running"), 1);
    });
}

#[test]
fn what_ran_unshown_when_operator_and_node_died_is_lost_and_not_run_again() {
    alone(async {
        let timings = Timings { lazy_running: NEVER, ..Timings::default() };
        let mut bed = Bed::with(timings, 1, 1).await;
        bed.create("unshown", waiting(&bed, "unshown")).await;
        started(&bed, "unshown").await;
        bed.kill_operator().await;
        bed.kill_node().await;
        bed.create("new", counting(&bed, "new")).await;
        bed.start_node();
        bed.start_operator();
        assert_eq!(bed.finished("unshown").await.reason, Some(Reason::Lost));
        assert_eq!(bed.finished("new").await.reason, Some(Reason::Completed));
        assert_eq!((starts(&bed, "unshown"), starts(&bed, "new")), (1, 1));
    });
}

#[test]
fn what_an_operator_has_sent_when_it_is_told_to_end_is_never_started_again() {
    alone(async {
        let timings = Timings { lazy_running: NEVER, ..Timings::default() };
        let mut bed = Bed::elected(timings, 1, 1).await;
        bed.create("unshown", waiting(&bed, "unshown")).await;
        let program = started(&bed, "unshown").await;
        bed.create("waits", counting(&bed, "waits")).await;
        bed.phase("waits", ExecutionPhase::Queued).await;
        // The first write of the last moment fails.
        bed.faults.fail(1);
        bed.end_operator().await;
        assert_eq!(bed.faults.failed(), 1);
        assert_eq!(holder(&bed).await.as_deref(), Some(""), "the Lease is given back");
        let shown = bed.phase("unshown", ExecutionPhase::Running).await;
        // The pod goes without a word, by force.
        bed.kill_node().await;
        gone(program).await;
        let by_force = DeleteParams::default().grace_period(0);
        let pod = shown.pod_name.unwrap();
        bed.pods().delete(&pod, &by_force).await.unwrap();
        until(bed.pods(), &pod, |pod| pod.is_none()).await;
        bed.start_node();
        bed.start_operator();
        assert_eq!(bed.finished("waits").await.reason, Some(Reason::Completed));
        assert_eq!(bed.finished("unshown").await.reason, Some(Reason::Lost));
        assert_eq!((starts(&bed, "unshown"), starts(&bed, "waits")), (1, 1));
    });
}

#[test]
fn what_came_of_a_run_is_written_before_the_end_of_an_operator_that_could_not_write_it_before() {
    alone(async {
        let mut bed = Bed::elected(Timings { lazy_running: NEVER, ..Timings::default() }, 1, 1).await;
        bed.create("ended", waiting(&bed, "ended")).await;
        started(&bed, "ended").await;
        bed.faults.fail(usize::MAX);
        go(&bed, "ended");
        // After that many the next attempt is so far away that the one of the last moment comes first.
        eventually("its end cannot be written", async || bed.faults.failed() >= 5).await;
        bed.faults.fail(1);
        bed.end_operator().await;
        let ended = bed.executions().get("ended").await.unwrap().status.unwrap();
        assert_eq!(ended.reason, Some(Reason::Completed), "{:?}", ended.failure);
        assert_eq!(ended.stdout.unwrap().text, "before\nafter\n");
    });
}

/// A Lease that ends soon, so that nobody waits long for it.
fn short_lease() -> Timings {
    let seconds = Duration::from_secs;
    Timings { lease: seconds(3), lease_renew: seconds(1), takeover_margin: seconds(1), ..Timings::default() }
}

#[test]
fn when_the_leader_goes_the_next_one_takes_over_and_no_program_starts_twice() {
    alone(async {
        let mut bed = Bed::elected(short_lease(), 3, 8).await;
        let key = signing_key(&bed).await;
        let second = bed.another_operator("second");
        let long = ["long-0", "long-1", "long-2", "long-3"];
        for name in long {
            bed.create(name, waiting(&bed, name)).await;
            started(&bed, name).await;
        }
        let pod = bed.phase("long-1", ExecutionPhase::Running).await.pod_name.unwrap();
        let pod = bed.pods().get(&pod).await.unwrap();
        let first = epoch(&bed).await;
        assert_eq!(inventory(&key, &pod, first).await, None, "the first operator has this epoch");
        // Some of these are sent, run or end in the moment in which the leader goes.
        let short: Vec<_> = (0..6).map(|number| format!("short-{number}")).collect();
        for name in &short {
            bed.create(name, counting(&bed, name)).await;
        }
        assert_eq!(holder(&bed).await.as_deref(), Some("first"));
        bed.kill_operator().await;
        bed.create("late", counting(&bed, "late")).await;
        go(&bed, "long-0");

        eventually("the second takes the Lease", async || holder(&bed).await.as_deref() == Some("second"))
            .await;
        eventually("the tokens of the first are refused", async || {
            inventory(&key, &pod, first).await == Some(ErrorCode::OldEpoch)
        })
        .await;
        long.iter().skip(1).for_each(|name| go(&bed, name));
        for name in long.into_iter().chain(short.iter().map(String::as_str)).chain(["late"]) {
            let status = bed.finished(name).await;
            assert_eq!(status.reason, Some(Reason::Completed), "{name}: {:?}", status.failure);
            assert_eq!(starts(&bed, name), 1, "{name}");
        }
        assert!(!second.ended.is_finished(), "the second still leads");
    });
}

#[test]
fn a_leader_that_loses_its_lease_ends_and_its_programs_go_on() {
    alone(async {
        let mut bed = Bed::elected(short_lease(), 1, 2).await;
        bed.create("long", waiting(&bed, "long")).await;
        started(&bed, "long").await;
        let first = bed.operator.take().unwrap();
        let stolen = Patch::Merge(json!({"spec": {"holderIdentity": "thief"}}));
        leases(&bed).patch("carrel-operator", &PatchParams::default(), &stolen).await.unwrap();
        let ended = soon(first.ended).await.unwrap();
        assert!(matches!(ended, Err(OperatorError::Lease(_))), "{ended:?}");
        // Nobody renews what the thief has.
        bed.start_operator();
        go(&bed, "long");
        let status = bed.finished("long").await;
        assert_eq!(status.reason, Some(Reason::Completed), "{:?}", status.failure);
        assert_eq!(starts(&bed, "long"), 1);
    });
}

fn leases(bed: &Bed) -> Api<Lease> {
    Api::namespaced(bed.client(), "carrel-system")
}

/// Who has the Lease.
async fn holder(bed: &Bed) -> Option<String> {
    leases(bed).get("carrel-operator").await.unwrap().spec?.holder_identity
}

/// The epoch of who has the Lease.
async fn epoch(bed: &Bed) -> u64 {
    let lease = leases(bed).get("carrel-operator").await.unwrap();
    lease.metadata.annotations.unwrap().get(crds::labels::EPOCH).unwrap().parse().unwrap()
}

/// What the operators of this API sign with.
async fn signing_key(bed: &Bed) -> SigningKey {
    let secrets: Api<Secret> = Api::namespaced(bed.client(), "carrel-system");
    let data = secrets.get("carrel-executor-keys").await.unwrap().data.unwrap();
    let entry = String::from_utf8(data.get("current").unwrap().0.clone()).unwrap();
    let (id, seed) = entry.split_once(':').unwrap();
    SigningKey::from_seed_base64(id, seed).unwrap()
}

/// Why the executor of a pod refuses an operator of that epoch; `None` when it does not.
async fn inventory(key: &SigningKey, pod: &Pod, epoch: u64) -> Option<ErrorCode> {
    let claims = Claims {
        key_id: key.id().to_owned(),
        method: Method::Inventory,
        execution_uid: None,
        pod_uid: pod.metadata.uid.clone().unwrap(),
        epoch,
        expires_unix_milliseconds: chrono::Utc::now().timestamp_millis() + 5000,
    };
    let address = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
    let url = format!("http://{address}:{}/v1/inventory", protocol::EXECUTOR_PORT);
    let request = reqwest::Client::new().get(url).header(token::HEADER, token::sign(key, &claims));
    let answer = soon(request.send()).await.unwrap();
    if answer.status().is_success() {
        return None;
    }
    Some(answer.json::<ErrorBody>().await.unwrap().code)
}
