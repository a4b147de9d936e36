//! One pod's life: address, process, readiness, end. A task of its own, so that pods do not wait for each other.

use std::{path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};
use tracing::{debug, warn};

use super::{
    Shared, Stop, address, probe,
    process::Executor,
    status::{self, Ended},
};

/// Where, below its state, an executor writes what its pod's status shall say when it is dead.
pub(super) const TERMINATION_LOG: &str = "termination-log";
/// As a kubelet: longer messages are cut.
const TERMINATION_MESSAGE_BYTES: usize = 4096;

/// How long a write that failed waits at first, and at most. The API is in this process: it fails when its disk does,
/// or for as long as a test says.
const RETRY: std::ops::Range<Duration> = Duration::from_millis(50)..Duration::from_secs(10);

/// Runs `pod` until its process ends or `stop` says so; then, when the object is being deleted, removes it.
pub(super) async fn live(shared: Arc<Shared>, pod: Pod, mut stop: Stop) {
    let this = Worker::new(&shared, &pod);
    let last = match this.start() {
        Ok((mut executor, pod_ip)) => this.attend(&mut executor, &pod_ip, &mut stop).await,
        Err(error) => {
            warn!(pod = %pod.name_any(), %error, "cannot start an executor");
            status::failed_to_start(&error.to_string(), &now())
        }
    };
    this.conclude(&last, &mut stop).await;
}

/// Says that a pod of an earlier process of ours has ended: its executor died with that process.
pub(super) async fn bury(shared: Arc<Shared>, pod: Pod, mut stop: Stop) {
    let this = Worker::new(&shared, &pod);
    let end = Ended::unknown(this.termination_message());
    this.conclude(&status::ended(&this.image, &end, &now()), &mut stop).await;
}

/// Ends a pod whose worker panicked, with all that its executor had started.
pub(super) async fn give_up(shared: Arc<Shared>, pod: Pod, mut stop: Stop) {
    shared.children.sweep().await;
    let this = Worker::new(&shared, &pod);
    let end = Ended::node_error(this.termination_message());
    this.conclude(&status::ended(&this.image, &end, &now()), &mut stop).await;
}

/// Removes what a pod left that is no object any more.
pub(super) async fn remove_state(shared: Arc<Shared>, uid: String) {
    let state = shared.config.pods_dir.join(&uid);
    let removed = tokio::task::spawn_blocking(move || executor::remove_tree(&state)).await;
    if let Err(error) = removed.map_err(std::io::Error::other).flatten() {
        warn!(pod_uid = uid, %error, "cannot remove the state of a pod");
    }
}

/// Removes a pod that has no process.
pub(super) async fn remove(shared: Arc<Shared>, pod: Pod, mut stop: Stop) {
    Worker::new(&shared, &pod).remove(&mut stop).await;
}

