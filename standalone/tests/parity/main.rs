//! The in-process API answers as a real API server does.
//!
//! `tables/` holds the interactions, `recorded/` what a real API server answered. The in-process API must give the
//! recorded answers; a real server, where one is given by `CARREL_E2E_KUBECONFIG`, must still give them too.
//! With `CARREL_PARITY_RECORD=1` its answers are recorded anew. What is compared leaves out uids, versions, times.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod normal;
mod run;
mod server;
mod table;

use std::path::PathBuf;

use serde_json::{Map, Value};

use self::{server::Server, table::Table};

/// Where two answers differ, by JSON pointer.
fn differences(path: &str, recorded: &Value, got: &Value, found: &mut Vec<String>) {
    match (recorded, got) {
        (Value::Object(left), Value::Object(right)) => {
            let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let (one, other) = (left.get(key), right.get(key));
                differences(
                    &format!("{path}/{key}"),
                    one.unwrap_or(&Value::Null),
                    other.unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (at, (one, other)) in left.iter().zip(right).enumerate() {
                differences(&format!("{path}/{at}"), one, other, found);
            }
        }
        _ if recorded != got => {
            found.push(format!("{path}\n      recorded: {recorded}\n      got:      {got}"));
        }
        _ => {}
    }
}

fn recorded(table: &Table) -> Map<String, Value> {
    let file = table::recording(&table.name);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap()
}

/// What the in-process API is to answer: what was recorded, unless it differs on purpose.
fn expected(table: &Table, step: &str, recorded: &Value, in_process: bool) -> Value {
    let step = table.steps.iter().find(|one| one.name == step).unwrap();
    match &step.differs {
        Some(difference) if in_process => serde_json::json!({"code": difference.code}),
        _ => recorded.clone(),
    }
}

async fn compare(table: &Table, server: &Server) -> Vec<String> {
    let recorded = recorded(table);
    let answers = run::run(table, server).await;
    let mut found = Vec::new();
    if recorded.keys().ne(answers.keys()) {
        found.push(format!("{}: its recording has other steps: record it anew", table.name));
    }
    for (step, answer) in &answers {
        let wanted = expected(table, step, recorded.get(step).unwrap_or(&Value::Null), server.in_process);
        let mut answer = answer.clone();
        if wanted.get("answer").is_none() {
            normal::remove(&mut answer, "/answer");
        }
        let mut here = Vec::new();
        differences("", &wanted, &answer, &mut here);
        found.extend(here.into_iter().map(|one| format!("{} / {step}: {one}", table.name)));
    }
    found
}

async fn compare_all(server: &Server) {
    let mut found = Vec::new();
    for table in table::all() {
        found.extend(compare(&table, server).await);
    }
    assert!(found.is_empty(), "{} differences\n  {}", found.len(), found.join("\n  "));
}

async fn record(server: &Server) {
    for table in table::all() {
        let answers = run::run(&table, server).await;
        let text = serde_json::to_string_pretty(&answers).unwrap() + "\n";
        std::fs::write(table::recording(&table.name), text).unwrap();
    }
}

#[tokio::test]
async fn the_in_process_api_answers_as_recorded() {
    compare_all(&Server::in_process().await).await;
}

#[tokio::test]
#[ignore = "needs a cluster in CARREL_E2E_KUBECONFIG; make e2e runs it"]
async fn a_real_api_server_answers_as_recorded() {
    let kubeconfig = std::env::var_os("CARREL_E2E_KUBECONFIG").expect("CARREL_E2E_KUBECONFIG is not set");
    let server = Server::real(PathBuf::from(kubeconfig)).await;
    if std::env::var_os("CARREL_PARITY_RECORD").is_some() {
        record(&server).await;
    }
    compare_all(&server).await;
}

#[test]
fn each_difference_on_purpose_is_documented() {
    let page = include_str!("../../../docs/OPERATIONS.md");
    for table in table::all() {
        assert!(!table.about.is_empty());
        for step in table.steps {
            if let Some(difference) = step.differs {
                assert!(
                    page.contains(&difference.why),
                    "docs/OPERATIONS.md does not say: {}",
                    difference.why
                );
            }
        }
    }
}
