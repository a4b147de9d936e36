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
    through_kubectl(&Carrel::start(), examples::all()).await;
}

#[tokio::test]
async fn examples_end_as_expected_over_http_in_the_bee_dialect() {
    over_http(&Carrel::start(), spoken("bee"), Example::bee, Example::check_bee).await;
}

#[tokio::test]
async fn examples_end_as_expected_over_http_in_the_onyx_dialect() {
    over_http(&Carrel::start(), spoken("onyx"), Example::onyx, Example::check_onyx).await;
}

/// Each once, the ways in by turns: what a way in makes of an outcome is the same everywhere.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn examples_end_as_expected_on_a_cluster() {
    let (cluster, _operator) = Cluster::start(&json!({"replicas": 4, "maxPods": 8})).await;
    let (mut kubectl, mut bee, mut onyx) = (Vec::new(), Vec::new(), Vec::new());
    for (at, example) in examples::all().into_iter().enumerate() {
        match at % 3 {
            1 if example.speaks("bee") => bee.push(example),
            2 if example.speaks("onyx") => onyx.push(example),
            _ => kubectl.push(example),
        }
    }
    through_kubectl(&cluster, kubectl).await;
    over_http(&cluster, bee, Example::bee, Example::check_bee).await;
    over_http(&cluster, onyx, Example::onyx, Example::check_onyx).await;
}

fn spoken(dialect: &str) -> Vec<Example> {
    examples::all().into_iter().filter(|example| example.speaks(dialect)).collect()
}

async fn through_kubectl(front: &Front, examples: Vec<Example>) {
    let run = |example: Example| async move {
        let finished = tokio::task::block_in_place(|| front.kubectl().execute(&example.spec()));
        let status = &finished["status"];
        example.check_status(status, &outcome(front, status));
        example.name
    };
    run_all(examples, run).await;
}

async fn over_http(
    front: &Front,
    examples: Vec<Example>,
    body: fn(&Example) -> Value,
    check: fn(&Example, &Value),
) {
    let run = |example: Example| async move {
        let answer = front.execute(&body(&example)).await;
        check(&example, &answer);
        example.name
    };
    run_all(examples, run).await;
}

async fn run_all<Run: Future<Output = String>>(examples: Vec<Example>, run: impl Fn(Example) -> Run) {
    let names: Vec<String> =
        futures::stream::iter(examples).map(run).buffer_unordered(PARALLEL).collect().await;
    assert!(names.len() >= 10, "too few examples: {names:?}");
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
