//! Programs that count their starts, several at once, through kubectl or through HTTP.

use std::sync::atomic::{AtomicUsize, Ordering};

use e2e::{Counter, Door, Kubectl, in_time, kubectl::execution};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// One name for each batch of this process.
fn fresh_label() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("batch-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Executions that were made with one call of kubectl.
pub(crate) struct Batch<'a> {
    kubectl: &'a Kubectl,
    counter: &'a Counter,
    label: String,
    count: usize,
}

impl<'a> Batch<'a> {
    /// Programs that each run for so long.
    pub(crate) fn create(kubectl: &'a Kubectl, counter: &'a Counter, count: usize, seconds: f64) -> Self {
        let batch = Self { kubectl, counter, label: fresh_label(), count };
        let items: Vec<Value> = (0..count)
            .map(|at| {
                let mut object = execution(&json!({"code": counter.program(&batch.program(at), seconds)}));
                object["metadata"] = json!({"name": batch.program(at), "labels": {"batch": batch.label}});
                object
            })
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        let _ = kubectl.run(&["create", "-f", "-"], &list.to_string());
        batch
    }

    /// The name of one of them, and of its program.
    pub(crate) fn program(&self, at: usize) -> String {
        format!("{}-{at}", self.label)
    }

    /// How many have been started.
    pub(crate) fn started(&self) -> usize {
        (0..self.count).filter(|at| self.counter.starts(&self.program(*at)) > 0).count()
    }

    pub(crate) async fn await_started(&self, least: usize) {
        in_time("programs to start", async || (self.started() >= least).then_some(())).await;
    }

    /// What all of them have become; they must end.
    pub(crate) fn ended(&self) -> Vec<Value> {
        let selector = format!("batch={}", self.label);
        let wait = ["wait", "cex", "-l", &selector, "--for=condition=Finished", "--timeout=180s"];
        let _ = self.kubectl.run(&wait, "");
        let ended = self.kubectl.list(&["cex", "-l", &selector]);
        assert_eq!(ended.len(), self.count, "executions of {}", self.label);
        ended
    }

    /// Each has completed, was started once, and has its output and its file.
    pub(crate) fn check(&self) {
        for object in self.ended() {
            let name = object["metadata"]["name"].as_str().expect("a name");
            check_completed(&object["status"]);
            assert_eq!(self.counter.starts(name), 1, "{name}");
        }
    }
}

/// The outcome of a program of the counter.
pub(crate) fn check_completed(status: &Value) {
    assert_eq!(
        (&status["reason"], &status["stdout"]["text"], &status["files"][0]["path"]),
        (&json!("Completed"), &json!("done\n"), &json!("made.txt")),
        "{status:#}"
    );
}

/// One execution of a counted program, by name.
pub(crate) fn create_one(kubectl: &Kubectl, counter: &Counter, name: &str, seconds: f64) -> String {
    kubectl.create(&execution(&json!({"code": counter.program(name, seconds)})))
}

/// The status of an execution once it has ended.
pub(crate) fn finished(kubectl: &Kubectl, name: &str, seconds: u32) -> Value {
    let timeout = format!("--timeout={seconds}s");
    let _ = kubectl.run(&["wait", "--for=condition=Finished", &format!("cex/{name}"), &timeout], "");
    kubectl.get("cex", name)["status"].clone()
}

/// Waits until it is shown as running, and gives its pod.
pub(crate) fn running(kubectl: &Kubectl, name: &str) -> Value {
    let wait = ["wait", "--for=jsonpath={.status.phase}=Running", &format!("cex/{name}"), "--timeout=60s"];
    let _ = kubectl.run(&wait, "");
    let pod = kubectl.get("cex", name)["status"]["podName"].as_str().expect("a pod").to_owned();
    kubectl.get("pod", &pod)
}

/// A request that waits for a counted program.
pub(crate) struct Request {
    pub(crate) name: String,
    answer: JoinHandle<Result<e2e::door::Answer, String>>,
}

impl Request {
    pub(crate) fn send(door: &Door, counter: &Counter, seconds: f64) -> Self {
        let name = fresh_label();
        let body = json!({"source_code": counter.program(&name, seconds), "timeout": 60});
        let door = door.clone();
        let answer =
            tokio::spawn(
                async move { door.post("/v1/execute", &body).await.map_err(|error| error.to_string()) },
            );
        Self { name, answer }
    }

    /// The answer; an error when the connection broke.
    pub(crate) async fn answer(self) -> Result<e2e::door::Answer, String> {
        self.answer.await.expect("no panic while waiting for an answer")
    }

    /// The answer, which must be that of a program that ended well.
    pub(crate) async fn check(self) {
        let name = self.name.clone();
        let answer = self.answer().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((answer.status, &answer.body["stdout"]), (200, &json!("done\n")), "{}", answer.body);
    }
}

/// Several requests, all of which have been started when this returns.
pub(crate) async fn in_flight(doors: &[&Door], counter: &Counter, seconds: f64) -> Vec<Request> {
    let requests: Vec<Request> = doors.iter().map(|door| Request::send(door, counter, seconds)).collect();
    in_time("the programs of requests to start", async || {
        requests.iter().all(|request| counter.starts(&request.name) > 0).then_some(())
    })
    .await;
    requests
}

/// Waits until no execution of that namespace is under way.
pub(crate) async fn await_all_ended(kubectl: &Kubectl) {
    in_time("all executions to end", async || {
        let phases = kubectl.run(&["get", "cex", "-o", "jsonpath={.items[*].status.phase}"], "");
        phases.split_whitespace().all(|phase| phase == "Succeeded" || phase == "Failed").then_some(())
    })
    .await;
}
