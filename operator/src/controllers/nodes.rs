//! The watch of nodes: only to know which of them pods must leave. What else nodes say is not even read.

use std::{collections::HashSet, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::time::sleep;

use crate::{
    context::Context,
    nodes::{BareNode, Leaving, Nodes},
    pool,
};

/// A page of a list is in memory as a whole, and each node names all its images.
const NODES_IN_A_PAGE: u32 = 50;
/// How soon it is asked again whether nodes may be listed.
const WITHOUT_RIGHT: Duration = Duration::from_mins(1);

/// Keeps the cache of nodes as the API is, for ever. Without the right to it says so once, and tries again.
pub(super) async fn watch(context: Arc<Context>) {
    let mut told = false;
    loop {
        follow(context.client.clone(), &context.nodes, |node| pool::node_changed(&context, node)).await;
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("nodes may not be listed, so sandboxes on cordoned nodes are not replaced");
        }
        sleep(WITHOUT_RIGHT).await;
    }
}

/// Follows until it is not allowed. Tells which node has changed in what matters.
async fn follow(client: Client, nodes: &Nodes, changed: impl Fn(&str)) {
    let config = watcher::Config::default().page_size(NODES_IN_A_PAGE);
    let mut events = pin!(watcher(Api::<BareNode>::all(client), config).default_backoff());
    let set = |node: &str, leaving: Option<Leaving>| {
        let leaves = leaving.is_some();
        if nodes.set(node, leaving) {
            tracing::info!(node, leaves, "whether sandboxes must leave a node has changed");
            changed(node);
        }
    };
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(node)) => {
                listed.insert(node.name().to_owned());
                set(node.name(), Leaving::of(&node));
            }
            Ok(Event::InitDone) => {
                for name in nodes.names().iter().filter(|name| !listed.contains(*name)) {
                    set(name, None);
                }
            }
            Ok(Event::Apply(node)) => set(node.name(), Leaving::of(&node)),
            Ok(Event::Delete(node)) => set(node.name(), None),
            Err(error) if forbidden(&error) => return,
            Err(error) => tracing::warn!(kind = "Node", %error, "a watch broke and is taken up again"),
        }
    }
}

fn forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.code == 403,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, convert::Infallible};

    use axum::http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// A cluster that lists two nodes, of which one is cordoned, and allows no watch.
    fn cluster() -> Client {
        let service = tower::service_fn(|request: Request<Body>| {
            let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let list = json!({
                "apiVersion": "v1", "kind": "NodeList", "metadata": { "resourceVersion": "1" },
                "items": [
                    { "metadata": { "name": "cordoned" }, "spec": { "unschedulable": true } },
                    { "metadata": { "name": "well" }, "spec": {} },
                ],
            });
            let refusal = json!({ "kind": "Status", "status": "Failure", "code": 403 });
            let (code, answer) = if watches { (403, refusal) } else { (200, list) };
            let answer = Body::from(answer.to_string().into_bytes());
            std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap()))
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn a_list_tells_what_has_changed_and_a_refusal_ends_it() {
        let (nodes, told) = (Nodes::default(), RefCell::new(Vec::new()));
        let gone = json!({ "metadata": { "name": "gone" }, "spec": { "unschedulable": true } });
        nodes.set("gone", Leaving::of(&serde_json::from_value(gone).unwrap()));
        let tell = |node: &str| told.borrow_mut().push(node.to_owned());
        follow(cluster(), &nodes, tell).await;
        assert_eq!(*told.borrow(), ["cordoned", "gone"]);
        assert_eq!(nodes.names(), ["cordoned"]);
        follow(cluster(), &nodes, tell).await;
        assert_eq!(told.borrow().len(), 2, "nothing has changed");
    }
}
