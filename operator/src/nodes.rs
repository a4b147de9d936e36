//! Which nodes pods must leave: pure, and the cache of them. Nodes that are as they should be are not in it, so that
//! what nodes say every few minutes changes nothing here.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Node, Taint, Toleration};
use kube::{Resource, api::ObjectMeta};
use parking_lot::RwLock;
use serde::Deserialize;

use crate::pool::facts::PodFacts;

const NO_EXECUTE: &str = "NoExecute";
/// `kubectl cordon` sets a field; the taint that follows from it has this key.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// The node controller hears nothing from the node any more.
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Nodes with these are about to go, although their pods are not told yet.
const GOING: [&str; 3] = [UNSCHEDULABLE, "ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted"];

/// A node without its status, which is most of it and changes all the time.
#[derive(Debug, Clone, Deserialize, Resource)]
#[resource(inherit = "Node")]
pub(crate) struct BareNode {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: BareSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct BareSpec {
    unschedulable: bool,
    taints: Vec<Taint>,
}

impl BareNode {
    pub(crate) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

/// Why pods must leave a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Leaving {
    deleted: bool,
    taints: Vec<Taint>,
}

impl Leaving {
    /// `None` when nobody must leave the node.
    pub(crate) fn of(node: &BareNode) -> Option<Self> {
        let BareSpec { unschedulable, taints } = &node.spec;
        let counts = |taint: &&Taint| taint.effect == NO_EXECUTE || GOING.contains(&taint.key.as_str());
        let mut taints: Vec<Taint> =
            taints.iter().filter(counts).map(|taint| Taint { time_added: None, ..taint.clone() }).collect();
        if *unschedulable && !taints.iter().any(|taint| taint.key == UNSCHEDULABLE) {
            let (key, effect) = (UNSCHEDULABLE.to_owned(), "NoSchedule".to_owned());
            taints.push(Taint { key, effect, ..Taint::default() });
        }
        let deleted = node.metadata.deletion_timestamp.is_some();
        (deleted || !taints.is_empty()).then_some(Self { deleted, taints })
    }
}

/// What its node means for a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It can stay.
    Good,
    /// It will have to go soon.
    Leaving,
    /// Nobody hears of the node any more.
    Lost,
}

/// The nodes that pods must leave.
#[derive(Debug, Default)]
pub(crate) struct Nodes(RwLock<HashMap<String, Leaving>>);

impl Nodes {
    /// Takes in what is known of a node now; `None` also when it is gone. The answer is whether that is news.
    pub(crate) fn set(&self, name: &str, leaving: Option<Leaving>) -> bool {
        let mut all = self.0.write();
        if all.get(name) == leaving.as_ref() {
            return false;
        }
        match leaving {
            Some(leaving) => all.insert(name.to_owned(), leaving),
            None => all.remove(name),
        };
        true
    }

    /// All that pods must leave.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.read().keys().cloned().collect()
    }

    /// What its node means for a pod.
    pub(crate) fn standing(&self, pod: &PodFacts) -> Standing {
        let all = self.0.read();
        match pod.node.as_ref().and_then(|name| all.get(name)) {
            Some(leaving) => standing(leaving, &pod.tolerations),
            None => Standing::Good,
        }
    }
}