struct Worker<'a> {
    shared: &'a Arc<Shared>,
    pod: &'a Pod,
    pods: Api<Pod>,
    state: PathBuf,
    image: String,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Arc<Shared>, pod: &'a Pod) -> Self {
        let container = pod.spec.as_ref().and_then(|s| s.containers.first());
        Self {
            shared,
            pod,
            pods: Api::namespaced(shared.client.clone(), &pod.namespace().unwrap_or_default()),
            state: shared.config.pods_dir.join(pod.uid().unwrap_or_default()),
            image: container.and_then(|c| c.image.clone()).unwrap_or_default(),
        }
    }

    fn start(&self) -> std::io::Result<(Executor, String)> {
        std::fs::create_dir_all(&self.state)?;
        // The executor writes its termination message only into a file that waits for it.
        std::fs::write(self.state.join(TERMINATION_LOG), "")?;
        let pod_ip = address::free(protocol::EXECUTOR_PORT)?.to_string();
        let executor =
            Executor::start(&self.shared.config, &self.shared.children, self.pod, &pod_ip, &self.state)?;
        Ok((executor, pod_ip))
    }

    /// Watches over a running executor and says in the status how it is. Gives the status of its end.
    async fn attend(&self, executor: &mut Executor, pod_ip: &str, stop: &mut Stop) -> Value {
        let ended = tokio::select! {
            status = executor.wait() => Some(status),
            () = self.report_readiness(pod_ip) => None,
            _ = stop.wait_for(Option::is_some) => None,
        };
        let ended = match ended {
            Some(status) => status,
            None => executor.terminate(stop).await,
        };
        let end = match ended {
            Ok(status) => Ended::of(status, self.termination_message()),
            Err(error) => {
                warn!(pod = %self.pod.name_any(), %error, "cannot tell how an executor ended");
                Ended::unknown(self.termination_message())
            }
        };
        debug!(pod = %self.pod.name_any(), code = end.code, "executor ended");
        status::ended(&self.image, &end, &now())
    }

    /// Says how the pod ended, unless it is being deleted. A pod that has ended stays as an object until somebody
    /// deletes it, and only then loses its state.
    async fn conclude(&self, last: &Value, stop: &mut Stop) {
        tokio::select! {
            biased;
            _ = stop.wait_for(Option::is_some) => {}
            () = self.say(last) => {}
        }
        let _ = stop.wait_for(Option::is_some).await;
        self.remove(stop).await;
    }

    /// Asks for readiness as long as the pod lives and writes each change.
    async fn report_readiness(&self, pod_ip: &str) {
        while !probe::ready(&self.shared.http, pod_ip, protocol::EXECUTOR_PORT).await {
            tokio::time::sleep(probe::FIRST_PERIOD).await;
        }
        self.say(&status::running(pod_ip, &self.image, true, &now())).await;
        let mut shown = true;
        loop {
            tokio::time::sleep(probe::period(self.pod)).await;
            let ready = probe::ready(&self.shared.http, pod_ip, protocol::EXECUTOR_PORT).await;
            if ready != shown {
                self.say(&status::readiness(ready, &now())).await;
                shown = ready;
            }
        }
    }

    fn termination_message(&self) -> String {
        let text = std::fs::read(self.state.join(TERMINATION_LOG)).unwrap_or_default();
        let kept = text.get(..TERMINATION_MESSAGE_BYTES).unwrap_or(&text);
        String::from_utf8_lossy(kept).into_owned()
    }

    /// Writes the status, and tries again until it is written or the pod is gone.
    async fn say(&self, status: &Value) {
        let mut patch = status.clone();
        // Another pod may have the name by now.
        if let Some(fields) = patch.as_object_mut() {
            fields.insert("metadata".to_owned(), json!({ "uid": self.pod.uid() }));
        }
        let (name, patch) = (self.pod.name_any(), Patch::Merge(patch));
        let mut pause = RETRY.start;
        while let Err(error) = self.pods.patch_status(&name, &PatchParams::default(), &patch).await {
            if self.is_gone(&error).await {
                return;
            }
            warn!(pod = name, %error, "cannot write the status of a pod; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.end);
        }
    }

    /// Removes the pod's state and, as the last step, its object; tries again until it is gone. `stop` can say once
    /// more that the pod is to end, or that it is no object any more: then it is looked at again at once.
    async fn remove(&self, stop: &mut Stop) {
        remove_state(Arc::clone(self.shared), self.pod.uid().unwrap_or_default()).await;
        let uid = Preconditions { uid: self.pod.uid(), resource_version: None };
        let now = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(uid),
            ..DeleteParams::default()
        };
        let name = self.pod.name_any();
        let mut pause = RETRY.start;
        while let Err(error) = self.pods.delete(&name, &now).await {
            if self.is_gone(&error).await {
                return;
            }
            warn!(pod = name, %error, "cannot remove a pod; trying again");
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY.end),
                said = stop.changed() => if said.is_err() { return },
            }
        }
    }

    /// Whether a write failed because this pod is no object any more.
    async fn is_gone(&self, error: &kube::Error) -> bool {
        match error {
            kube::Error::Api(status) if status.code == 404 => true,
            // A lost race, or another pod that has the name now; a patch with its uid is then an invalid one.
            kube::Error::Api(status) if matches!(status.code, 409 | 422) => {
                let found = self.pods.get_opt(&self.pod.name_any()).await;
                found.is_ok_and(|found| found.and_then(|pod| pod.uid()) != self.pod.uid())
            }
            _ => false,
        }
    }
}

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
