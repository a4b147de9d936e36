//! What a node does when the API fails it, and when it fails itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::{
    api::{DeleteParams, PostParams},
    client::Body,
};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::api::{ApiServer, Identity};

const PATIENCE: Duration = Duration::from_secs(30);

/// An API, and a node whose writes of a chosen method are refused for a while.
struct Bed {
    _folder: TempDir,
    pods: Api<Pod>,
    node: Node,
    refusals: Arc<AtomicUsize>,
    /// How many requests the node has sent.
    requests: Arc<AtomicUsize>,
}

async fn bed(method: http::Method, refusals: usize) -> Bed {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let api = ApiServer::open(&folder.path().join("api"), vec![]).await.unwrap();
    let refusals = Arc::new(AtomicUsize::new(refusals));
    let requests = Arc::new(AtomicUsize::new(0));
    let (inner, left, count) = (api.client(Identity::new("node")), refusals.clone(), requests.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        count.fetch_add(1, Ordering::SeqCst);
        let refuse = *request.method() == method
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let inner = inner.clone();
        async move {
            if refuse {
                let status = json!({"kind": "Status", "status": "Failure", "code": 500, "reason": "", "message": "no"});
                let answer =
                    Response::builder().status(500).body(Body::from(status.to_string().into_bytes()));
                return Ok(answer.unwrap());
            }
            let (parts, body) = inner.send(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, kube::Error>(Response::from_parts(parts, Body::from(body.to_vec())))
        }
    });
    let config = NodeConfig {
        pods_dir: folder.path().join("pods"),
        executable: "/does/not/exist".into(),
        python: "python3".into(),
        matplotlib_cache: None,
    };
    let node = Node::new(Client::new(service, "default"), config);
    let pods = Api::default_namespaced(api.client(Identity::new("test")));
    Bed { _folder: folder, pods, node, refusals, requests }
}

impl Bed {
    async fn create(&self) -> Pod {
        let pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {"nodeName": NODE_NAME, "containers": [{"name": "executor", "image": "i"}]},
        }));
        self.pods.create(&PostParams::default(), &pod.unwrap()).await.unwrap()
    }

    /// Waits until the pod is as `check` wants it.
    async fn until(&self, check: impl Fn(Option<&Pod>) -> bool) {
        let wait = async {
            while !check(self.pods.get_opt("p").await.unwrap().as_ref()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
    }

    /// Waits until the node has sent so many requests.
    async fn sent(&self, requests: usize) {
        let wait = async {
            while self.requests.load(Ordering::SeqCst) < requests {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the node asks so often");
    }

    /// Lets the workers end, as the node does while it runs.
    async fn run_down(&self, workers: &mut Workers) {
        let end = async {
            while let Some(ended) = workers.tasks.join_next_with_id().await {
                self.node.ended(ended, workers);
            }
        };
        tokio::time::timeout(PATIENCE, end).await.unwrap();
        assert!(workers.stops.is_empty() && workers.owners.is_empty(), "every worker has left the map");
    }
}

fn failed_because(pod: Option<&Pod>, reason: &str) -> bool {
    let status = pod.and_then(|pod| pod.status.as_ref());
    status.is_some_and(|s| s.phase.as_deref() == Some("Failed") && s.reason.as_deref() == Some(reason))
}

#[tokio::test]
async fn a_status_that_cannot_be_written_is_written_later() {
    let bed = bed(http::Method::PATCH, 3).await;
    let mut workers = Workers::default();
    // The executable is missing, so all there is to say is that the pod failed.
    bed.node.apply(bed.create().await, &mut workers);
    bed.until(|pod| failed_because(pod, "StartError")).await;
    assert_eq!(bed.refusals.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_pod_that_cannot_be_removed_is_removed_later() {
    let bed = bed(http::Method::DELETE, 3).await;
    let mut workers = Workers::default();
    let pod = bed.create().await;
    workers.start(pod.uid().unwrap(), None, |stop| worker::remove(bed.node.shared.clone(), pod, stop));
    bed.run_down(&mut workers).await;
    bed.until(|pod| pod.is_none()).await;
}

#[tokio::test]
async fn a_pod_whose_status_cannot_be_written_can_still_be_deleted() {
    let bed = bed(http::Method::PATCH, usize::MAX).await;
    let mut workers = Workers::default();
    let mut pod = bed.create().await;
    pod.status = Some(serde_json::from_value(json!({"phase": "Running"})).unwrap());
    bed.node.apply(pod.clone(), &mut workers);
    bed.sent(2).await;
    workers.terminate(&pod.uid().unwrap(), Duration::ZERO);
    bed.run_down(&mut workers).await;
    bed.until(|pod| pod.is_none()).await;
}

#[tokio::test]
async fn what_is_said_of_a_pod_is_not_said_of_its_successor() {
    let bed = bed(http::Method::PATCH, 0).await;
    let mut workers = Workers::default();
    let first = bed.create().await;
    let now = DeleteParams::default().grace_period(0);
    bed.pods.delete("p", &now).await.unwrap();
    let second = bed.create().await;
    bed.node.start(first.clone(), &mut workers, worker::bury);
    // The write is refused, and the reason is looked for.
    bed.sent(2).await;
    workers.terminate(&first.uid().unwrap(), Duration::ZERO);
    bed.run_down(&mut workers).await;
    let left = bed.pods.get("p").await.unwrap();
    assert_eq!((left.uid(), left.status.and_then(|s| s.reason)), (second.uid(), None));
}

#[tokio::test]
async fn a_pod_whose_worker_panicked_is_reported_failed_and_can_be_deleted() {
    let bed = bed(http::Method::PATCH, 1).await;
    let mut workers = Workers::default();
    let pod = bed.create().await;
    let uid = pod.uid().unwrap();
    bed.node.start(pod, &mut workers, |_, _, _| async { panic!("on purpose") });
    let panicked = workers.tasks.join_next_with_id().await.unwrap();
    bed.node.ended(panicked, &mut workers);
    bed.until(|pod| failed_because(pod, "NodeError")).await;
    workers.terminate(&uid, Duration::ZERO);
    bed.run_down(&mut workers).await;
    bed.until(|pod| pod.is_none()).await;
}
