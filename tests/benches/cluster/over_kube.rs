//! Objects that are created and watched, with an operator behind them and without one.

use std::{future::ready, pin::Pin};

use e2e::{Times, kubectl::execution};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use kube::{
    Api, Client,
    api::{
        ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams, WatchEvent,
        WatchParams,
    },
};
use serde_json::json;

use crate::PAUSE;

type Events = Pin<Box<dyn Stream<Item = DynamicObject> + Send>>;

/// Executions of one namespace, and their events from a moment on.
struct Watched {
    api: Api<DynamicObject>,
    events: Events,
}

impl Watched {
    async fn open(client: &Client) -> Self {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("carrel.dev", "v1alpha1", "CodeExecution"));
        let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &kind);
        let list = api.list_metadata(&ListParams::default()).await.expect("a list");
        let version = list.metadata.resource_version.expect("a version");
        let events = api.watch(&WatchParams::default(), &version).await.expect("a watch");
        let objects = events.try_filter_map(|event| {
            ready(Ok(match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => Some(object),
                _ => None,
            }))
        });
        Self { api, events: objects.map(|object| object.expect("an event")).boxed() }
    }

    async fn create(&self) -> String {
        let object = execution(&json!({"code": "print('hello')"}));
        let object = serde_json::from_value(object).expect("an object");
        let created = self.api.create(&PostParams::default(), &object).await.expect("a create");
        created.metadata.name.expect("a name")
    }

    /// The next event of `name`, with its end or without.
    async fn seen(&mut self, name: &str, ended: bool) -> DynamicObject {
        loop {
            let object = self.events.next().await.expect("a watch that goes on");
            let phase = &object.data["status"]["phase"];
            if object.metadata.name.as_deref() == Some(name)
                && (phase == "Succeeded" || phase == "Failed") == ended
            {
                return object;
            }
        }
    }
}

/// What two writes and two watch events cost.
pub(crate) async fn floor(client: &Client, count: usize, times: &mut Times) {
    let mut watched = Watched::open(client).await;
    let status = json!({"status": {"phase": "Succeeded", "reason": "Completed", "exitCode": 0}});
    for _ in 0..count {
        let both = async {
            let name = watched.create().await;
            let _ = watched.seen(&name, false).await;
            let patch = Patch::Merge(&status);
            let patched = watched.api.patch_status(&name, &PatchParams::default(), &patch).await;
            let _ = patched.expect("a patch");
            watched.seen(&name, true).await
        };
        let _ = times.measure(both).await;
    }
}

/// Programs, from the create to the event of the end.
pub(crate) async fn create_and_watch(client: &Client, count: usize, times: &mut Times) {
    let mut watched = Watched::open(client).await;
    for _ in 0..count {
        let both = async {
            let name = watched.create().await;
            watched.seen(&name, true).await
        };
        let ended = times.measure(both).await;
        assert_eq!(ended.data["status"]["stdout"]["text"], "hello\n", "{:#}", ended.data);
        tokio::time::sleep(PAUSE).await;
    }
}
