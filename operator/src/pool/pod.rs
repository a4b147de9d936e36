//! The shape of a pool's pods, and nothing else decides it: pure.

use crds::{
    SandboxPool, labels, limits,
    sandbox_pool::{AnyObject, Egress, PodTemplate},
};
use k8s_openapi::api::core::v1::Pod;
use kube::Resource as _;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::facts::CONTAINER;

/// The user that pods run as.
const UID: i64 = 65532;
/// Where the executor keeps runs; a volume with the workspace's size limit.
const STATE_DIR: &str = "/var/lib/carrel";
/// A pod that is told to go finishes its run first, so it may take as long as the longest run.
const GRACE_SECONDS: i64 =
    (limits::MAX_TIMEOUT_MILLISECONDS + limits::COLLECT_MILLISECONDS + limits::OPERATOR_MARGIN_MILLISECONDS)
        / 1000;

/// What all pods of an operator have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodDefaults {
    /// The image when the pool names none.
    pub(crate) image: String,
    /// What executors accept tokens from.
    pub(crate) public_keys: String,
    /// Whether the node's user namespace is shared.
    pub(crate) host_users: Option<bool>,
    /// Further environment.
    pub(crate) env: Vec<(String, String)>,
}

/// The pod of a pool, without a name, and the hash of its shape.
pub(crate) fn build(pool: &SandboxPool, defaults: &PodDefaults) -> Result<(Pod, String), serde_json::Error> {
    let mut pod = shape(pool, defaults);
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, pod.to_string().as_bytes()).simple().to_string();
    // The owner is not part of the shape: a pool that is made again has a new uid.
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        let owner = pool.controller_owner_ref(&());
        metadata.insert("ownerReferences".to_owned(), json!(owner.into_iter().collect::<Vec<_>>()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.insert(labels::TEMPLATE_HASH.to_owned(), json!(hash));
        }
    }
    Ok((serde_json::from_value(pod)?, hash))
}

fn shape(pool: &SandboxPool, defaults: &PodDefaults) -> Value {
    let name = pool.metadata.name.as_deref().unwrap_or_default();
    let template = &pool.spec.template;
    let mut pod_labels = template.labels.clone();
    pod_labels.retain(|key, _| !key.starts_with("carrel.dev/"));
    pod_labels.extend(labels::pool_pod(name));
    let mut annotations = template.annotations.clone();
    annotations.retain(|key, _| !key.starts_with("carrel.dev/"));
    json!({
        "metadata": {
            "namespace": pool.metadata.namespace,
            "labels": pod_labels,
            "annotations": annotations,
        },
        "spec": spec(pool, defaults),
    })
}

fn spec(pool: &SandboxPool, defaults: &PodDefaults) -> Value {
    let template = &pool.spec.template;
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [container(pool, defaults)],
        "volumes": [
            { "name": "state", "emptyDir": { "sizeLimit": pool.spec.workspace.size_limit } },
            { "name": "tmp", "emptyDir": { "sizeLimit": "256Mi" } },
        ],
    });
    if let Some(spec) = spec.as_object_mut() {
        dns(pool.spec.egress, spec);
        if let Some(host_users) = defaults.host_users {
            spec.insert("hostUsers".to_owned(), json!(host_users));
        }
        scheduling(template, spec);
    }
    spec
}

/// Without egress there is no resolver either: names would be a way out.
fn dns(egress: Egress, spec: &mut Map<String, Value>) {
    match egress {
        Egress::Denied => {
            spec.insert("dnsPolicy".to_owned(), json!("None"));
            spec.insert("dnsConfig".to_owned(), json!({ "nameservers": ["127.0.0.1"] }));
        }
        Egress::Allowed => {
            spec.insert("dnsPolicy".to_owned(), json!("Default"));
        }
    }
}

fn scheduling(template: &PodTemplate, spec: &mut Map<String, Value>) {
    let lists = |objects: &[AnyObject]| (!objects.is_empty()).then(|| json!(objects));
    let secrets = (!template.image_pull_secrets.is_empty()).then(|| json!(template.image_pull_secrets));
    let selector = (!template.node_selector.is_empty()).then(|| json!(template.node_selector));
    let optional = [
        ("imagePullSecrets", secrets),
        ("nodeSelector", selector),
        ("tolerations", lists(&template.tolerations)),
        ("affinity", template.affinity.as_ref().map(|affinity| json!(affinity))),
        ("topologySpreadConstraints", lists(&template.topology_spread_constraints)),
        ("priorityClassName", template.priority_class_name.as_ref().map(|name| json!(name))),
        ("runtimeClassName", template.runtime_class_name.as_ref().map(|name| json!(name))),
    ];
    for (field, value) in optional {
        if let Some(value) = value {
            spec.insert(field.to_owned(), value);
        }
    }
}

