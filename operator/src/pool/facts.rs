//! What matters of a pod: pure. The operator keeps this instead of the pod.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use crds::labels;
use k8s_openapi::{
    api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus, Toleration},
    apimachinery::pkg::apis::meta::v1::Time,
};
use protocol::TerminationMessage;

use super::trouble::Trouble;
use crate::key::Key;

/// The name of the one container.
pub(crate) const CONTAINER: &str = "executor";

/// How far a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Not started: it has run nothing.
    Pending,
    /// Its container runs, or may run.
    Running,
    /// Its container has ended and will not come back.
    Dead,
}

/// How a pod's container ended, as far as the pod tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    /// When.
    pub(crate) ended: Option<DateTime<Utc>>,
    /// The kernel killed it for the memory it used.
    pub(crate) out_of_memory: bool,
    /// What its executor had accepted; absent when it left no word.
    pub(crate) told: Option<TerminationMessage>,
}

impl Fate {
    fn of(terminated: &ContainerStateTerminated) -> Self {
        Self {
            ended: terminated.finished_at.as_ref().map(time),
            out_of_memory: terminated.reason.as_deref() == Some("OOMKilled"),
            told: terminated.message.as_deref().and_then(TerminationMessage::parse),
        }
    }
}

/// What matters of a pod.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PodFacts {
    pub(crate) key: Key,
    pub(crate) uid: Arc<str>,
    /// The pool it belongs to, by label and owner.
    pub(crate) pool: Key,
    pub(crate) life: Life,
    /// Kubernetes would send it traffic.
    pub(crate) ready: bool,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) node: Option<String>,
    /// Taints of its node that do not concern it.
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) image: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) created: DateTime<Utc>,
    /// When it will be gone at the latest, once it is being deleted.
    pub(crate) deleting: Option<DateTime<Utc>>,
    /// How its container ended, when it has.
    pub(crate) fate: Fate,
    pub(crate) trouble: Option<Trouble>,
}

impl PodFacts {
    /// The facts of a pod that one of our pools owns.
    pub(crate) fn of(pod: &Pod) -> Option<Self> {
        let meta = &pod.metadata;
        let pool = meta.labels.as_ref()?.get(labels::POOL)?;
        let owned = meta.owner_references.iter().flatten().any(|owner| {
            owner.kind == "SandboxPool" && owner.name == *pool && owner.controller == Some(true)
        });
        if !owned {
            return None;
        }
        let key = Key::of(meta);
        let status = pod.status.clone().unwrap_or_default();
        let container = container(&status);
        let terminated = container
            .and_then(|c| c.state.as_ref())
            .and_then(|s| s.terminated.as_ref())
            .or_else(|| container.and_then(|c| c.last_state.as_ref()).and_then(|s| s.terminated.as_ref()));
        Some(Self {
            pool: key.sibling(pool),
            uid: meta.uid.as_deref()?.into(),
            life: life(&status),
            ready: condition(&status, "Ready"),
            ip: status.pod_ip.as_deref().and_then(|ip| ip.parse().ok()),
            node: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
            tolerations: pod.spec.as_ref().and_then(|s| s.tolerations.clone()).unwrap_or_default(),
            image: container.map(|c| c.image_id.clone()).filter(|id| !id.is_empty()),
            template: meta.annotations.as_ref().and_then(|a| a.get(labels::TEMPLATE_HASH)).cloned(),
            created: meta.creation_timestamp.as_ref().map_or(DateTime::UNIX_EPOCH, time),
            deleting: meta.deletion_timestamp.as_ref().map(time),
            fate: terminated.map(Fate::of).unwrap_or_default(),
            trouble: Trouble::of_pod(&status),
            key,
        })
    }

    /// Whether anything can be asked of it now or later.
    pub(crate) fn alive(&self) -> bool {
        self.life != Life::Dead
    }
}

/// A time of the API.
pub(crate) fn time(time: &Time) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.0.as_millisecond()).unwrap_or(DateTime::UNIX_EPOCH)
}

pub(super) fn container(status: &PodStatus) -> Option<&ContainerStatus> {
    status.container_statuses.iter().flatten().find(|container| container.name == CONTAINER)
}

fn life(status: &PodStatus) -> Life {
    let state = container(status).and_then(|c| c.state.as_ref());
    match status.phase.as_deref() {
        Some("Failed" | "Succeeded") => Life::Dead,
        // It is never restarted, so an ended container is an ended pod.
        _ if state.is_some_and(|s| s.terminated.is_some()) => Life::Dead,
        None | Some("Pending" | "") if state.is_none_or(|s| s.running.is_none()) => Life::Pending,
        _ => Life::Running,
    }
}

fn condition(status: &PodStatus, type_: &str) -> bool {
    status.conditions.iter().flatten().any(|c| c.type_ == type_ && c.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn facts(owner: &str, status: &Value) -> Option<PodFacts> {
        let pod = json!({
            "metadata": {
                "namespace": "ns", "name": "p", "uid": "u",
                "labels": { labels::POOL: "default" },
                "ownerReferences": [{
                    "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "name": owner, "uid": "x",
                    "controller": true,
                }],
            },
            "status": status,
        });
        PodFacts::of(&serde_json::from_value(pod).unwrap())
    }

    fn state(state: &Value) -> Value {
        json!({ "phase": "Running", "containerStatuses": [{
            "name": "executor", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state,
        }]})
    }

    #[test]
    fn a_pod_with_our_label_but_another_owner_is_not_ours() {
        assert!(facts("other", &json!({})).is_none());
        assert!(facts("default", &json!({})).is_some());
    }

    #[test]
    fn a_pod_whose_container_has_ended_is_dead_whatever_its_phase() {
        let ended = json!({ "terminated": {
            "exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:00Z",
            "message": "{\"executionUid\":\"e\"}",
        }});
        let facts = facts("default", &state(&ended)).unwrap();
        assert_eq!(facts.life, Life::Dead);
        assert!(facts.fate.out_of_memory && facts.fate.ended.is_some());
        assert_eq!(facts.fate.told.unwrap().execution_uid.as_deref(), Some("e"));
    }

    #[test]
    fn a_pod_without_a_running_container_is_pending() {
        assert_eq!(facts("default", &json!({})).unwrap().life, Life::Pending);
        assert_eq!(facts("default", &json!({ "phase": "Pending" })).unwrap().life, Life::Pending);
        let running = state(&json!({ "running": {} }));
        assert_eq!(facts("default", &running).unwrap().life, Life::Running);
    }
}
