//! Operators and a shim as processes in front of a real API server, in namespaces of their own.
//!
//! The cluster is that of `CARREL_E2E_KUBECONFIG`; its nodes have the executor image `CARREL_E2E_EXECUTOR_IMAGE`, and
//! this machine reaches its pods, as `make cluster-up` sees to.

use std::{
    net::TcpListener,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use kube::config::Kubeconfig;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Front, Kubectl, binary, eventually, http, repository};

/// One process of the product. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle of the log"))
            .stderr(file)
            .spawn()
            .expect("the program starts");
        Self { child, log }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("a process that runs");
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process that can be killed");
        self.child.wait().expect("a process that can be waited for");
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a process that can be waited for").is_some()
    }

    /// What it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.log.display(), self.log());
        }
    }
}

/// A tenant's namespace with a pool, and what serves it. Dropping it removes all of it.
#[derive(Debug)]
pub struct Cluster {
    front: Front,
    dir: TempDir,
    tenant: String,
    admin: Kubectl,
    shim: Option<Process>,
    operators: usize,
}

impl Deref for Cluster {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.front
    }
}

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make e2e`"))
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// The kubeconfig of the cluster with another default namespace.
pub(crate) fn kubeconfig_for(namespace: &str, file: &Path) {
    let mut config = Kubeconfig::read_from(variable("CARREL_E2E_KUBECONFIG")).expect("a kubeconfig");
    for context in &mut config.contexts {
        if let Some(context) = &mut context.context {
            context.namespace = Some(namespace.to_owned());
        }
    }
    std::fs::write(file, serde_json::to_string(&config).expect("JSON is YAML"))
        .expect("a kubeconfig is written");
}

impl Cluster {
    /// A fresh tenant with a pool of this spec. Nothing serves it yet.
    #[must_use]
    pub fn prepare(pool: &Value) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let suffix = dir.path().file_name().and_then(|name| name.to_str()).expect("a name").to_lowercase();
        let tenant = format!("e2e-{}", suffix.trim_start_matches(".tmp"));
        let kubeconfig = dir.path().join("kubeconfig");
        kubeconfig_for(&tenant, &kubeconfig);
        let admin = Kubectl::new(kubeconfig.clone());
        let golden = repository().join("crds/golden");
        let golden = golden.to_str().expect("a path in UTF-8");
        let _ = admin.run(&["apply", "--server-side", "--force-conflicts", "-f", golden], "");
        let _ = admin.run(&["wait", "--for=condition=Established", "--timeout=30s", "-f", golden], "");
        for namespace in [&tenant, &format!("{tenant}-system")] {
            let _ = admin.run(&["create", "namespace", namespace], "");
        }
        let label = "pod-security.kubernetes.io/enforce=restricted";
        let _ = admin.run(&["label", "namespace", &tenant, label], "");
        let object = json!({
            "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": "default"}, "spec": pool,
        });
        let _ = admin.create(&object);
        let blobs = dir.path().join("blobs");
        std::fs::create_dir(&blobs).expect("a folder for bytes");
        let front = Front { http: format!("http://{}", free_address()), kubeconfig, blobs };
        Self { front, dir, tenant, admin, shim: None, operators: 0 }
    }

    /// A tenant that is served by one operator and a shim, and ready.
    pub async fn start(pool: &Value) -> (Self, Process) {
        let mut cluster = Self::prepare(pool);
        let operator = cluster.operator(&[]);
        cluster.serve().await;
        cluster.await_ready(pool["replicas"].as_i64().unwrap_or(1)).await;
        (cluster, operator)
    }

    /// Starts one more operator, behind a program that runs it when `wrapper` is one.
    pub fn operator(&mut self, wrapper: &[&str]) -> Process {
        self.operators += 1;
        let program = binary("carrel-operator");
        let mut words = wrapper.iter().map(PathBuf::from).chain([program]);
        let mut command = Command::new(words.next().expect("a program"));
        command
            .args(words)
            .env("KUBECONFIG", &self.front.kubeconfig)
            .env("CARREL_NAMESPACES", &self.tenant)
            .env("CARREL_OPERATOR_NAMESPACE", format!("{}-system", self.tenant))
            .env("CARREL_EXECUTOR_IMAGE", variable("CARREL_E2E_EXECUTOR_IMAGE"))
            .env("CARREL_BLOBS_DIR", &self.front.blobs)
            .env("CARREL_USER_NAMESPACES", "true")
            .env("CARREL_INTERNAL_LISTEN", "127.0.0.1:0")
            .env("CARREL_ADMIN_LISTEN", "127.0.0.1:0");
        Process::start(&mut command, self.dir.path().join(format!("operator-{}.log", self.operators)))
    }

    /// Starts the shim and waits until it answers.
    pub async fn serve(&mut self) {
        let address = self.front.http.trim_start_matches("http://").to_owned();
        let mut command = Command::new(binary("carrel-api-shim"));
        command
            .env("KUBECONFIG", &self.front.kubeconfig)
            .env("KUBERNETES_EXECUTOR_NAMESPACE", &self.tenant)
            .env("CARREL_OPERATOR_NAMESPACE", format!("{}-system", self.tenant))
            .env("APP_FILE_STORAGE_PATH", &self.front.blobs)
            .env("APP_HTTP_LISTEN_ADDR", address);
        self.shim = Some(Process::start(&mut command, self.dir.path().join("shim.log")));
        let url = self.url("/health");
        eventually("the shim to answer", async || http().get(&url).send().await.ok().map(drop)).await;
    }

    /// Waits until the pool has so many usable pods.
    pub async fn await_ready(&self, pods: i64) {
        eventually("the pool to be ready", async || {
            let pool = self.admin.get("sandboxpool", "default");
            (pool["status"]["readyReplicas"].as_i64().unwrap_or(0) >= pods).then_some(())
        })
        .await;
    }

    /// The shim, when it was started.
    #[must_use]
    pub const fn shim(&self) -> Option<&Process> {
        self.shim.as_ref()
    }

    /// The script of the cluster, when it runs on this machine and so may be stopped and started.
    #[must_use]
    pub fn own_script() -> Option<PathBuf> {
        let top = std::fs::read_to_string("/run/carrel-cluster/root").ok()?;
        let top = Path::new(top.trim());
        let ours = top.join("target/cluster/kubeconfig") == Path::new(&variable("CARREL_E2E_KUBECONFIG"));
        ours.then(|| top.join("tests/cluster/cluster.sh"))
    }

    /// The namespace of the operators.
    #[must_use]
    pub fn system(&self) -> String {
        format!("{}-system", self.tenant)
    }

    /// What a failing test should show.
    fn dump(&self) {
        for kind in ["sandboxpools", "codeexecutions", "pods", "events"] {
            let said = self.admin.output(&["get", kind, "-o", "wide"], "");
            eprintln!("--- {kind} ---\n{}", String::from_utf8_lossy(&said.stdout));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dump();
        }
        self.shim = None;
        // Pods would finish their runs first; nobody waits for those any more.
        let _ = self.admin.output(&["delete", "pods", "--all", "--grace-period=0", "--force"], "");
        let namespaces = [self.tenant.clone(), self.system()];
        let _ =
            self.admin.output(&["delete", "namespace", &namespaces[0], &namespaces[1], "--wait=false"], "");
    }
}
