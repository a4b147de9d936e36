//! An installation of the chart: release, tenants, store, and the way to its Service. Dropping it removes all of it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Door, Helm, Kubectl, Process,
    cluster::{kubeconfig_for, variable},
    door::{address, is_reachable},
    helm::RELEASE,
    volume::Volume,
};

/// The kinds' definitions belong to all installations: how many there are, and whether the first found none.
static DEFINITIONS: Mutex<(usize, bool)> = Mutex::new((0, false));

const KINDS: [&str; 4] = [
    "codeexecutions.carrel.dev",
    "sandboxfiles.carrel.dev",
    "sandboxpools.carrel.dev",
    "sandboxworkspaces.carrel.dev",
];

/// The port of the front, of its Service and of its pods.
const PORT: u16 = 8000;

/// One installation, in namespaces of its own.
#[derive(Debug)]
pub struct Addon {
    system: String,
    kubectl: Kubectl,
    helm: Helm,
    /// kubectl of each tenant, by the tenant's short name.
    tenants: BTreeMap<String, (String, Kubectl)>,
    volume: Option<Volume>,
    dir: TempDir,
}

/// The values of an image that a variable names.
fn image(named: &str) -> Value {
    let (repository, tag) = named.rsplit_once(':').expect("an image with a tag");
    json!({"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"})
}

/// What a node of two cores takes.
fn small_values() -> Value {
    let resources =
        |memory: &str| json!({"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": memory}});
    json!({
        "image": image(&variable("CARREL_E2E_CONTROL_IMAGE")),
        "executor": {"image": image(&variable("CARREL_E2E_EXECUTOR_IMAGE"))},
        "operator": {"resources": resources("256Mi")},
        "shim": {"resources": resources("256Mi"), "terminationGracePeriodSeconds": 20},
        "store": {"size": "1Gi", "storageClass": ""},
        "tenantDefaults": {"pool": {"resources": resources("512Mi")}},
    })
}

impl Addon {
    /// Namespace and store of an installation with these values and tenants, which are `{"name": ..}` with a short
    /// name and whatever the chart takes of one. The chart is not installed yet.
    #[must_use]
    pub fn prepare(values: &Value, tenants: &[Value]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let suffix = dir.path().file_name().and_then(|name| name.to_str()).expect("a name").to_lowercase();
        let id = format!("e2e-{}", suffix.trim_start_matches(".tmp"));
        let system = format!("{id}-system");
        let kubectl_of = |namespace: &str| {
            let file = dir.path().join(namespace);
            kubeconfig_for(namespace, &file);
            Kubectl::new(file)
        };
        let (mut named, mut list) = (BTreeMap::new(), Vec::new());
        for tenant in tenants {
            let short = tenant["name"].as_str().expect("a name");
            let mut tenant = tenant.clone();
            tenant["name"] = format!("{id}-{short}").into();
            named.insert(short.to_owned(), (format!("{id}-{short}"), kubectl_of(&format!("{id}-{short}"))));
            list.push(tenant);
        }
        let mut helm = Helm::new(dir.path().join(&system), &system, &small_values());
        helm.add_values(&json!({ "tenants": list }));
        helm.add_values(values);
        let kubectl = kubectl_of(&system);
        count_in(&kubectl);
        let mut addon = Self { system, kubectl, helm, tenants: named, volume: None, dir };
        let _ = addon.kubectl.run(&["create", "namespace", &addon.system], "");
        let modes = ["ReadWriteOnce", "ReadWriteMany"];
        let claim = format!("{RELEASE}-store");
        addon.volume = Some(Volume::create(&addon.kubectl, &addon.system, &claim, &modes));
        addon
    }

