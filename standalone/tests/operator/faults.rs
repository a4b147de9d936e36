//! Writes of an operator that the API fails.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};

/// How many of the next statuses of executions are answered with a 500, and how many were. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    left: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
}

impl Faults {
    pub(crate) fn fail(&self, writes: usize) {
        self.left.store(writes, Ordering::SeqCst);
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    /// A client that calls the API through these.
    pub(crate) fn client(&self, api: Client) -> Client {
        let faults = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (faults, api) = (faults.clone(), api.clone());
            async move {
                if faults.hits(&request) {
                    let body = Body::from(b"no room in the log".to_vec());
                    let mut answer = Response::new(body);
                    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    return Ok(answer);
                }
                api.send(request).await
            }
        });
        Client::new(service, "default")
    }

    fn hits(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        let status = *request.method() == Method::PATCH
            && path.contains("/codeexecutions/")
            && path.ends_with("/status");
        let one_less = |left: usize| left.checked_sub(1);
        let hit = status && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        self.failed.fetch_add(usize::from(hit), Ordering::SeqCst);
        hit
    }
}
