//! The local node: turns Pods into executor processes on this machine, as a kubelet does on its node.
//!
//! It learns of pods by watching the API and answers through their status; it has no other way to the operator.
//! It schedules nothing and knows nothing of pools or executions.
//!
//! | step | file |
//! |---|---|
//! | what is to be done for a pod | `decide.rs` (pure) |
//! | one pod's life | `worker.rs` |
//! | its environment | `environment.rs` (pure) |
//! | its address | `address.rs` |
//! | its process, and what it leaves behind | `process.rs`, `orphans.rs` |
//! | its readiness | `probe.rs` |
//! | its status | `status.rs` (pure) |

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};
use tokio::{
    sync::watch,
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

mod address;
mod decide;
mod environment;
mod orphans;
mod probe;
mod process;
mod status;
mod worker;

use decide::Step;
use orphans::Children;

/// The name of the one node, as pods show it.
pub const NODE_NAME: &str = "local";

/// What the node needs to start executors.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where pods keep their state while they live.
    pub pods_dir: PathBuf,
    /// The program that has an `executor` subcommand.
    pub executable: PathBuf,
    /// The Python interpreter for programs.
    pub python: PathBuf,
    /// A warm Matplotlib cache.
    pub matplotlib_cache: Option<PathBuf>,
}

/// Why the node stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// What killed executors leave behind would go unseen.
    #[error("cannot become the parent of orphaned processes")]
    Subreaper(#[source] std::io::Error),
}

/// What all workers share.
struct Shared {
    client: Client,
    config: NodeConfig,
    children: Children,
    http: reqwest::Client,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The node, before it runs.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
}

/// Tells a worker to end its pod, and within which grace.
type Stop = watch::Receiver<Option<Duration>>;

/// The workers of the pods that live, by pod uid.
#[derive(Default)]
struct Workers {
    tasks: JoinSet<()>,
    /// Whose each task is; with the pod, when something can still be said of it should the task panic.
    owners: HashMap<Id, (String, Option<Pod>)>,
    stops: HashMap<String, watch::Sender<Option<Duration>>>,
    /// What the list that is under way has named so far.
    listed: HashSet<String>,
}

impl Node {
    /// A node that uses `client` to watch its pods and to say how they are.
    #[must_use]
    pub fn new(client: Client, config: NodeConfig) -> Self {
        let children = Children::default();
        let http = reqwest::Client::new();
        Self { shared: Arc::new(Shared { client, config, children, http }) }
    }

