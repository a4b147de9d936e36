//! The loop of a watch: every event of one kind of object until shutdown, and whether what it tells is the
//! present. What an event means is the reader's.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use kube::{
    Api, Resource,
    runtime::{
        utils::Backoff,
        watcher,
        watcher::{DefaultBackoff, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The longest pause before a lost watch begins anew: those who wait hear nothing meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether a watch tells of every change now. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct InSync(watch::Sender<bool>);

impl InSync {
    fn set(&self, in_sync: bool) {
        self.0.send_if_modified(|now| std::mem::replace(now, in_sync) != in_sync);
    }

    /// Whether it does.
    #[must_use]
    pub fn now(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it does.
    pub async fn reached(&self) {
        // It cannot be closed: we have a sender.
        let mut changes = self.0.subscribe();
        let _closed = changes.wait_for(|now| *now).await;
    }
}

/// What was told of losses, so that a trouble that lasts is told once.
#[derive(Debug, Default)]
struct Losses {
    /// The error of the last loss since a watch lasted.
    last: Option<String>,
}

impl Losses {
    /// Whether a loss is news: the first since a watch lasted, or one with another error.
    fn are_new(&mut self, error: &str, lasted: bool) -> bool {
        let known = !lasted && self.last.as_deref() == Some(error);
        self.last = Some(error.to_owned());
        !known
    }
}

/// Hands each event to `read` until shutdown. After every loss the watch begins anew with a list: only a list tells for
/// certain that it is in sync again. One that had lasted begins anew at once, others after growing pauses.
pub(crate) async fn watch_until<K>(
    api: Api<K>,
    config: watcher::Config,
    in_sync: &InSync,
    shutdown: CancellationToken,
    mut read: impl FnMut(Event<K>),
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let (mut pauses, mut losses) = (DefaultBackoff::default(), Losses::default());
    loop {
        let begin = Instant::now();
        let lost = tokio::select! {
            () = shutdown.cancelled() => return,
            lost = watch_once(&api, &config, in_sync, &mut read) => lost,
        };
        // One that hung for long without a list was none.
        let lasted = in_sync.now() && begin.elapsed() > LONGEST_PAUSE;
        in_sync.set(false);
        let (kind, namespace) = (K::kind(&()), api.namespace());
        let error = lost.map_or_else(|| "it ended".to_owned(), |error| telemetry::with_causes(&error));
        if losses.are_new(&error, lasted) {
            tracing::warn!(%kind, namespace, error, "a watch was lost and begins anew; more of the same is logged at debug");
        } else {
            tracing::debug!(%kind, namespace, error, "a watch was lost again");
        }
        if begin.elapsed() > LONGEST_PAUSE {
            pauses.reset();
            continue;
        }
        let pause = pauses.next().unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// A watch from its list to its loss, and why it was lost.
async fn watch_once<K>(
    api: &Api<K>,
    config: &watcher::Config,
    in_sync: &InSync,
    read: &mut impl FnMut(Event<K>),
) -> Option<watcher::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = std::pin::pin!(watcher(api.clone(), config.clone()));
    loop {
        match events.try_next().await {
            Ok(Some(event)) => {
                let listed = matches!(event, Event::InitDone);
                read(event);
                if listed {
                    in_sync.set(true);
                }
            }
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use axum::body::Body;
    use crds::SandboxPool;
    use http::{Request, Response};
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;

    /// An API server that lists one pool, named after the number of the list. The first watches are refused because
    /// their version is gone, the next says nothing.
    fn api(refused_watches: usize) -> Api<SandboxPool> {
        let (lists, watches) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let answer = move |request: Request<kube::client::Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            assert!(query.contains("labelSelector=a%3Db"));
            let body = if query.contains("watch=") {
                if watches.fetch_add(1, Ordering::Relaxed) < refused_watches {
                    let gone = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired",
                        "status": "Failure", "message": "too old"}});
                    Body::from(gone.to_string() + "\n")
                } else {
                    Body::from_stream(futures::stream::pending::<Result<Vec<u8>, Infallible>>())
                }
            } else {
                let name = format!("p{}", lists.fetch_add(1, Ordering::Relaxed));
                Body::from(json!({
                    "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPoolList", "metadata": {"resourceVersion": "7"},
                    "items": [{
                        "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": name}, "spec": {}
                    }]
                }).to_string())
            };
            std::future::ready(Ok::<_, Infallible>(Response::new(body)))
        };
        Api::default_namespaced(kube::Client::new(tower::service_fn(answer), "default"))
    }

    /// The names that were read until the watch had `lists` lists, and whether it was in sync after each.
    async fn read(api: Api<SandboxPool>, lists: usize) -> (Vec<String>, InSync) {
        let (shutdown, in_sync) = (CancellationToken::new(), InSync::default());
        let (mut seen, mut ends) = (Vec::new(), 0);
        let config = watcher::Config::default().labels("a=b");
        watch_until(api, config, &in_sync, shutdown.clone(), |event| match event {
            Event::InitApply(pool) => {
                assert!(!in_sync.now(), "a list that is not read to its end");
                seen.push(pool.name_any());
            }
            Event::InitDone => {
                ends += 1;
                if ends == lists {
                    shutdown.cancel();
                }
            }
            _ => {}
        })
        .await;
        (seen, in_sync)
    }

    #[test]
    fn a_loss_is_told_once_until_its_error_changes_or_a_watch_has_lasted() {
        let mut losses = Losses::default();
        for (error, lasted, is_new) in [
            ("gone", false, true),
            ("gone", false, false),
            ("denied", false, true),
            ("denied", false, false),
            ("gone", false, true),
            ("gone", true, true),
            ("gone", false, false),
        ] {
            assert_eq!(losses.are_new(error, lasted), is_new, "{error} {lasted}");
        }
    }

    #[tokio::test]
    async fn what_is_there_is_read_and_a_shutdown_ends_the_watch() {
        let (seen, in_sync) = read(api(0), 1).await;
        assert_eq!(seen, ["p0"]);
        assert!(in_sync.now());
        in_sync.reached().await;
    }

    #[tokio::test]
    async fn a_watch_whose_version_is_gone_begins_anew_with_a_list() {
        let (seen, in_sync) = read(api(1), 2).await;
        assert_eq!(seen, ["p0", "p1"]);
        assert!(in_sync.now());
    }
}
