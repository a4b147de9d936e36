//! Many executions through a small pool.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use e2e::{Counter, Kubectl, in_time};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::{
    batch::await_all_ended,
    shared::{MOST, WARM, alone},
};

const COUNT: usize = 200;
const AT_ONCE: usize = 8;

fn pods_of_pool(kubectl: &Kubectl) -> Vec<Value> {
    kubectl.list(&["pods", "-l", "carrel.dev/pool=default"])
}

/// Pods that exist and are not told to go.
fn staying(pods: &[Value]) -> usize {
    pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).count()
}

/// Looks at the pool again and again until it is told to stop; gives the most pods at one time, and all names.
fn observe(kubectl: &Kubectl, stop: &AtomicBool) -> (usize, HashSet<String>) {
    let (mut most, mut names) = (0, HashSet::new());
    while !stop.load(Ordering::Relaxed) {
        let pods = pods_of_pool(kubectl);
        most = most.max(staying(&pods));
        names.extend(pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)));
        std::thread::sleep(Duration::from_millis(500));
    }
    (most, names)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn two_hundred_programs_at_eight_at_a_time_run_once_each_in_a_pool_of_four() {
    let addon = alone().await;
    let door = addon.door("a").await;
    let counter = Counter::start();
    let (stop, done, start) = (AtomicBool::new(false), AtomicUsize::new(0), Instant::now());
    let (most, names) = std::thread::scope(|scope| {
        let observer = scope.spawn(|| observe(addon.tenant("a"), &stop));
        let run = async |at: usize| {
            let name = format!("load-{at}");
            let answer = door.try_execute(&json!({"source_code": counter.program(&name, 0.0)})).await;
            if answer.status == 200 && answer.body["stdout"] == "done\n" {
                done.fetch_add(1, Ordering::Relaxed);
            } else {
                eprintln!("{name}: {} {}", answer.status, answer.body);
            }
        };
        let all = stream::iter(0..COUNT).map(run).buffer_unordered(AT_ONCE).collect::<Vec<()>>();
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(all));
        stop.store(true, Ordering::Relaxed);
        observer.join().expect("no panic while looking at pods")
    });
    let seconds = start.elapsed().as_secs_f64();
    println!("{COUNT} programs in {seconds:.1} s, at most {most} pods at a time, {} seen", names.len());
    assert_eq!(done.into_inner(), COUNT, "programs that ended well");
    for at in 0..COUNT {
        assert_eq!(counter.starts(&format!("load-{at}")), 1, "load-{at}");
    }
    assert!(most <= MOST, "{most} pods at a time, and {MOST} are allowed");
    await_all_ended(addon.tenant("a")).await;
    in_time("the pool to be what it was", async || {
        (pods_of_pool(addon.tenant("a")).len() == WARM).then_some(())
    })
    .await;
}
