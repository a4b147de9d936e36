//! Hello through the Service, as a client that keeps its connection.

use std::{collections::BTreeSet, time::Duration};

use e2e::{Addon, Counts, Door, Kubectl, Times};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::Value;

use crate::{PAUSE, in_floors};

/// One tenant and what it sends again and again, and what was measured of that.
pub(crate) struct Way<'a> {
    kubectl: &'a Kubectl,
    client: Client,
    door: Door,
    body: Value,
    warm: usize,
    times: Times,
    counts: Counts,
}

impl<'a> Way<'a> {
    /// The way to a tenant whose pool has so many pods that wait. All of it has been used once when this returns.
    pub(crate) async fn open(addon: &'a Addon, tenant: &str, warm: usize, body: Value) -> Self {
        let kubectl = addon.tenant(tenant);
        let way = Self {
            kubectl,
            client: kubectl.client().await,
            door: addon.door(tenant).await.keeping_its_connection(),
            body,
            warm,
            times: Times::default(),
            counts: Counts::default(),
        };
        hello(&way.door, &way.body).await;
        way.settle().await;
        way
    }

    /// So many, one after another, and what the API server counts until the pool is what it was.
    pub(crate) async fn take_turn(&mut self, executions: usize) {
        let before = Counts::read(&self.client).await;
        for _ in 0..executions {
            self.times.measure(hello(&self.door, &self.body)).await;
            tokio::time::sleep(PAUSE).await;
        }
        self.settle().await;
        self.counts.add(&before, &Counts::read(&self.client).await);
    }

    /// Waits until the pool is full and has been so for a moment: then nothing is being made.
    pub(crate) async fn settle(&self) {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("carrel.dev", "v1alpha1", "SandboxPool"));
        let pools: Api<DynamicObject> = Api::default_namespaced_with(self.client.clone(), &kind);
        let mut full = 0;
        while full < 3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let pool = pools.get("default").await.expect("the pool");
            let ready = pool.data["status"]["readyReplicas"].as_u64();
            full = if ready == u64::try_from(self.warm).ok() { full + 1 } else { 0 };
        }
    }

    /// The pods that programs of the last minute ran in; older executions are gone.
    pub(crate) fn pods(&self) -> BTreeSet<String> {
        let executions = self.kubectl.list(&["cex"]);
        let pods = executions.iter().map(|object| object["status"]["podName"].as_str().expect("a pod"));
        pods.map(str::to_owned).collect()
    }

    pub(crate) fn print(&self, pods: &str, floor: &Times) {
        println!("over HTTP, {pods}, {} times: {}", self.times.count(), self.times);
        println!("  {}", in_floors(&self.times, floor));
        println!("  {}", self.counts.rates(self.times.count()));
    }

    /// See [`Counts::check`].
    pub(crate) fn check(&self) {
        self.counts.check(&self.times);
    }
}

async fn hello(door: &Door, body: &Value) {
    let answer = door.execute(body).await;
    assert_eq!(answer["stdout"], "hello\n", "{answer}");
}
