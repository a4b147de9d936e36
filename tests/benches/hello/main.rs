//! How long hello takes through HTTP against a real service, and how many API requests it costs.
//!
//! `make bench` prints it beside the floor that `standalone/benches/floor.rs` measures. Nothing here fails on a slow
//! machine; the count of writes is asserted because it is a promise.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::time::{Duration, Instant};

use e2e::{Carrel, Counts, Options, Times, http};
use serde_json::json;

/// How many requests are measured.
const REQUESTS: usize = 200;
/// How many come before, so that connections and caches are warm.
const WARM_UP: usize = 10;

#[tokio::main]
async fn main() {
    let options = Options { args: vec!["--warm-sandboxes".into(), "8".into()], ..Options::default() };
    let carrel = Carrel::start_with(&options);
    let (client, kube) = (http(), carrel.client().await);
    for _ in 0..WARM_UP {
        hello(&client, &carrel).await;
    }
    let (mut times, mut counts) = (Times::default(), Counts::default());
    let before = Counts::read(&kube).await;
    for _ in 0..REQUESTS {
        times.measure(hello(&client, &carrel)).await;
        // Single-use sandboxes are made as fast as the machine can; what is measured is a warm one.
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    counts.add(&before, &Counts::read(&kube).await);
    println!("hello over HTTP, standalone, warm, {REQUESTS} requests one after another");
    println!("  {times}");
    println!("  {}", counts.rates(times.count()));
    throughput(&client, &carrel).await;
    counts.check(&times);
}

async fn hello(client: &reqwest::Client, carrel: &Carrel) {
    let body = json!({ "source_code": "print('hello')" }).to_string();
    let answer = client.post(carrel.url("/v1/execute")).body(body).send().await.expect("an answer");
    let answer: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(answer["stdout"], "hello\n", "{answer}");
}

/// Sixteen clients at once, as fast as they are served.
async fn throughput(client: &reqwest::Client, carrel: &Carrel) {
    let start = Instant::now();
    let clients = (0..16).map(|_| async {
        for _ in 0..10 {
            hello(client, carrel).await;
        }
    });
    futures::future::join_all(clients).await;
    let rate = 160.0 / start.elapsed().as_secs_f64();
    println!("sustained hello, 16 clients, single-use sandboxes: {rate:.1} executions/s");
}
