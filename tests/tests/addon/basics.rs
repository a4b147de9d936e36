//! The lines that people are told to type.

use std::process::Command;

use e2e::{Kubectl, repository};
use serde_json::{Value, json};

use crate::shared::together;

/// The shell block of the README that has this mark.
fn block(mark: &str) -> String {
    let text = std::fs::read_to_string(repository().join("README.md")).expect("the README");
    let mark = format!("<!-- tested: {mark} -->\n```sh\n");
    let rest = text.split_once(&mark).expect("the mark of the block").1;
    rest.split("```").next().unwrap_or_default().to_owned()
}

/// Runs lines of a page, which must succeed.
fn shell(kubectl: &Kubectl, lines: &str) -> String {
    // The environment that kubectl has here, which holds no cluster of the user's.
    let environment: Vec<_> =
        kubectl.command().get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", lines])
        .current_dir(repository())
        .envs(environment)
        .output()
        .expect("bash");
    assert!(output.status.success(), "{lines}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn the_kubectl_lines_of_the_readme_work() {
    let addon = together().await;
    let lines = block("kubectl").replace("export KUBECONFIG=.carrel/kubeconfig\n", "");
    let said = shell(addon.tenant("a"), &lines);
    assert!(said.contains("hello from a sandbox") && said.contains("Succeeded"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn the_first_curl_that_the_installation_tells_works() {
    let addon = together().await;
    let notes = addon.helm().notes();
    let line = |start: &str| {
        let found = notes.lines().map(str::trim).find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no line with {start}: {notes}")).to_owned()
    };
    assert!(line("kubectl -n ").contains("port-forward service/carrel 8000:8000"), "{notes}");
    let (port, _forward) = addon.forward().await;
    let curl = line("curl ").replace("127.0.0.1:8000", &format!("127.0.0.1:{port}"));
    let said = shell(addon.admin(), &format!("{}\n{curl}", line("TOKEN=")));
    let answer: Value = serde_json::from_str(&said).expect("an answer");
    assert_eq!(answer["stdout"], "42\n", "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn http_runs_programs_and_keeps_files_behind_the_service() {
    let addon = together().await;
    let door = addon.door("a").await;
    let hello = door.execute(&json!({"source_code": "print('hello')"})).await;
    assert_eq!((&hello["stdout"], &hello["exit_code"]), (&json!("hello\n"), &json!(0)), "{hello}");
    let made = door.execute(&json!({"source_code": "open('out.txt', 'w').write('kept')"})).await;
    let id = made["files"]["/workspace/out.txt"].as_str().expect("a file");
    let body = json!({"source_code": "print(open('in.txt').read())", "files": {"/workspace/in.txt": id}});
    assert_eq!(door.execute(&body).await["stdout"], "kept\n");
    let numbers = "import numpy, pandas\nprint(int(pandas.Series(numpy.arange(5)).sum()))";
    assert_eq!(door.execute(&json!({"source_code": numbers})).await["stdout"], "10\n");
}
