//! What the tests share: an API, a node and an operator in a folder of their own, each test in a process of its own.
//!
//! A node kills every child of its process that is no executor of its own, so two nodes cannot live in one process.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use blobs::{Blobs, BlobsConfig};
use crds::{CodeExecution, CodeExecutionStatus, ExecutionPhase, SandboxFile, SandboxPool};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use operator::{Operator, OperatorConfig, OperatorError, Timings, live_output::LiveOutputs};
use serde_json::{Value, json};
use standalone::{
    api::{ApiServer, Identity},
    node::{Node, NodeConfig},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::faults::Faults;
pub(crate) use crate::waits::{NEVER, eventually, soon, until};

/// In the environment of a process that runs one test.
const ALONE: &str = "CARREL_TEST_ALONE";

/// Runs a test in a process of its own, and ends everything that it started, also when it fails.
pub(crate) fn alone(test: impl Future<Output = ()>) {
    // A test's thread has its name. There is none when tests run one after another, which is as good.
    if let Some(name) = std::thread::current().name().filter(|name| *name != "main")
        && std::env::var_os(ALONE).is_none()
    {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
        let [out, errors] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(output.status.success() && out.contains("1 passed"), "{}\n{out}\n{errors}", output.status);
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    MADE.store(false, Ordering::SeqCst);
    let _children = Children;
    // Dropped first: it waits for what still runs in threads, and drops the node, whose executors die with it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(Box::pin(test));
}

/// Whether the test that runs has its bed.
static MADE: AtomicBool = AtomicBool::new(false);

/// The processes that this one started.
struct Children;

impl Drop for Children {
    fn drop(&mut self) {
        let all = executor::kill_orphans(&BTreeSet::new());
        assert!(all || std::thread::panicking(), "something is left that could not be killed");
    }
}

/// An operator that runs.
pub(crate) struct Running {
    pub(crate) ended: JoinHandle<Result<(), OperatorError>>,
    pub(crate) live: LiveOutputs,
    stop: CancellationToken,
}

/// All of it.
pub(crate) struct Bed {
    pub(crate) api: ApiServer,
    pub(crate) blobs: Blobs,
    pub(crate) operator: Option<Running>,
    pub(crate) folder: TempDir,
    pub(crate) faults: Faults,
    node: Option<JoinHandle<()>>,
    timings: Timings,
    /// Whether operators wait for each other's Lease.
    elected: bool,
}

impl Bed {
    /// With the usual timings and a default pool of that many idle pods and that many in all.
    pub(crate) async fn new(replicas: i32, max_pods: i32) -> Self {
        Self::with(Timings::default(), replicas, max_pods).await
    }

    pub(crate) async fn with(timings: Timings, replicas: i32, max_pods: i32) -> Self {
        Self::made(timings, false, replicas, max_pods).await
    }

    /// With operators of which the Lease allows one at a time.
    pub(crate) async fn elected(timings: Timings, replicas: i32, max_pods: i32) -> Self {
        Self::made(timings, true, replicas, max_pods).await
    }

    async fn made(timings: Timings, elected: bool, replicas: i32, max_pods: i32) -> Self {
        let mut bed = Self::empty().await;
        (bed.timings, bed.elected) = (timings, elected);
        bed.start_node();
        bed.start_operator();
        bed.make_pool("default", replicas, max_pods).await;
        bed.ready(replicas).await;
        bed
    }

    /// Only the API and the store.
    pub(crate) async fn empty() -> Self {
        // The node of an earlier bed would kill the executors of this one as orphans.
        assert!(!MADE.swap(true, Ordering::SeqCst), "a test has one bed");
        let folder = tempfile::tempdir().unwrap();
        let api = ApiServer::open(&folder.path().join("api"), crds::definitions::all()).await.unwrap();
        let blobs = Blobs::open(BlobsConfig::local(folder.path().join("blobs"))).await.unwrap();
        let timings = Timings::default();
        let faults = Faults::default();
        Self { api, blobs, operator: None, folder, faults, node: None, timings, elected: false }
    }

    pub(crate) fn start_node(&mut self) {
        let python = std::env::var_os("CARREL_PYTHON").unwrap_or_else(|| "python3".into());
        let config = NodeConfig {
            pods_dir: self.folder.path().join("pods"),
            executable: env!("CARGO_BIN_EXE_carrel").into(),
            python: python.into(),
            matplotlib_cache: None,
        };
        let node = Node::new(self.api.client(Identity::new("node")), config);
        let running = async move { node.run(CancellationToken::new()).await.unwrap() };
        self.node = Some(tokio::spawn(running));
    }

    /// The node goes without a word, and its executors and their programs with it.
    pub(crate) async fn kill_node(&mut self) {
        let node = self.node.take().unwrap();
        node.abort();
        let _ = node.await;
        let killed = tokio::task::spawn_blocking(|| executor::kill_orphans(&BTreeSet::new())).await;
        assert!(killed.unwrap(), "something is left that could not be killed");
    }

    pub(crate) fn start_operator(&mut self) {
        self.operator = Some(self.another_operator("first"));
    }

    /// An operator beside the one that the bed has, if any. What it is called is its identity in the Lease.
    pub(crate) fn another_operator(&self, identity: &str) -> Running {
        let config = OperatorConfig {
            sole_operator: !self.elected,
            identity: identity.to_owned(),
            executor_image: "carrel".to_owned(),
            timings: self.timings,
            ..OperatorConfig::default()
        };
        let client = self.faults.client(self.api.client(Identity::new("operator")));
        let operator = Operator::new(config, client, self.blobs.clone());
        let (live, stop) = (operator.live_output(), CancellationToken::new());
        Running { ended: tokio::spawn(operator.run(None, stop.clone())), live, stop }
    }

    /// The operator is told to end, and does.
    pub(crate) async fn end_operator(&mut self) {
        let running = self.operator.take().unwrap();
        running.stop.cancel();
        soon(running.ended).await.unwrap().unwrap();
    }

    /// The operator goes without a word, in the middle of whatever it does.
    pub(crate) async fn kill_operator(&mut self) {
        let running = self.operator.take().unwrap();
        running.ended.abort();
        assert!(running.ended.await.is_err_and(|error| error.is_cancelled()), "it had ended by itself");
    }

    pub(crate) fn client(&self) -> Client {
        self.api.client(Identity::new("user"))
    }

    pub(crate) fn executions(&self) -> Api<CodeExecution> {
        Api::namespaced(self.client(), "default")
    }

    pub(crate) fn files(&self) -> Api<SandboxFile> {
        Api::namespaced(self.client(), "default")
    }

    pub(crate) fn pools(&self) -> Api<SandboxPool> {
        Api::namespaced(self.client(), "default")
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client(), "default")
    }

    /// The names of all pods that there are.
    pub(crate) async fn pod_names(&self) -> BTreeSet<String> {
        self.pods().list(&ListParams::default()).await.unwrap().iter().map(ResourceExt::name_any).collect()
    }

    pub(crate) async fn make_pool(&self, name: &str, replicas: i32, max_pods: i32) {
        let spec = json!({"replicas": replicas, "maxPods": max_pods});
        let pool = SandboxPool::new(name, serde_json::from_value(spec).unwrap());
        self.pools().create(&PostParams::default(), &pool).await.unwrap();
    }

    pub(crate) async fn scale(&self, replicas: i32) {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.pools().patch("default", &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until the default pool has that many usable pods.
    pub(crate) async fn ready(&self, count: i32) {
        let ready = move |pool: Option<&SandboxPool>| {
            pool.and_then(|pool| pool.status.as_ref()).is_some_and(|status| status.ready_replicas == count)
        };
        until(self.pools(), "default", ready).await;
    }

    pub(crate) async fn create(&self, name: &str, spec: Value) -> CodeExecution {
        let object = CodeExecution::new(name, serde_json::from_value(spec).unwrap());
        self.executions().create(&PostParams::default(), &object).await.unwrap()
    }

    pub(crate) async fn make_file(&self, name: &str, spec: Value) -> SandboxFile {
        let object = SandboxFile::new(name, serde_json::from_value(spec).unwrap());
        self.files().create(&PostParams::default(), &object).await.unwrap()
    }

    pub(crate) async fn cancel(&self, name: &str) {
        let patch = Patch::Merge(json!({"spec": {"cancel": true}}));
        self.executions().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until the execution is in that phase, and gives its status.
    pub(crate) async fn phase(&self, name: &str, phase: ExecutionPhase) -> CodeExecutionStatus {
        let there = move |found: Option<&CodeExecution>| {
            found.and_then(|object| object.status.as_ref()).is_some_and(|status| status.phase == phase)
        };
        until(self.executions(), name, there).await.unwrap().status.unwrap()
    }

    /// Waits for the end of an execution, and gives its status.
    pub(crate) async fn finished(&self, name: &str) -> CodeExecutionStatus {
        let ended = |found: Option<&CodeExecution>| {
            found.and_then(|object| object.status.as_ref()).is_some_and(|status| status.phase.is_terminal())
        };
        until(self.executions(), name, ended).await.unwrap().status.unwrap()
    }

    /// Makes an execution and waits for its end.
    pub(crate) async fn run(&self, name: &str, spec: Value) -> CodeExecutionStatus {
        self.create(name, spec).await;
        self.finished(name).await
    }

    /// How often executions were written, by verb and subresource.
    pub(crate) fn writes(&self) -> BTreeMap<(String, String), u64> {
        let mut writes = BTreeMap::new();
        for line in self.api.metrics().lines().filter(|line| line.contains("resource=\"codeexecutions\"")) {
            let (labels, count) = line.rsplit_once(' ').unwrap();
            let label = |name: &str| {
                let (_, after) = labels.split_once(&format!("{name}=\"")).unwrap();
                after.split_once('"').unwrap().0.to_owned()
            };
            let (verb, subresource) = (label(",verb"), label("subresource"));
            if !["GET", "LIST", "WATCH"].contains(&verb.as_str()) {
                *writes.entry((verb, subresource)).or_default() += count.parse::<u64>().unwrap();
            }
        }
        writes
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
