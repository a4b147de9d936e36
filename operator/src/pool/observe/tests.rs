//! What pods are to their pool, and until when.

use chrono::TimeDelta;
use serde_json::json;

use super::*;

/// A pod of the pool `default`, made at `created` from the template `t`.
fn facts(created: DateTime<Utc>) -> PodFacts {
    let pod = json!({ "metadata": {
        "namespace": "ns", "name": "p", "uid": "u", "labels": { crds::labels::POOL: "default" },
        "annotations": { crds::labels::TEMPLATE_HASH: "t" },
        "creationTimestamp": created.to_rfc3339(),
        "ownerReferences": [{
            "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "name": "default", "uid": "x",
            "controller": true,
        }],
    }});
    PodFacts::of(&serde_json::from_value(pod).unwrap()).unwrap()
}

#[test]
fn a_pod_is_outdated_when_it_is_old_of_another_shape_or_must_leave_its_node() {
    let made = DateTime::UNIX_EPOCH + TimeDelta::days(1);
    let pool = |template: &str| ValidPool {
        replicas: 1,
        max_pods: 1,
        queue_depth: 1,
        max_age_seconds: 60,
        reuse: true,
        pod: k8s_openapi::api::core::v1::Pod::default(),
        template: template.to_owned(),
        deleting: false,
    };
    let [young, old] = [60, 61].map(|seconds| made + TimeDelta::seconds(seconds));
    for (template, standing, wall, outdated) in [
        ("t", Standing::Good, young, false),
        ("t", Standing::Good, old, true),
        ("other", Standing::Good, young, true),
        ("t", Standing::Leaving, young, true),
    ] {
        let found = is_outdated(&pool(template), &facts(made), standing, wall);
        assert_eq!(found, outdated, "{template} {standing:?} {wall}");
    }
}

#[test]
fn a_deleted_pod_takes_up_room_until_it_is_late_or_its_node_is_lost() {
    let end = DateTime::UNIX_EPOCH + TimeDelta::days(1);
    let deleted = PodFacts { deleting: Some(end), ..facts(end - TimeDelta::days(1)) };
    let (before, after) = (end - TimeDelta::hours(20), end + TimeDelta::minutes(1));
    for (standing, wall, class) in [
        (Standing::Good, before, Class::Leaving),
        (Standing::Leaving, before, Class::Leaving),
        (Standing::Lost, before, Class::Stuck),
        (Standing::Good, after, Class::Stuck),
    ] {
        assert_eq!(leaving(&deleted, standing, wall), Some(class), "{standing:?} {wall}");
    }
    let stays = PodFacts { deleting: None, ..deleted };
    assert_eq!(leaving(&stays, Standing::Lost, before), None);
}

#[test]
fn as_long_as_executions_get_pods_it_is_worth_waiting() {
    let since = Instant::now();
    let later = since + Duration::from_mins(1);
    for (given, busy, at) in [
        (None, 0, since),
        (Some(later), 0, since),
        (None, 2, since + STARVED_AFTER),
        (Some(later), 2, later + STARVED_AFTER),
    ] {
        assert_eq!(starved_at(since, given, busy), at, "{given:?} {busy}");
    }
    assert_eq!(starved_at(later, Some(since), 1), later + STARVED_AFTER, "given before the trouble");
}

#[test]
fn patience_with_a_pod_that_is_of_no_use_ends() {
    let start = Instant::now();
    let (lost, given_up) = (start + Duration::from_mins(1), start + COMES_UP_WITHIN);
    for (lost_at, coming_up, now, class, next) in [
        (None, None, given_up, Class::Warming, None),
        (None, Some(start), start, Class::Warming, Some(given_up)),
        (None, Some(start), given_up, Class::Stalled, None),
        (Some(lost), Some(start), start, Class::Unknown, Some(lost)),
        (Some(lost), Some(start), lost, Class::Lost, None),
    ] {
        assert_eq!(patience(lost_at, coming_up, now), (class, next), "{lost_at:?} {coming_up:?}");
    }
}
