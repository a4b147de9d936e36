//! Many executions through a small pool.

use std::{collections::HashSet, future::ready, time::Instant};

use e2e::{Counter, in_time};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde_json::json;

use crate::{
    batch::await_all_ended,
    shared::{MOST, WARM, alone},
};

const COUNT: usize = 200;
const AT_ONCE: usize = 8;
const OF_POOL: &str = "carrel.dev/pool=default";

/// The pods of a pool, as a watch has shown them.
#[derive(Default)]
struct Seen {
    /// Those that were not told to go.
    staying: HashSet<String>,
    /// The most of them at one time.
    most: usize,
    all: HashSet<String>,
}

impl Seen {
    /// Follows the pods for ever.
    async fn follow(&mut self, pods: Api<Pod>) {
        let events = watcher(pods, watcher::Config::default().labels(OF_POOL)).default_backoff();
        let mut events = events.boxed();
        while let Some(event) = events.next().await {
            match event {
                Err(error) => eprintln!("the watch of pods begins again: {error}"),
                Ok(Event::Apply(pod) | Event::InitApply(pod))
                    if pod.metadata.deletion_timestamp.is_none() =>
                {
                    self.all.insert(pod.name_any());
                    self.staying.insert(pod.name_any());
                }
                Ok(Event::Apply(pod) | Event::InitApply(pod) | Event::Delete(pod)) => {
                    self.staying.remove(&pod.name_any());
                }
                // What went meanwhile is not named any more.
                Ok(Event::Init) => self.staying.clear(),
                Ok(Event::InitDone) => {}
            }
            self.most = self.most.max(self.staying.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn two_hundred_programs_at_eight_at_a_time_run_once_each_in_a_pool_of_four() {
    let addon = alone().await;
    let door = addon.door("a").await;
    let counter = Counter::start();
    let start = Instant::now();
    let run = async |at: usize| {
        let name = format!("load-{at}");
        let answer = door.try_execute(&json!({"source_code": counter.program(&name, 0.0)})).await;
        let well = answer.status == 200 && answer.body["stdout"] == "done\n";
        if !well {
            eprintln!("{name}: {} {}", answer.status, answer.body);
        }
        well
    };
    let all = stream::iter(0..COUNT).map(run).buffer_unordered(AT_ONCE).filter(|well| ready(*well)).count();
    let mut seen = Seen::default();
    let pods = Api::namespaced(addon.tenant("a").client().await, addon.namespace("a"));
    let done = tokio::select! {
        done = all => done,
        () = seen.follow(pods) => panic!("the watch of pods ended"),
    };
    let (seconds, most) = (start.elapsed().as_secs_f64(), seen.most);
    println!("{COUNT} programs in {seconds:.1} s, at most {most} pods at a time, {} seen", seen.all.len());
    assert_eq!(done, COUNT, "programs that ended well");
    for at in 0..COUNT {
        assert_eq!(counter.starts(&format!("load-{at}")), 1, "load-{at}");
    }
    assert!(most > WARM && most <= MOST, "{most} pods at a time, and {MOST} are allowed");
    await_all_ended(addon.tenant("a")).await;
    in_time("the pool to be what it was", async || {
        (addon.tenant("a").list(&["pods", "-l", OF_POOL]).len() == WARM).then_some(())
    })
    .await;
}