fn container(pool: &SandboxPool, defaults: &PodDefaults) -> Value {
    let template = &pool.spec.template;
    let mut container = json!({
        "name": CONTAINER,
        "image": template.image.as_ref().unwrap_or(&defaults.image),
        "env": environment(pool, defaults),
        "ports": [{ "name": "executor", "containerPort": protocol::EXECUTOR_PORT, "protocol": "TCP" }],
        "readinessProbe": {
            "httpGet": { "path": protocol::routes::READYZ, "port": protocol::EXECUTOR_PORT },
            "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 3,
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
        },
        "volumeMounts": [
            { "name": "state", "mountPath": STATE_DIR },
            { "name": "tmp", "mountPath": "/tmp" },
        ],
    });
    if let Some(container) = container.as_object_mut() {
        if let Some(policy) = template.image_pull_policy {
            container.insert("imagePullPolicy".to_owned(), json!(policy));
        }
        if let Some(resources) = &template.resources {
            container.insert("resources".to_owned(), json!(resources));
        }
    }
    container
}

fn environment(pool: &SandboxPool, defaults: &PodDefaults) -> Value {
    let mut env = vec![
        json!({ "name": "CARREL_POD_UID", "valueFrom": { "fieldRef": { "fieldPath": "metadata.uid" } } }),
        json!({ "name": "CARREL_POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }),
        json!({ "name": "CARREL_LISTEN", "value": format!("$(CARREL_POD_IP):{}", protocol::EXECUTOR_PORT) }),
        json!({ "name": "CARREL_PUBLIC_KEYS", "value": defaults.public_keys }),
        json!({ "name": "CARREL_STATE_DIR", "value": STATE_DIR }),
    ];
    if !pool.spec.preload.is_empty() {
        env.push(json!({ "name": "CARREL_PRELOAD", "value": pool.spec.preload.join(",") }));
    }
    env.extend(defaults.env.iter().map(|(name, value)| json!({ "name": name, "value": value })));
    Value::Array(env)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> PodDefaults {
        PodDefaults {
            image: "executor:1".to_owned(),
            public_keys: "k1:AAAA".to_owned(),
            host_users: Some(false),
            env: Vec::new(),
        }
    }

    fn pool(spec: &Value) -> SandboxPool {
        serde_json::from_value(json!({
            "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool",
            "metadata": { "namespace": "default", "name": "default", "uid": "pool-uid" },
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn the_shape_of_a_default_pod_is_the_reviewed_one() {
        let (pod, _) = build(&pool(&json!({})), &defaults()).unwrap();
        insta::assert_yaml_snapshot!(pod);
    }

    #[test]
    fn the_hash_follows_the_shape_and_not_the_owner() {
        let hash = |pool: &SandboxPool| build(pool, &defaults()).unwrap().1;
        let first = pool(&json!({}));
        let mut again = first.clone();
        again.metadata.uid = Some("another".to_owned());
        again.spec.replicas = 9;
        assert_eq!(hash(&first), hash(&again));
        assert_ne!(hash(&first), hash(&pool(&json!({ "template": { "image": "executor:2" } }))));
    }

    #[test]
    fn a_template_cannot_set_our_labels() {
        let spec = json!({ "template": { "labels": { labels::POOL: "other", "team": "a" } } });
        let (pod, _) = build(&pool(&spec), &defaults()).unwrap();
        let labels = pod.metadata.labels.unwrap();
        assert_eq!(labels.get(labels::POOL).map(String::as_str), Some("default"));
        assert_eq!(labels.get("team").map(String::as_str), Some("a"));
    }

    #[test]
    fn a_scheduling_rule_of_the_wrong_form_is_an_error() {
        let spec = json!({ "template": { "tolerations": [{ "key": 5 }] } });
        assert!(build(&pool(&spec), &defaults()).is_err());
    }
}