/// A pod that tolerates a taint for ever would be replaced by one on the same node, again and again.
fn standing(leaving: &Leaving, tolerations: &[Toleration]) -> Standing {
    let tolerated = |taint: &Taint| tolerations.iter().any(|toleration| tolerates(toleration, taint));
    if leaving.taints.iter().any(|taint| taint.key == UNREACHABLE) {
        Standing::Lost
    } else if leaving.deleted || !leaving.taints.iter().all(tolerated) {
        Standing::Leaving
    } else {
        Standing::Good
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let Toleration { effect, key, operator, toleration_seconds, value } = toleration;
    let given = |text: &Option<String>| text.as_ref().filter(|text| !text.is_empty()).cloned();
    let exists = operator.as_deref() == Some("Exists");
    toleration_seconds.is_none()
        && given(effect).is_none_or(|effect| effect == taint.effect)
        && given(key).map_or(exists, |key| key == taint.key)
        && (exists || given(value) == given(&taint.value))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn leaving(spec: &Value) -> Option<Leaving> {
        let node = json!({ "metadata": { "name": "n" }, "spec": spec, "status": { "conditions": [] } });
        Leaving::of(&serde_json::from_value(node).unwrap())
    }

    fn of(spec: &Value, tolerations: &Value) -> Standing {
        let tolerations: Vec<Toleration> = serde_json::from_value(tolerations.clone()).unwrap();
        leaving(spec).map_or(Standing::Good, |leaving| standing(&leaving, &tolerations))
    }

    fn taint(key: &str, effect: &str) -> Value {
        json!({ "taints": [{ "key": key, "value": "v", "effect": effect, "timeAdded": "2026-01-01T00:00:00Z" }] })
    }

    #[test]
    fn pods_leave_a_node_that_is_cordoned_or_goes() {
        for (spec, standing) in [
            (json!({}), Standing::Good),
            (json!({ "unschedulable": false }), Standing::Good),
            (json!({ "unschedulable": true }), Standing::Leaving),
            (taint("ToBeDeletedByClusterAutoscaler", "NoSchedule"), Standing::Leaving),
            (taint(UNSCHEDULABLE, "NoSchedule"), Standing::Leaving),
            (taint("dedicated", "NoExecute"), Standing::Leaving),
            (taint("dedicated", "NoSchedule"), Standing::Good),
            (taint("DeletionCandidateOfClusterAutoscaler", "PreferNoSchedule"), Standing::Good),
            (taint("node.kubernetes.io/not-ready", "NoExecute"), Standing::Leaving),
            (taint(UNREACHABLE, "NoExecute"), Standing::Lost),
        ] {
            assert_eq!(of(&spec, &json!([])), standing, "{spec}");
        }
        let node = json!({ "metadata": { "name": "n", "deletionTimestamp": "2026-01-01T00:00:00Z" } });
        assert!(Leaving::of(&serde_json::from_value(node).unwrap()).is_some());
    }

    #[test]
    fn what_pods_tolerate_for_ever_is_no_reason_to_leave() {
        let dedicated = taint("dedicated", "NoExecute");
        for (toleration, standing) in [
            (json!({ "operator": "Exists" }), Standing::Good),
            (json!({ "key": "dedicated", "operator": "Exists", "effect": "NoExecute" }), Standing::Good),
            (json!({ "key": "dedicated", "value": "v" }), Standing::Good),
            (json!({ "key": "dedicated", "value": "w" }), Standing::Leaving),
            (json!({ "key": "other", "operator": "Exists" }), Standing::Leaving),
            (json!({ "key": "dedicated", "operator": "Exists", "effect": "NoSchedule" }), Standing::Leaving),
            (
                json!({ "key": "dedicated", "operator": "Exists", "tolerationSeconds": 300 }),
                Standing::Leaving,
            ),
        ] {
            assert_eq!(of(&dedicated, &json!([toleration])), standing, "{toleration}");
        }
        let all = json!([{ "operator": "Exists" }]);
        assert_eq!(of(&json!({ "unschedulable": true }), &all), Standing::Good, "they may be put there anew");
        assert_eq!(
            of(&taint(UNREACHABLE, "NoExecute"), &all),
            Standing::Lost,
            "it does not answer all the same"
        );
    }

    #[test]
    fn only_a_change_of_what_matters_is_news() {
        let nodes = Nodes::default();
        assert!(!nodes.set("n", leaving(&json!({}))), "a node as it should be");
        assert!(nodes.set("n", leaving(&json!({ "unschedulable": true }))));
        assert!(!nodes.set("n", leaving(&json!({ "unschedulable": true }))), "a heartbeat");
        let tainted = json!({ "unschedulable": true, "taints": [
            { "key": UNSCHEDULABLE, "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z" },
        ]});
        assert!(!nodes.set("n", leaving(&tainted)), "the taint that follows from it");
        assert_eq!(nodes.names(), ["n"]);
        assert!(nodes.set("n", leaving(&json!({}))));
        assert!(nodes.names().is_empty());
    }
}
