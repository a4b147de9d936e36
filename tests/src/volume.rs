//! A volume for the store: a folder of one node, which works on clusters without a provisioner, and for any number of
//! pods as long as they are on that node.

use serde_json::{Value, json};

use crate::{Kubectl, cluster::variable};

/// Where the folders are on the node. A reboot removes them.
const FOLDER: &str = "/run/carrel-e2e";

/// The volume and who made it.
#[derive(Debug)]
pub(crate) struct Volume {
    name: String,
    node: String,
}

impl Volume {
    /// Makes a volume for that claim. `kubectl` is that of the claim's namespace.
    pub(crate) fn create(kubectl: &Kubectl, namespace: &str, claim: &str, modes: &[&str]) -> Self {
        let path = "jsonpath={.items[0].metadata.labels.kubernetes\\.io/hostname}";
        let node = kubectl.run(&["get", "nodes", "-o", path], "");
        let volume = Self { name: namespace.to_owned(), node };
        volume.in_folder(kubectl, "make", &format!("mkdir -m 0777 /folders/{namespace}"));
        let terms = json!([{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": [volume.node]},
        ]}]);
        let _ = kubectl.create(&json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume.name},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": modes,
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "claimRef": {"namespace": namespace, "name": claim},
                "hostPath": {"path": format!("{FOLDER}/{namespace}")},
                "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
            },
        }));
        volume
    }

    /// Removes it and what is in it. Whoever uses it is gone.
    pub(crate) fn remove(&self, kubectl: &Kubectl) {
        let name = &self.name;
        let _ = kubectl
            .output(&["create", "-f", "-"], &self.pod("end", &format!("rm -rf /folders/{name}")).to_string());
        let _ = kubectl.output(&["wait", PHASE, "pod/volume-end", "--timeout=30s"], "");
        let _ = kubectl.output(&["delete", "persistentvolume", name, "--wait=false"], "");
    }

    fn in_folder(&self, kubectl: &Kubectl, pod: &str, command: &str) {
        let name = kubectl.create(&self.pod(pod, command));
        let _ = kubectl.run(&["wait", PHASE, &format!("pod/{name}"), "--timeout=90s"], "");
    }

    /// Folders of a node belong to its root.
    fn pod(&self, name: &str, command: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("volume-{name}")},
            "spec": {
                "restartPolicy": "Never",
                "nodeSelector": {"kubernetes.io/hostname": self.node},
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": "volume", "image": variable("CARREL_E2E_EXECUTOR_IMAGE"),
                    "imagePullPolicy": "IfNotPresent", "command": ["bash", "-c", command],
                    "securityContext": {"runAsUser": 0, "runAsGroup": 0},
                    "volumeMounts": [{"name": "folders", "mountPath": "/folders"}],
                }],
                "volumes": [
                    {"name": "folders", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}},
                ],
            },
        })
    }
}

const PHASE: &str = "--for=jsonpath={.status.phase}=Succeeded";
