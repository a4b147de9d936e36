//! How long hello takes on a cluster: the chart is installed, and programs go through its Service, to single-use pods
//! and to a pod that is used again.
//!
//! `tests/e2e.sh bench` runs it, on the cluster of `CARREL_E2E_KUBECONFIG`. Beside it is the floor of that API server in
//! the same run. All ways take turns, a few times each, so that what the machine does meanwhile meets all of them. Times
//! are printed and not judged; that pods were used again, and how many writes there are, is asserted.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod over_http;
mod over_kube;

use std::time::Duration;

use e2e::{Addon, Times};
use serde_json::json;

use over_http::Way;

/// How often each way has its turn.
const ROUNDS: usize = 6;
/// Pods that wait, and how many executions come one after another before the pool is filled again.
const WARM: usize = 8;
/// Between two executions. A node of two cores needs most of it to make the pod that replaces the one before; what is
/// measured is a warm hello, and not two things that disturb each other.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the floor is measured in each round.
const FLOORS: usize = 32;

#[tokio::main]
async fn main() {
    let tenants = [
        json!({"name": "once", "pool": {"replicas": WARM, "maxPods": 2 * WARM}}),
        json!({"name": "chat", "pool": {"replicas": 1, "maxPods": WARM, "reusePolicy": "SameKey"}}),
    ];
    let addon = Addon::prepare(&json!({"operator": {"userNamespaces": true}}), &tenants);
    addon.install();
    let hello = json!({"source_code": "print('hello')"});
    let hello_in_chat = json!({"source_code": "print('hello')", "chat_id": "bench"});
    let mut once = Way::open(&addon, "once", WARM, hello).await;
    let mut chat = Way::open(&addon, "chat", 1, hello_in_chat).await;
    let mut pods_of_chat = chat.pods();
    let tenant = addon.tenant("once").client().await;
    // The operator looks at tenants and nowhere else.
    let bare = addon.admin().client().await;
    let (mut floor, mut watched) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        over_kube::floor(&bare, FLOORS, &mut floor).await;
        over_kube::create_and_watch(&tenant, WARM, &mut watched).await;
        once.settle().await;
        once.take_turn(WARM).await;
        chat.take_turn(WARM).await;
        pods_of_chat.extend(chat.pods());
    }
    println!("hello on a cluster, {ROUNDS} rounds");
    println!("floor (2 writes, 2 watch events), {} times: {floor}", floor.count());
    println!("create and watch, single-use pods, {} times: {watched}", watched.count());
    println!("  {}", in_floors(&watched, &floor));
    once.print("single-use pods", &floor);
    chat.print("pods that are used again", &floor);
    let (executions, first_uses) = (ROUNDS * WARM, pods_of_chat.len() - 1);
    println!("  {} of {executions} in a pod that was used before", executions - first_uses);
    once.check();
    chat.check();
    // A pod that is not ready when the next program comes is no pod for it. That may happen when the machine stutters,
    // and no more often.
    assert!(first_uses * 10 <= executions, "these are not the figures of pods that are used again");
}

/// How many times the floor that is, each percentile in its own.
fn in_floors(times: &Times, floor: &Times) -> String {
    let of = |percent| times.percentile(percent).div_duration_f64(floor.percentile(percent));
    format!("p50 is {:.1} times the floor's, p99 {:.1} times", of(50), of(99))
}
