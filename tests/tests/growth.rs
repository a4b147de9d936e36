//! Ten thousand finished executions and a thousand that wait: what that costs, and that none is lost.
//!
//! `CARREL_E2E_FINISHED` and `CARREL_E2E_QUEUED` change the counts. Sizes, counts and ratios are gated, times are not.

#![expect(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on shall stop with the reason, and prints what it measured"
)]

use std::{
    collections::HashMap,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use e2e::{Carrel, Cluster, Front, Options, Process, eventually};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How many requests of the test are under way at once.
const AT_ONCE: usize = 32;
/// The code of each execution. All codes together are more than any growth that is allowed beside the API.
const CODE_BYTES: usize = 6 * 1024;
/// How many of the executions that wait run in the end; the others are cancelled.
const RUN: usize = 8;
/// How many executions run in the beginning, so that what is made once is there before it is measured.
const WARM_UP: usize = 10;
/// Those, and one more in the middle: they count among the finished ones, of which a namespace keeps 10 000.
const REALLY_RUN: usize = WARM_UP + 1;

/// What a process may grow by.
#[derive(Debug, Clone, Copy)]
struct Bound {
    /// Whatever the number of objects is: buffers, a page of a list, memory that the allocator has not given back.
    flat: u64,
    /// For each object.
    each: u64,
}

/// Of an execution it keeps the key, the uid, the times, an entry in each of four indexes, and as much again is room
/// in tables and in the allocator. None of the texts of a finished one; those that wait have 16 MiB for all texts.
const OPERATOR: Bound = Bound { flat: 24 << 20, each: 2 << 10 };
/// It watches what it has made itself, so what others have made costs nothing.
const SHIM: Bound = Bound { flat: 8 << 20, each: 0 };
/// One process is the API too. It has each object twice, as text and as a tree, and the file's cache of 16 MiB and the
/// history of 64 MiB, which is old versions.
const PROCESS: Bound = Bound { flat: 160 << 20, each: 40 << 10 };

fn count(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// What serves the test.
enum Bed {
    Process(Carrel, TempDir),
    Cluster(Box<(Cluster, Process)>),
}

impl Bed {
    fn front(&self) -> &Front {
        match self {
            Self::Process(carrel, _) => carrel,
            Self::Cluster(both) => &both.0,
        }
    }

    /// Resident bytes of each process, and what it may grow by.
    fn memory(&self) -> Vec<(&'static str, u64, Bound)> {
        match self {
            Self::Process(carrel, _) => vec![("carrel", resident(carrel.pid()), PROCESS)],
            Self::Cluster(both) => vec![
                ("operator", resident(both.1.pid()), OPERATOR),
                ("shim", resident(both.0.shim().unwrap().pid()), SHIM),
            ],
        }
    }

    /// Ends the operator as a power cut does. In one process the API ends with it.
    fn kill(&mut self) {
        match self {
            Self::Process(carrel, _) => carrel.kill(),
            Self::Cluster(both) => both.1.kill(),
        }
    }

    /// Starts what was killed. On a cluster of our own the API server is started anew as well.
    async fn start(&mut self) {
        match self {
            Self::Process(carrel, dir) => *carrel = Carrel::start_in(dir.path(), &Options::default()),
            Self::Cluster(both) => {
                both.1 = both.0.operator(&[]);
                restart_api_server(&both.0).await;
            }
        }
    }
}

async fn restart_api_server(front: &Front) {
    let Some(script) = Cluster::own_script() else {
        println!("the cluster is not ours: its API server is not restarted");
        return;
    };
    let status = Command::new(script).args(["restart", "apiserver"]).status().unwrap();
    assert!(status.success(), "{status}");
    let client = front.client().await;
    eventually("the API server", async || client.apiserver_version().await.ok()).await;
}

fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn executions(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("carrel.dev", "v1alpha1", "CodeExecution");
    Api::default_namespaced_with(client.clone(), &ApiResource::from_gvk(&kind))
}

fn object(name: &str, group: &str, life: u64) -> DynamicObject {
    let code = format!("print('{name}')\n{}", "#".repeat(CODE_BYTES));
    serde_json::from_value(json!({
        "apiVersion": "carrel.dev/v1alpha1", "kind": "CodeExecution",
        "metadata": {"name": name, "labels": {"growth": group}},
        "spec": {"code": code, "ttlSecondsAfterFinished": life, "poolRef": {"name": "later"}},
    }))
    .unwrap()
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Executions that were made, by name: the uid, and for finished ones when their life ends.
type Made = HashMap<String, (String, u64)>;

/// Makes executions that have finished: nobody has run them, but nobody can see that.
async fn make_finished(front: &Front, group: &str, numbers: std::ops::Range<usize>, life: u64) -> Made {
    let api = executions(&front.client().await);
    let made = stream::iter(numbers).map(|number| {
        let api = &api;
        async move {
            let name = format!("{group}-{number}");
            let created = api.create(&PostParams::default(), &object(&name, group, life)).await?;
            let now = unix_seconds();
            let completed = now_text(now);
            let status = json!({"status": {
                "phase": "Succeeded", "reason": "Completed", "exitCode": 0, "completionTime": completed,
                "stdout": {"text": "x".repeat(1000), "sizeBytes": 1000},
            }});
            api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
            Ok::<_, kube::Error>((name, (created.metadata.uid.unwrap(), now + life)))
        }
    });
    made.buffer_unordered(AT_ONCE).try_collect().await.unwrap()
}

fn now_text(seconds: u64) -> String {
    let time = k8s_openapi::jiff::Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
    time.to_string()
}

/// Makes executions that wait for a pool that is not there yet.
async fn make_queued(front: &Front, numbers: std::ops::Range<usize>) -> Made {
    let api = executions(&front.client().await);
    let made = stream::iter(numbers).map(|number| {
        let api = &api;
        async move {
            let name = format!("queued-{number}");
            let created = api.create(&PostParams::default(), &object(&name, "queued", 3600)).await?;
            Ok::<_, kube::Error>((name, (created.metadata.uid.unwrap(), u64::MAX)))
        }
    });
    made.buffer_unordered(AT_ONCE).try_collect().await.unwrap()
}

/// All executions of that group, in pages.
async fn list(api: &Api<DynamicObject>, group: &str) -> Vec<DynamicObject> {
    let (mut found, mut params) =
        (Vec::new(), ListParams::default().labels(&format!("growth={group}")).limit(500));
    loop {
        let page = api.list(&params).await.unwrap();
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return found,
        }
    }
}

/// Each is there, is the one that was made, and is as it should be.
async fn assert_there(front: &Front, group: &str, made: &Made, phases: &[&str]) {
    let found = list(&executions(&front.client().await), group).await;
    assert_eq!(found.len(), made.len(), "{group}");
    for object in found {
        let name = object.metadata.name.unwrap();
        assert_eq!(object.metadata.uid, Some(made[&name].0.clone()), "{name}");
        let phase = object.data["status"]["phase"].as_str().unwrap_or("Pending");
        assert!(phases.contains(&phase), "{name} is {phase}");
    }
}

/// Waits until the operator has shown all that wait as waiting, so it has seen them.
async fn await_queued(front: &Front, made: &Made) {
    let api = executions(&front.client().await);
    eventually("all that wait to be shown as waiting", async || {
        let queued = list(&api, "queued").await.into_iter().filter(|o| o.data["status"]["phase"] == "Queued");
        (queued.count() == made.len()).then_some(())
    })
    .await;
}

/// How many watches of our kinds there are, but those that the cluster itself has in all namespaces. Where the API does
/// not say, how many there have been.
async fn watches(client: &Client) -> u64 {
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = client.request_text(request).await.unwrap();
    let of = |metric: &str| {
        let ours = text.lines().filter(|line| line.starts_with(metric));
        let ours = ours.filter(|l| l.contains("group=\"carrel.dev\"") && l.contains("verb=\"WATCH\""));
        let ours = ours.filter(|line| !line.contains("scope=\"cluster\""));
        let counts: Vec<u64> = ours.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        (!counts.is_empty()).then(|| counts.iter().sum())
    };
    of("apiserver_longrunning_requests{").or_else(|| of("apiserver_request_total{")).unwrap_or_default()
}

async fn hello(front: &Front) {
    let answer = front.execute(&json!({"source_code": "print('hello')"})).await;
    assert_eq!(answer["stdout"], "hello\n", "{answer}");
}

/// Prints what each process has, and gates its growth.
fn check_memory(bed: &Bed, base: &[(&'static str, u64, Bound)], objects: usize, when: &str) {
    for ((name, now, allowed), (_, before, _)) in bed.memory().into_iter().zip(base) {
        let grown = now.saturating_sub(*before);
        println!(
            "{when}: {name} has {:.1} MiB, {:.1} MiB more than without objects, {} bytes for each of {objects}",
            now as f64 / f64::from(1 << 20),
            grown as f64 / f64::from(1 << 20),
            grown / objects as u64,
        );
        let bound = allowed.flat + allowed.each * objects as u64;
        assert!(grown <= bound, "{name} has grown by {grown} bytes, and {bound} are allowed");
    }
}

/// The executions of a short life go when it ends, as fast as they end.
async fn check_ends(front: &Front, short: &Made) {
    let client = front.client().await;
    let api = executions(&client);
    let params = ListParams::default().labels("growth=short");
    let (mut worst, mut left) = (0, usize::MAX);
    let last = short.values().map(|(_, ends)| *ends).max().unwrap();
    let patience = Instant::now() + Duration::from_secs(last.saturating_sub(unix_seconds()) + 60);
    while left > 0 {
        assert!(Instant::now() < patience, "{left} executions outlive their end");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = unix_seconds();
        let there = api.list_metadata(&params).await.unwrap().items;
        let names = there.iter().filter_map(|object| object.metadata.name.as_ref());
        let ends: Vec<u64> = names.map(|name| short[name].1).collect();
        let over = ends.iter().filter(|ends| **ends < now).count();
        (worst, left) = (over.max(worst), ends.len());
    }
    println!("at most {worst} of {} executions were there after their end", short.len());
    assert!(worst <= short.len() / 5, "deletion falls behind: {worst} of {} were over", short.len());
}

/// Of those that wait most are cancelled, and the others run once there is a pool.
async fn check_queue(front: &Front, queued: &Made) {
    let api = executions(&front.client().await);
    let mut names: Vec<&String> = queued.keys().collect();
    let run = names.split_off(names.len().saturating_sub(RUN));
    let cancel = json!({"spec": {"cancel": true}});
    let patches = stream::iter(names).map(|name| {
        let (api, patch) = (&api, Patch::Merge(&cancel));
        async move { api.patch(name, &PatchParams::default(), &patch).await.map(drop) }
    });
    patches.buffer_unordered(AT_ONCE).try_collect::<()>().await.unwrap();
    let pool = json!({
        "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxPool", "metadata": {"name": "later"},
        "spec": {"replicas": 1, "maxPods": 4},
    });
    let _ = front.kubectl().create(&pool);
    let ended = eventually("all that waited to end", async || {
        let found = list(&api, "queued").await;
        let ended: Vec<Value> = found.into_iter().map(|object| object.data["status"].clone()).collect();
        ended.iter().all(|s| s["phase"] == "Succeeded" || s["phase"] == "Failed").then_some(ended)
    })
    .await;
    let of = |reason: &str| ended.iter().filter(|status| status["reason"] == reason).count();
    assert_eq!((of("Completed"), of("Cancelled")), (run.len(), queued.len() - run.len()));
}

async fn growth(mut bed: Bed) {
    let (finished, waiting) = (count("CARREL_E2E_FINISHED", 10_000), count("CARREL_E2E_QUEUED", 1000));
    let start = Instant::now();
    let say = |what: &str| println!("{:>4} s: {what}", start.elapsed().as_secs());
    for _ in 0..WARM_UP {
        hello(bed.front()).await;
    }
    let base = bed.memory();
    let (third, most) = ((finished - REALLY_RUN) * 3 / 8, (finished - REALLY_RUN) * 3 / 4);
    let mut long = make_finished(bed.front(), "long", 0..third, 3600).await;
    let mut queued = make_queued(bed.front(), 0..waiting / 2).await;
    say("some are there, and the operator is killed");
    bed.kill();
    if let Bed::Cluster(_) = bed {
        long.extend(make_finished(bed.front(), "long", third..third * 3 / 2, 3600).await);
    }
    bed.start().await;
    say("it is started again");
    let pace = Instant::now();
    let missing = long.len()..most;
    let made = missing.len();
    long.extend(make_finished(bed.front(), "long", missing, 3600).await);
    let pace = pace.elapsed() / u32::try_from(made).unwrap();
    queued.extend(make_queued(bed.front(), waiting / 2..waiting).await);
    await_queued(bed.front(), &queued).await;
    hello(bed.front()).await;
    say("most are there, and all that wait");
    let client = bed.front().client().await;
    let before = watches(&client).await;
    let rest = most..finished - REALLY_RUN;
    // They live long enough for all to be there together, and not much longer.
    let life = 8 + (pace * u32::try_from(rest.len()).unwrap()).as_secs() * 3 / 2;
    let short = make_finished(bed.front(), "short", rest, life).await;
    say("all are there");
    check_memory(&bed, &base, finished + waiting, "all there");
    // A few, because a watch that broke with the API server may not have been back yet.
    let few = before + 4;
    eventually("as many watches as before", async || (watches(&client).await <= few).then_some(())).await;
    assert_there(bed.front(), "long", &long, &["Succeeded"]).await;
    assert_there(bed.front(), "queued", &queued, &["Queued"]).await;
    say("none is lost");
    check_ends(bed.front(), &short).await;
    say("those of a short life are gone");
    assert_there(bed.front(), "long", &long, &["Succeeded"]).await;
    check_queue(bed.front(), &queued).await;
    hello(bed.front()).await;
    check_memory(&bed, &base, finished + waiting, "at the end");
    say("the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_objects_in_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let carrel = Carrel::start_in(dir.path(), &Options::default());
    growth(Bed::Process(carrel, dir)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn many_objects_on_a_cluster() {
    let bed = Cluster::start(&json!({"replicas": 2, "maxPods": 6})).await;
    growth(Bed::Cluster(Box::new(bed))).await;
}