    /// Installs the chart, and lets programs reach the counter of the test where policies are enforced.
    pub fn install(&self) {
        self.helm.install();
        self.await_parts();
        let host = format!("{}/32", variable("CARREL_E2E_HOST_ADDRESS"));
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "counter"},
            "spec": {
                "podSelector": {}, "policyTypes": ["Egress"],
                // Ports that listeners get, and no API server has.
                "egress": [{"to": [{"ipBlock": {"cidr": host}}], "ports": [{"port": 32768, "endPort": 60999}]}],
            },
        });
        for (_, kubectl) in self.tenants.values() {
            let _ = kubectl.run(&["apply", "-f", "-"], &policy.to_string());
        }
        self.await_pools();
    }

    /// Waits until each pool of the chart has its pods.
    pub fn await_pools(&self) {
        for (_, kubectl) in self.tenants.values() {
            let _ = kubectl.run(&["wait", "--for=condition=Ready", "sbp/default", "--timeout=120s"], "");
        }
    }

    /// The same release with further values.
    pub fn upgrade(&mut self, values: &Value) {
        self.helm.add_values(values);
        self.helm.upgrade();
        self.await_parts();
    }

    /// Waits until operator and front are there as they should be, and nothing of what was before.
    fn await_parts(&self) {
        for part in ["operator", "shim"] {
            let deployment = format!("deployment/{RELEASE}-{part}");
            let _ = self.kubectl.run(&["rollout", "status", &deployment, "--timeout=120s"], "");
        }
    }

    /// helm for its release.
    #[must_use]
    pub const fn helm(&self) -> &Helm {
        &self.helm
    }

    /// The namespace of operator and front.
    #[must_use]
    pub fn system(&self) -> &str {
        &self.system
    }

    /// kubectl in that namespace, with all rights.
    #[must_use]
    pub const fn admin(&self) -> &Kubectl {
        &self.kubectl
    }

    /// kubectl in the namespace of a tenant, with all rights.
    #[must_use]
    pub fn tenant(&self, short: &str) -> &Kubectl {
        &self.tenants[short].1
    }

    /// The namespace of a tenant.
    #[must_use]
    pub fn namespace(&self, short: &str) -> &str {
        &self.tenants[short].0
    }

    /// The pods of `operator` or `shim` that are ready: name and address.
    #[must_use]
    pub fn pods(&self, part: &str) -> Vec<(String, String)> {
        let selector = format!("app.kubernetes.io/component={part}");
        let pods = self.kubectl.list(&["pods", "-l", &selector]);
        let ready = |pod: &Value| {
            let statuses = pod["status"]["containerStatuses"].as_array();
            let ready = statuses.is_some_and(|all| all.iter().all(|status| status["ready"] == true));
            ready && pod["metadata"]["deletionTimestamp"].is_null()
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pods = pods.iter().filter(|pod| ready(pod));
        pods.map(|pod| (text(&pod["metadata"]["name"]), text(&pod["status"]["podIP"]))).collect()
    }

    /// The name that the Service has in the cluster.
    fn service(&self) -> String {
        format!("{RELEASE}.{}.svc", self.system)
    }

    /// HTTP of a tenant through the Service. It has an address that this machine reaches, or else a port is forwarded.
    pub async fn door(&self, tenant: &str) -> Door {
        let service = self.kubectl.get("service", RELEASE);
        let host = service["spec"]["clusterIP"].as_str().unwrap_or_default();
        let door = match address(host, PORT).filter(|address| is_reachable(*address)) {
            Some(address) => Door::new(&self.service(), address),
            None => Door::forwarded(self.forward().await),
        };
        self.with_token(door, tenant)
    }

    /// HTTP of a tenant to that pod of the front.
    #[must_use]
    pub fn door_of_pod(&self, tenant: &str, ip: &str) -> Door {
        self.with_token(Door::new(&self.service(), address(ip, PORT).expect("an address")), tenant)
    }

    fn with_token(&self, door: Door, tenant: &str) -> Door {
        match self.token(tenant) {
            Some(token) => door.with_token(&token),
            None => door,
        }
    }

    /// The token that the operator has made for a tenant.
    #[must_use]
    pub fn token(&self, tenant: &str) -> Option<String> {
        let path = "go-template={{index .data \"tokens.json\" | base64decode}}";
        let said = self.kubectl.output(&["get", "secret", "carrel-tokens", "-o", path], "");
        let tokens: Value = serde_json::from_slice(&said.stdout).ok()?;
        tokens[self.namespace(tenant)].as_str().map(str::to_owned)
    }

    /// `kubectl port-forward` to the Service, and the port it took.
    pub async fn forward(&self) -> (u16, Process) {
        let mut command = self.kubectl.command();
        command.args(["port-forward", &format!("service/{RELEASE}"), &format!(":{PORT}")]);
        let process = Process::start(&mut command, self.dir.path().join("port-forward.log"));
        let port = crate::eventually("kubectl to forward a port", async || {
            let log = process.log();
            let port = log.lines().find_map(|line| line.strip_prefix("Forwarding from 127.0.0.1:"));
            port?.split(' ').next()?.parse().ok()
        })
        .await;
        (port, process)
    }

    /// What a failing test should show.
    pub fn dump(&self) {
        let show = |kubectl: &Kubectl, namespace: &str, args: &[&str]| {
            let said = kubectl.output(args, "");
            eprintln!("--- {namespace}: kubectl {} ---", args.join(" "));
            eprintln!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        };
        for (namespace, kubectl) in self.tenants.values() {
            for kind in ["sandboxpools", "codeexecutions", "pods", "events"] {
                show(kubectl, namespace, &["get", kind, "-o", "wide"]);
            }
        }
        show(&self.kubectl, &self.system, &["get", "pods,jobs,pvc,leases", "-o", "wide"]);
        show(&self.kubectl, &self.system, &["get", "events"]);
        let logs = ["logs", "-l", "app.kubernetes.io/name=carrel", "--prefix", "--tail=80"];
        show(&self.kubectl, &self.system, &logs);
        show(&self.kubectl, &self.system, &[&logs[..], &["--previous"]].concat());
    }
}

impl Drop for Addon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dump();
        }
        self.helm.remove();
        let force = ["delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false"];
        for (_, kubectl) in self.tenants.values() {
            // Pods would finish their runs first; nobody waits for those any more.
            let _ = kubectl.output(&force, "");
        }
        let _ = self.kubectl.output(&force, "");
        if let Some(volume) = &self.volume {
            volume.remove(&self.kubectl);
        }
        let mut delete = vec!["delete", "namespace", "--ignore-not-found", "--wait=false", &self.system];
        delete.extend(self.tenants.values().map(|(namespace, _)| namespace.as_str()));
        let _ = self.kubectl.output(&delete, "");
        count_out(&self.kubectl);
    }
}

fn count_in(kubectl: &Kubectl) {
    let mut definitions = DEFINITIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if definitions.0 == 0 {
        definitions.1 = !kubectl.output(&["get", "crd", KINDS[0]], "").status.success();
    }
    definitions.0 += 1;
}

/// The last one removes the definitions, when there were none before the first.
fn count_out(kubectl: &Kubectl) {
    let mut definitions = DEFINITIONS.lock().unwrap_or_else(PoisonError::into_inner);
    definitions.0 -= 1;
    if *definitions == (0, true) {
        let delete = [&["delete", "crd", "--ignore-not-found", "--timeout=60s"][..], &KINDS[..]].concat();
        let _ = kubectl.output(&delete, "");
    }
}
