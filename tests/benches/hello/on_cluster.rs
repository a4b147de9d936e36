//! The same in front of a real API server, beside the floor that this API server has in the same run.

use std::{
    future::ready,
    pin::Pin,
    time::{Duration, Instant},
};

use e2e::{Cluster, Front, kubectl::execution};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use kube::{
    Api,
    api::{
        ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams, WatchEvent,
        WatchParams,
    },
};
use serde_json::{Value, json};

use crate::{counts::Counts, hello, milliseconds};

/// How often the floor is measured.
const ROUNDS: usize = 200;
/// Sandboxes that wait. So many executions come one after another, then the pool is filled again.
const WARM: usize = 8;
/// How often it is filled, for each way to execute.
const FILLS: usize = 6;

/// Prints everything.
pub(crate) async fn run(client: &reqwest::Client) {
    let pool = json!({"replicas": WARM, "maxPods": 2 * WARM});
    // Nothing serves the first one: that is the floor.
    let bare = Cluster::prepare(&json!({"replicas": 0}));
    let (cluster, _operator) = Cluster::start(&pool).await;
    hello(client, &cluster).await;
    settle(&cluster).await;
    let floor = floor(&bare).await;
    println!("on a real API server, {WARM} warm sandboxes, single use");
    let p50 = milliseconds(&floor, 50);
    let p99 = milliseconds(&floor, 99);
    println!("  floor (2 writes, 2 watch events), {ROUNDS} times: p50 {p50:.2} ms   p99 {p99:.2} ms");
    let before = Counts::read(&cluster).await;
    let (mut over_kube, mut over_http) = (Vec::new(), Vec::new());
    for _ in 0..FILLS {
        let mut events = events(&cluster).await;
        for _ in 0..WARM {
            over_kube.push(create_and_watch(&cluster, &mut events).await);
        }
        settle(&cluster).await;
        for _ in 0..WARM {
            let start = Instant::now();
            hello(client, &cluster).await;
            over_http.push(start.elapsed());
        }
        settle(&cluster).await;
    }
    let made = Counts::read(&cluster).await.since(&before);
    over_kube.sort();
    over_http.sort();
    println!("  hello, create and watch, {} times: {}", over_kube.len(), figures(&over_kube, p50));
    println!("  hello over HTTP, {} times: {}", over_http.len(), figures(&over_http, p50));
    let executions = over_kube.len() + over_http.len();
    println!("  API writes on its object per execution: {:.2}", made.hot() as f64 / executions as f64);
    // What the benchmark itself reads is left out.
    let wanted = |name: &str| !name.ends_with(" sandboxpools") || name.starts_with("PATCH");
    println!("  API requests per execution: {}", made.rates(executions, wanted));
}

fn figures(sorted: &[Duration], floor: f64) -> String {
    let (p50, p99) = (milliseconds(sorted, 50), milliseconds(sorted, 99));
    format!("p50 {p50:.2} ms   p99 {p99:.2} ms   p50 is {:.1} times the floor", p50 / floor)
}

async fn api(front: &Front, kind: &str) -> Api<DynamicObject> {
    let client = front.client().await;
    let kind = GroupVersionKind::gvk("carrel.dev", "v1alpha1", kind);
    Api::default_namespaced_with(client, &ApiResource::from_gvk(&kind))
}

/// Waits until the pool is full and has been so for a moment: then nothing is being made.
async fn settle(cluster: &Cluster) {
    let pools = api(cluster, "SandboxPool").await;
    let mut full = 0;
    while full < 2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let pool = pools.get("default").await.expect("the pool");
        let ready = pool.data["status"]["readyReplicas"].as_u64();
        full = if ready == u64::try_from(WARM).ok() { full + 1 } else { 0 };
    }
}

type Events = Pin<Box<dyn Stream<Item = DynamicObject> + Send>>;

/// The executions from now on, as they come and change.
async fn events(front: &Front) -> (Api<DynamicObject>, Events) {
    let api = api(front, "CodeExecution").await;
    let list = api.list_metadata(&ListParams::default()).await.expect("a list");
    let version = list.metadata.resource_version.expect("a version");
    let events = api.watch(&WatchParams::default(), &version).await.expect("a watch");
    let objects = events.try_filter_map(|event| {
        ready(Ok(match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => Some(object),
            _ => None,
        }))
    });
    (api, objects.map(|object| object.expect("an event")).boxed())
}

/// The next event of `name` whose status is as it should be.
async fn seen(events: &mut Events, name: &str, wanted: impl Fn(&Value) -> bool) -> DynamicObject {
    loop {
        let object = events.next().await.expect("a watch that goes on");
        if object.metadata.name.as_deref() == Some(name) && wanted(&object.data["status"]["phase"]) {
            return object;
        }
    }
}

fn new_object() -> DynamicObject {
    serde_json::from_value(execution(&json!({"code": "print('hello')"}))).expect("an object")
}

async fn floor(bare: &Front) -> Vec<Duration> {
    let (api, mut events) = events(bare).await;
    let status = json!({"status": {"phase": "Succeeded", "reason": "Completed", "exitCode": 0}});
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let created = api.create(&PostParams::default(), &new_object()).await.expect("a create");
        let name = created.metadata.name.expect("a name");
        let _ = seen(&mut events, &name, |phase| phase != "Succeeded").await;
        let patch = Patch::Merge(&status);
        let _ = api.patch_status(&name, &PatchParams::default(), &patch).await.expect("a patch");
        let _ = seen(&mut events, &name, |phase| phase == "Succeeded").await;
        times.push(start.elapsed());
    }
    times.sort();
    times
}

async fn create_and_watch(front: &Front, (api, events): &mut (Api<DynamicObject>, Events)) -> Duration {
    let start = Instant::now();
    let created = api.create(&PostParams::default(), &new_object()).await.expect("a create");
    let name = created.metadata.name.expect("a name");
    let done = seen(events, &name, |phase| phase == "Succeeded" || phase == "Failed").await;
    let time = start.elapsed();
    assert_eq!(front.output(&done.data["status"]["stdout"]), "hello\n", "{:#}", done.data);
    time
}
