//! Executions that find no sandbox.

use crds::{ConditionStatus, ExecutionPhase, Reason, SandboxPool, code_execution::FailureCause};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::json;

use crate::{
    bed::{Bed, alone, eventually, until},
    programs::{counting, go, started, starts, waiting},
};

#[test]
fn with_an_empty_pool_the_start_deadline_ends_what_does_not_wait() {
    alone(async {
        let bed = Bed::new(0, 2).await;
        let mut spec = counting(&bed, "hurried");
        spec["startDeadlineSeconds"] = json!(0);
        let status = bed.run("hurried", spec).await;
        assert_eq!(status.reason, Some(Reason::StartDeadlineExceeded));
        assert_eq!((status.phase, status.start_time), (ExecutionPhase::Failed, None));
        // Whoever waits gets a sandbox of its own even from a pool that keeps none.
        bed.create("patient", counting(&bed, "patient")).await;
        assert_eq!(bed.finished("patient").await.reason, Some(Reason::Completed));
        assert_eq!((starts(&bed, "hurried"), starts(&bed, "patient")), (0, 1));
    });
}

#[test]
fn with_a_full_pool_the_start_deadline_ends_who_waits_too_long() {
    alone(async {
        let bed = Bed::new(1, 1).await;
        bed.create("first", waiting(&bed, "first")).await;
        started(&bed, "first").await;
        let mut spec = counting(&bed, "second");
        spec["startDeadlineSeconds"] = json!(1);
        let status = bed.run("second", spec).await;
        assert_eq!(status.reason, Some(Reason::StartDeadlineExceeded));
        assert_eq!(bed.phase("first", ExecutionPhase::Running).await.reason, None);
        go(&bed, "first");
        assert_eq!(bed.finished("first").await.reason, Some(Reason::Completed));
        assert_eq!(starts(&bed, "second"), 0);
    });
}

#[test]
fn a_missing_pool_is_waited_for_and_named_when_it_does_not_come() {
    alone(async {
        let bed = Bed::new(0, 2).await;
        let mut hurried = counting(&bed, "hurried");
        hurried["startDeadlineSeconds"] = json!(1);
        hurried["poolRef"] = json!({"name": "later"});
        let status = bed.run("hurried", hurried).await;
        assert_eq!(status.reason, Some(Reason::StartDeadlineExceeded));
        let failure = status.failure.unwrap();
        assert_eq!(failure.value.as_deref(), Some("later"), "{failure:?}");
        let mut patient = counting(&bed, "patient");
        patient["poolRef"] = json!({"name": "later"});
        bed.create("patient", patient).await;
        bed.phase("patient", ExecutionPhase::Queued).await;
        bed.make_pool("later", 0, 1).await;
        assert_eq!(bed.finished("patient").await.reason, Some(Reason::Completed));
        assert_eq!((starts(&bed, "hurried"), starts(&bed, "patient")), (0, 1));
    });
}

#[test]
fn a_pool_whose_pods_are_refused_says_so_and_who_waits_is_told_at_once() {
    alone(async {
        let bed = Bed::new(0, 2).await;
        let spec = json!({"replicas": 0, "template": {"labels": {"team": "not a label"}}});
        let pool = SandboxPool::new("refused", serde_json::from_value(spec).unwrap());
        bed.pools().create(&PostParams::default(), &pool).await.unwrap();
        // It has to wait first: the pool makes no pod before somebody wants one.
        let mut spec = counting(&bed, "hurried");
        spec["startDeadlineSeconds"] = json!(300);
        spec["poolRef"] = json!({"name": "refused"});
        let status = bed.run("hurried", spec).await;
        assert_eq!(status.reason, Some(Reason::CapacityUnavailable));
        assert_eq!(status.failure.unwrap().cause, Some(FailureCause::CannotStart));
        let pool = until(bed.pools(), "refused", |pool| degraded(pool).is_some()).await;
        assert_eq!(degraded(pool.as_ref()).as_deref(), Some("Invalid"));
        let events: Api<Event> = Api::namespaced(bed.client(), "default");
        eventually("an event", async || {
            let all = events.list(&ListParams::default()).await.unwrap().items;
            let of_pool = all.iter().filter(|event| {
                event.regarding.as_ref().is_some_and(|object| object.name.as_deref() == Some("refused"))
            });
            let reasons: Vec<_> = of_pool.map(|event| event.reason.clone().unwrap_or_default()).collect();
            reasons == ["Invalid"]
        })
        .await;
        assert_eq!(starts(&bed, "hurried"), 0);
    });
}

/// The reason for which a pool has fewer pods than it should.
fn degraded(pool: Option<&SandboxPool>) -> Option<String> {
    let conditions = &pool?.status.as_ref()?.conditions;
    let found =
        conditions.iter().find(|one| one.type_ == "Degraded" && one.status == ConditionStatus::True)?;
    Some(found.reason.clone())
}
