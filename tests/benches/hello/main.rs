//! How long hello takes through HTTP against a real service, and how many API writes it costs.
//!
//! `make bench` prints it beside the floor that `standalone/benches/floor.rs` measures. With `CARREL_E2E_KUBECONFIG`
//! it prints the same for that cluster, with a floor of its own. Nothing here fails on a slow machine; the count of
//! writes is asserted because it is a promise.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod counts;
mod on_cluster;

use std::time::{Duration, Instant};

use e2e::{Carrel, Front, Options, http};
use serde_json::json;

use counts::Counts;

/// How many requests are measured.
const REQUESTS: usize = 200;
/// How many come before, so that connections and caches are warm.
const WARM_UP: usize = 10;

#[tokio::main]
async fn main() {
    let options = Options { args: vec!["--warm-sandboxes".into(), "8".into()], ..Options::default() };
    let carrel = Carrel::start_with(&options);
    let client = http();
    for _ in 0..WARM_UP {
        hello(&client, &carrel).await;
    }
    let before = Counts::read(&carrel).await;
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let start = Instant::now();
        hello(&client, &carrel).await;
        times.push(start.elapsed());
        // Single-use sandboxes are made as fast as the machine can; what is measured is a warm one.
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let after = Counts::read(&carrel).await;
    times.sort();
    println!("hello over HTTP, standalone, warm, {REQUESTS} requests one after another");
    println!("  p50 {:.2} ms   p99 {:.2} ms", milliseconds(&times, 50), milliseconds(&times, 99));
    let made = after.since(&before);
    let per_execution = made.hot() as f64 / REQUESTS as f64;
    println!("  API writes per execution on its object (create, terminal status): {per_execution:.2}");
    println!("  other API writes per execution: {}", made.rates(REQUESTS, counts::is_other_write));
    // One that takes longer than that is shown as running, which is a third write.
    let slow = times.iter().filter(|time| **time > Duration::from_millis(150)).count();
    let allowed = (2 * REQUESTS) as u64..=(2 * REQUESTS + slow) as u64;
    assert!(allowed.contains(&made.hot()), "the hot path is two writes: {} of {allowed:?}", made.hot());
    throughput(&client, &carrel).await;
    drop(carrel);
    if std::env::var_os("CARREL_E2E_KUBECONFIG").is_some() {
        on_cluster::run(&client).await;
    }
}

async fn hello(client: &reqwest::Client, front: &Front) {
    let body = json!({ "source_code": "print('hello')" }).to_string();
    let answer = client.post(front.url("/v1/execute")).body(body).send().await.expect("an answer");
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

fn milliseconds(sorted: &[Duration], percentile: usize) -> f64 {
    let index = (sorted.len() * percentile / 100).min(sorted.len() - 1);
    sorted[index].as_secs_f64() * 1000.0
}
