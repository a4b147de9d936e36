//! Programs as people send them, through kubectl and through HTTP, with the same outcome, in one process and on a
//! cluster.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on shall stop with the reason"
)]

use e2e::{
    Carrel, Cluster, Front,
    examples::{self, Example, Outcome},
};
use futures::StreamExt;
use serde_json::{Value, json};

/// How many run at a time: as many as there are cores.
const PARALLEL: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn examples_end_as_expected_through_kubectl() {
    through_kubectl(&Carrel::start()).await;
}

#[tokio::test]
async fn examples_end_as_expected_over_http_in_the_bee_dialect() {
    over_http(&Carrel::start(), "bee", Example::bee, Example::check_bee).await;
}

#[tokio::test]
async fn examples_end_as_expected_over_http_in_the_onyx_dialect() {
    over_http(&Carrel::start(), "onyx", Example::onyx, Example::check_onyx).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn examples_end_as_expected_on_a_cluster() {
    let (cluster, _operator) = Cluster::start(&json!({"replicas": 4, "maxPods": 8})).await;
    through_kubectl(&cluster).await;
    over_http(&cluster, "bee", Example::bee, Example::check_bee).await;
    over_http(&cluster, "onyx", Example::onyx, Example::check_onyx).await;
}

async fn through_kubectl(front: &Front) {
    let run = |example: Example| async move {
        let finished = tokio::task::block_in_place(|| front.kubectl().execute(&example.spec()));
        let status = &finished["status"];
        example.check_status(status, &outcome(front, status));
        example.name
    };
    let names: Vec<String> =
        futures::stream::iter(examples::all()).map(run).buffer_unordered(PARALLEL).collect().await;
    assert!(names.len() >= 20, "{names:?}");
}

async fn over_http(front: &Front, dialect: &str, body: fn(&Example) -> Value, check: fn(&Example, &Value)) {
    let spoken = examples::all().into_iter().filter(|e| e.speaks(dialect));
    let run = |example: Example| async move {
        let answer = front.execute(&body(&example)).await;
        check(&example, &answer);
        example.name
    };
    let names: Vec<String> =
        futures::stream::iter(spoken).map(run).buffer_unordered(PARALLEL).collect().await;
    assert!(names.len() >= 20, "{names:?}");
}

/// What a status says, with the texts that are kept in the store.
fn outcome(front: &Front, status: &Value) -> Outcome {
    let files = status["files"].as_array().cloned().unwrap_or_default();
    let field = |file: &Value, key: &str| file[key].as_str().expect("text").to_owned();
    Outcome {
        stdout: front.output(&status["stdout"]),
        stderr: front.output(&status["stderr"]),
        files: files.iter().map(|file| (field(file, "path"), field(file, "sha256"))).collect(),
    }
}
