//! Operators that take over from each other by the Lease.

use std::time::Duration;

use crds::{ExecutionPhase, Reason};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Pod, Secret},
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use operator::{OperatorError, Timings};
use protocol::{Claims, ErrorBody, ErrorCode, Method, SigningKey, token};
use serde_json::json;

use crate::{
    bed::{Bed, alone, eventually, soon},
    programs::{counting, go, started, starts, waiting},
};

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
pub(crate) async fn holder(bed: &Bed) -> Option<String> {
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
