//! The loop of a watch: every event of one kind of object until shutdown. What an event means is the reader's.

use std::fmt::Debug;

use futures::TryStreamExt;
use kube::{
    Api, Resource,
    runtime::{WatchStreamExt, watcher, watcher::Event},
};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

/// Hands each event to `read` until shutdown. The watch begins anew by itself after every loss, with growing
/// pauses.
pub(crate) async fn watch_until<K>(
    api: Api<K>,
    config: watcher::Config,
    shutdown: CancellationToken,
    mut read: impl FnMut(Event<K>),
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => return,
            event = events.try_next() => event,
        };
        match event {
            Ok(Some(event)) => read(event),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "a watch was lost and begins anew");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use crds::SandboxPool;
    use http::{Request, Response};
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;

    /// An API server that lists one pool, and whose watches say nothing.
    async fn answer(request: Request<kube::client::Body>) -> Result<Response<Body>, Infallible> {
        if request.uri().query().is_some_and(|query| query.contains("watch=")) {
            return Ok(Response::new(Body::from_stream(futures::stream::pending::<
                Result<Vec<u8>, Infallible>,
            >())));
        }
        assert!(request.uri().query().is_some_and(|query| query.contains("labelSelector=a%3Db")));
        let list = json!({
            "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPoolList", "metadata": {"resourceVersion": "7"},
            "items": [{
                "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": "p"}, "spec": {}
            }]
        });
        Ok(Response::new(Body::from(list.to_string())))
    }

    #[tokio::test]
    async fn what_is_there_is_read_and_a_shutdown_ends_the_watch() {
        let api =
            Api::<SandboxPool>::default_namespaced(kube::Client::new(tower::service_fn(answer), "default"));
        let shutdown = CancellationToken::new();
        let mut seen = Vec::new();
        watch_until(api, watcher::Config::default().labels("a=b"), shutdown.clone(), |event| match event {
            Event::InitApply(pool) => seen.push(pool.name_any()),
            Event::InitDone => shutdown.cancel(),
            _ => {}
        })
        .await;
        assert_eq!(seen, ["p"]);
    }
}
