//! How long hello takes through HTTP against a real service, and how many API writes it costs.
//!
//! `make bench` prints it beside the floor that `standalone/benches/floor.rs` measures. Nothing here fails on a
//! slow machine; the count of writes is asserted because it is a promise.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::time::{Duration, Instant};

use e2e::{Carrel, Options, http};
use serde_json::json;

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
    let before = writes(&carrel).await;
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let start = Instant::now();
        hello(&client, &carrel).await;
        times.push(start.elapsed());
        // Single-use sandboxes are made as fast as the machine can; what is measured is a warm one.
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let after = writes(&carrel).await;
    times.sort();
    println!("hello over HTTP, standalone, warm, {REQUESTS} requests one after another");
    println!("  p50 {:.2} ms   p99 {:.2} ms", milliseconds(&times, 50), milliseconds(&times, 99));
    let per_execution = (after.hot - before.hot) as f64 / REQUESTS as f64;
    println!("  API writes per execution on its object (create, terminal status): {per_execution:.2}");
    println!("  other API writes per execution: {}", after.others_since(&before, REQUESTS));
    assert_eq!(after.hot - before.hot, 2 * REQUESTS as u64, "the hot path is two writes");
    throughput(&client, &carrel).await;
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

fn milliseconds(sorted: &[Duration], percentile: usize) -> f64 {
    let index = (sorted.len() * percentile / 100).min(sorted.len() - 1);
    sorted[index].as_secs_f64() * 1000.0
}

/// Writes that the API has counted.
#[derive(Debug, Clone, Default)]
struct Writes {
    /// Creates of executions and patches of their status.
    hot: u64,
    /// All others, by verb and resource.
    others: std::collections::BTreeMap<String, u64>,
}

impl Writes {
    fn others_since(&self, before: &Self, executions: usize) -> String {
        let rates = self.others.iter().map(|(name, count)| {
            let made = count - before.others.get(name).copied().unwrap_or_default();
            (name, made as f64 / executions as f64)
        });
        rates
            .filter(|(_, rate)| *rate > 0.005)
            .map(|(name, rate)| format!("{name} {rate:.2}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// Reads `apiserver_request_total`, as it is called in every Kubernetes API server.
async fn writes(carrel: &Carrel) -> Writes {
    let request = http::Request::get("/metrics").body(Vec::new()).expect("a request");
    let text = carrel.client().await.request_text(request).await.expect("metrics");
    let mut writes = Writes::default();
    for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let label = |name: &str| {
            let rest = line.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest);
            rest.split('"').next().unwrap_or_default().to_owned()
        };
        let count = line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or_default() as u64;
        let (verb, resource, subresource) =
            (label("verb").to_uppercase(), label("resource"), label("subresource"));
        match (verb.as_str(), resource.as_str(), subresource.as_str()) {
            ("GET" | "LIST" | "WATCH", ..) => {}
            ("CREATE" | "POST", "codeexecutions", "") | ("PATCH", "codeexecutions", "status") => {
                writes.hot += count;
            }
            _ => *writes.others.entry(format!("{verb} {resource}/{subresource}")).or_default() += count,
        }
    }
    writes
}
