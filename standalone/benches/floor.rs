//! The floor: what two writes and two watch events cost with no work in between, in this process.
//!
//! create → watch event → status patch → watch event. Beside it the time of one fsync on this disk, and the same
//! floor with 2 ms more in each commit, because a fast disk hides what a slow one shows.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use crds::{CodeExecution, CodeExecutionSpec};
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::json;
use standalone::api::{ApiServer, Identity, Options};

/// How many times each is measured.
const ROUNDS: usize = 300;

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let fsync = fsync(dir.path());
    println!("fsync of 4 KiB: p50 {:.3} ms", milliseconds(&fsync, 50));
    for (name, delay) in [("", Duration::ZERO), (", 2 ms added to each commit", Duration::from_millis(2))] {
        let folder = dir.path().join(format!("{}ms", delay.as_millis()));
        let floor = floor(&folder, delay).await;
        println!(
            "in-process floor{name}: p50 {:.2} ms   p99 {:.2} ms   (2 commits)",
            milliseconds(&floor, 50),
            milliseconds(&floor, 99)
        );
    }
}

fn fsync(dir: &Path) -> Vec<Duration> {
    let mut file = std::fs::File::create(dir.join("fsync")).expect("a file");
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            file.write_all(&[0; 4096]).expect("a write");
            let start = Instant::now();
            file.sync_data().expect("fsync");
            start.elapsed()
        })
        .collect();
    times.sort();
    times
}

async fn floor(folder: &Path, delay: Duration) -> Vec<Duration> {
    let options = Options { commit_delay: delay, ..Options::default() };
    let server =
        ApiServer::open_with(folder, crds::definitions::all(), options).await.expect("the API opens");
    let api: Api<CodeExecution> = Api::default_namespaced(server.client(Identity::new("bench")));
    let events = api.watch(&WatchParams::default(), "0").await.expect("a watch").boxed();
    let mut events = events.try_filter(|event| {
        std::future::ready(matches!(event, WatchEvent::Added(_) | WatchEvent::Modified(_)))
    });
    let spec: CodeExecutionSpec =
        serde_json::from_value(json!({ "code": "print('hello')" })).expect("a spec");
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let object = CodeExecution::new(&format!("floor-{round}"), spec.clone());
        let start = Instant::now();
        let created = api.create(&PostParams::default(), &object).await.expect("a create");
        events.try_next().await.expect("an event");
        let patch = json!({
            "metadata": { "resourceVersion": created.metadata.resource_version },
            "status": { "phase": "Succeeded", "reason": "Completed", "exitCode": 0 },
        });
        let name = created.metadata.name.as_deref().expect("a name");
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("a patch");
        events.try_next().await.expect("an event");
        times.push(start.elapsed());
    }
    times.sort();
    server.close().await;
    times
}

fn milliseconds(sorted: &[Duration], percentile: usize) -> f64 {
    let index = (sorted.len() * percentile / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, Duration::as_secs_f64) * 1000.0
}
