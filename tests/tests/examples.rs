//! Programs as people send them, through kubectl and through HTTP, with the same outcome.

#![expect(clippy::expect_used, reason = "a test that cannot go on shall stop with the reason")]

use e2e::{
    Carrel,
    examples::{self, Example, Outcome},
};
use futures::StreamExt;
use serde_json::Value;

/// How many run at a time: as many as there are cores.
const PARALLEL: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn examples_end_as_expected_through_kubectl() {
    let carrel = Carrel::start();
    let carrel = &carrel;
    let run = |example: Example| async move {
        let finished = tokio::task::block_in_place(|| carrel.kubectl().execute(&example.spec()));
        let status = &finished["status"];
        example.check_status(status, &outcome(carrel, status));
        example.name
    };
    let names: Vec<String> =
        futures::stream::iter(examples::all()).map(run).buffer_unordered(PARALLEL).collect().await;
    assert!(names.len() >= 20, "{names:?}");
}

#[tokio::test]
async fn examples_end_as_expected_over_http_in_the_bee_dialect() {
    let names = over_http("bee", Example::bee, Example::check_bee).await;
    assert!(names.len() >= 20, "{names:?}");
}

#[tokio::test]
async fn examples_end_as_expected_over_http_in_the_onyx_dialect() {
    let names = over_http("onyx", Example::onyx, Example::check_onyx).await;
    assert!(names.len() >= 20, "{names:?}");
}

async fn over_http(dialect: &str, body: fn(&Example) -> Value, check: fn(&Example, &Value)) -> Vec<String> {
    let carrel = Carrel::start();
    let carrel = &carrel;
    let spoken = examples::all().into_iter().filter(|e| e.speaks(dialect));
    let run = |example: Example| async move {
        let answer = carrel.execute(&body(&example)).await;
        check(&example, &answer);
        example.name
    };
    futures::stream::iter(spoken).map(run).buffer_unordered(PARALLEL).collect().await
}

/// What a status says, with the texts that are kept in the store.
fn outcome(carrel: &Carrel, status: &Value) -> Outcome {
    let text = |stream: &str| {
        let output = &status[stream];
        match output["storedAs"].as_str() {
            Some(hash) => {
                std::fs::read_to_string(carrel.dir().join("blobs").join(hash)).expect("a stored text")
            }
            None => output["text"].as_str().unwrap_or_default().to_owned(),
        }
    };
    let files = status["files"].as_array().cloned().unwrap_or_default();
    let field = |file: &Value, key: &str| file[key].as_str().expect("text").to_owned();
    Outcome {
        stdout: text("stdout"),
        stderr: text("stderr"),
        files: files.iter().map(|file| (field(file, "path"), field(file, "sha256"))).collect(),
    }
}