    /// Runs until `shutdown`, then ends every executor.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), NodeError> {
        Children::adopt_orphans().map_err(NodeError::Subreaper)?;
        let pods: Api<Pod> = Api::all(self.shared.client.clone());
        let selector = watcher::Config::default().fields(&format!("spec.nodeName={NODE_NAME}"));
        let mut events = std::pin::pin!(watcher(pods, selector).default_backoff());
        let mut workers = Workers::default();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = workers.tasks.join_next_with_id() => self.ended(ended, &mut workers),
                event = events.try_next() => match event {
                    Ok(Some(event)) => self.take(event, &mut workers),
                    Ok(None) => break,
                    Err(error) => warn!(error = %error, "watching pods failed and is tried again"),
                },
            }
        }
        workers.end_all().await;
        Ok(())
    }

    fn take(&self, event: watcher::Event<Pod>, workers: &mut Workers) {
        match event {
            watcher::Event::Apply(pod) => self.apply(pod, workers),
            watcher::Event::Delete(pod) => self.gone(pod.uid().unwrap_or_default(), workers),
            watcher::Event::Init => workers.listed.clear(),
            watcher::Event::InitApply(pod) => {
                workers.listed.insert(pod.uid().unwrap_or_default());
                self.apply(pod, workers);
            }
            watcher::Event::InitDone => {
                let listed = std::mem::take(&mut workers.listed);
                let known = workers.stops.keys().cloned().chain(self.kept());
                let vanished: HashSet<String> = known.filter(|uid| !listed.contains(uid)).collect();
                for uid in vanished {
                    self.gone(uid, workers);
                }
            }
        }
    }

    /// A pod is no object any more: its process ends at once, and what it left is removed.
    fn gone(&self, uid: String, workers: &mut Workers) {
        if workers.stops.contains_key(&uid) {
            workers.terminate(&uid, Duration::ZERO);
        } else {
            workers.start(uid.clone(), None, |_| worker::remove_state(self.shared.clone(), uid));
        }
    }

    /// The pods that have state here, by uid.
    fn kept(&self) -> impl Iterator<Item = String> {
        let entries = std::fs::read_dir(&self.shared.config.pods_dir).into_iter().flatten();
        entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok())
    }

    fn apply(&self, pod: Pod, workers: &mut Workers) {
        let uid = pod.uid().unwrap_or_default();
        match decide::step(&pod, workers.stops.contains_key(&uid)) {
            Step::Nothing => {}
            Step::Terminate => workers.terminate(&uid, grace(&pod)),
            Step::Start => self.start(pod, workers, worker::live),
            Step::Bury => self.start(pod, workers, worker::bury),
            Step::Remove => self.start(pod, workers, worker::remove),
        }
    }

    fn start<F, T>(&self, pod: Pod, workers: &mut Workers, task: F)
    where
        F: FnOnce(Arc<Shared>, Pod, Stop) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let uid = pod.uid().unwrap_or_default();
        workers.start(uid, Some(pod.clone()), |stop| task(self.shared.clone(), pod, stop));
    }

    /// A worker has ended. One that panicked leaves a pod that nobody cares for, so another one says that it failed.
    fn ended(&self, ended: Result<(Id, ()), JoinError>, workers: &mut Workers) {
        let (id, panic) = match ended {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        let Some((uid, pod)) = workers.owners.remove(&id) else { return };
        let stop = workers.stops.remove(&uid).and_then(|stop| *stop.borrow());
        if let Some(error) = panic {
            error!(pod_uid = uid, %error, "the worker of a pod panicked; the pod is given up");
            let Some(pod) = pod else { return };
            let shared = self.shared.clone();
            workers.start(uid.clone(), None, |stop| worker::give_up(shared, pod, stop));
            if let Some(grace) = stop {
                workers.terminate(&uid, grace);
            }
        }
    }
}

impl Workers {
    fn start<F, T>(&mut self, uid: String, pod: Option<Pod>, task: F)
    where
        F: FnOnce(Stop) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let (sender, receiver) = watch::channel(None);
        self.stops.insert(uid.clone(), sender);
        let id = self.tasks.spawn(task(receiver)).id();
        self.owners.insert(id, (uid, pod));
    }

    fn terminate(&self, uid: &str, grace: Duration) {
        if let Some(sender) = self.stops.get(uid) {
            // A grace is only ever shortened.
            sender.send_modify(|stop| *stop = Some(stop.map_or(grace, |earlier| earlier.min(grace))));
        }
    }

    /// Dropping a worker drops its process, which kills the executor. What that had started is ours then, and ends
    /// before we do.
    async fn end_all(mut self) {
        info!(pods = self.tasks.len(), "ending the pods of the local node");
        self.tasks.shutdown().await;
        let complete = tokio::task::spawn_blocking(|| executor::kill_orphans(&BTreeSet::new())).await;
        if !complete.unwrap_or(false) {
            warn!("something that a program started could not be killed");
        }
    }
}

/// The time that a pod which is being deleted has to end.
fn grace(pod: &Pod) -> Duration {
    let seconds = pod.metadata.deletion_grace_period_seconds.and_then(|s| u64::try_from(s).ok());
    Duration::from_secs(seconds.unwrap_or_default())
}

#[cfg(test)]
mod tests;
