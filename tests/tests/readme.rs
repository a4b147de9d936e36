//! The commands in the README work as printed. Only the address and the data folder are the test's own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall stop with the reason")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use e2e::{Carrel, PATIENCE, carrel_binary, repository};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::os::unix::process::CommandExt;

/// The shell blocks of the README that are marked `<!-- tested: NAME -->`, in order.
fn blocks(name: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let marker = format!("<!-- tested: {name} -->\n```sh\n");
    readme.split(&marker).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Runs a block in the repository's folder against `carrel`; it must succeed. Gives its stdout.
fn shell(carrel: &Carrel, block: &str) -> String {
    let here = block
        .replace("http://127.0.0.1:8000", carrel.endpoints()["http"].as_str().unwrap())
        .replace("target/release/carrel", &carrel_binary().display().to_string())
        .replace(".carrel", &carrel.dir().display().to_string());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &here])
        .current_dir(repository())
        .env("CARREL_DATA_DIR", carrel.dir())
        .env("HOME", carrel.dir())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{here}\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_curl_lines_work_as_printed() {
    let carrel = Carrel::start();
    let blocks = blocks("http");
    assert_eq!(blocks.len(), 2);
    let onyx: serde_json::Value = serde_json::from_str(&shell(&carrel, &blocks[0])).unwrap();
    assert_eq!(onyx["stdout"], "hello\n42\n");
    assert_eq!((onyx["exit_code"].as_i64(), onyx["timed_out"].as_bool()), (Some(0), Some(false)));
    let bee: serde_json::Value = serde_json::from_str(&shell(&carrel, &blocks[1])).unwrap();
    assert!(bee["files"]["/workspace/out.txt"].as_str().unwrap().starts_with("a4c3"), "{bee}");
}

/// Whether `values.yaml` has a key, with dots between its parts.
fn has_value(values: &str, key: &str) -> bool {
    let mut lines = values.lines();
    key.split('.').enumerate().all(|(depth, part)| {
        let (wanted, outside) = (format!("{}{part}:", "  ".repeat(depth)), "  ".repeat(depth));
        let mut inside =
            lines.by_ref().take_while(|line| depth == 0 || line.is_empty() || line.starts_with(&outside));
        inside.any(|line| line.starts_with(&wanted))
    })
}

#[test]
fn the_helm_lines_fit_the_images_the_chart_and_the_version() {
    let read = |file: &str| std::fs::read_to_string(repository().join(file)).unwrap();
    let (readme, images) = (read("README.md"), read("images/Containerfile"));
    let values = read("charts/carrel/values.yaml");
    let block = readme.split("<!-- shape: helm -->\n```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let lines: Vec<Vec<&str>> = block.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 4, "{block}");
    let after = |words: &[&str], flag: &str| -> Vec<String> {
        let pairs = words.windows(2).filter(|pair| pair[0] == flag);
        pairs.map(|pair| pair[1].to_owned()).collect()
    };
    for line in &lines[..2] {
        assert_eq!(
            (line[..2].join(" "), after(line, "-f")),
            ("docker build".to_owned(), vec!["images/Containerfile".to_owned()])
        );
        let target = &after(line, "--target")[0];
        assert!(images.lines().any(|from| from.ends_with(&format!(" AS {target}"))), "{target}");
        assert!(after(line, "-t")[0].ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{line:?}");
    }
    assert_eq!(lines[2][..4].join(" "), "helm install carrel charts/carrel");
    for set in after(&lines[2], "--set") {
        assert!(has_value(&values, set.split('=').next().unwrap()), "{set}");
    }
    assert!(!has_value(&values, "executor.repository") && !has_value(&values, "image.image"));
    assert_eq!(lines[3][..3].join(" "), "helm test carrel");
    assert_eq!(after(&lines[2], "-n"), after(&lines[3], "-n"));
}

#[test]
fn the_run_line_works_as_printed() {
    let carrel = Carrel::start();
    assert_eq!(blocks("run").iter().map(|b| shell(&carrel, b)).collect::<Vec<_>>(), ["45\n"]);
}

#[test]
fn the_kubectl_lines_work_as_printed() {
    let carrel = Carrel::start();
    let output: String = blocks("kubectl").iter().map(|b| shell(&carrel, b)).collect();
    for expected in ["condition met", "hello from a sandbox\n", "Succeeded", "deleted"] {
        assert!(output.contains(expected), "{expected}: {output}");
    }
}

/// `make run` in a process group of its own, which is what Ctrl-C in a terminal reaches.
struct MakeRun(Child);

impl Drop for MakeRun {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[test]
fn make_run_shows_an_example_and_lines_that_work_and_ctrl_c_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("make");
    command.args(["--no-print-directory", "run", "HTTP_LISTEN=127.0.0.1:0", "KUBE_LISTEN=127.0.0.1:0"]);
    command.arg(format!("DATA_DIR={}", dir.path().display())).current_dir(repository()).process_group(0);
    // What cargo says of the package it runs is not for the cargo that make runs: a build script that looks at it
    // would run again, and everything after it be built again.
    let foreign = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars_os() {
        if foreign.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let mut make = MakeRun(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let (sender, lines) = mpsc::channel();
    let stdout = make.0.stdout.take().unwrap();
    std::thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
    });
    let mut seen = Vec::new();
    // The build is done by the time tests run, so this waits for the service alone.
    while !seen.iter().any(|line: &String| line.contains("Ctrl-C ends the service")) {
        seen.push(
            lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("make run shows no example: {seen:#?}")),
        );
    }
    let text = seen.join("\n");
    assert!(text.contains("EU") && text.contains("4210"), "{text}");
    let line = |start: &str| seen.iter().map(|l| l.trim()).find(|l| l.starts_with(start)).unwrap().to_owned();
    for (line, expected) in [(line("curl "), r#""stdout":"42\n""#), (line("kubectl "), "Succeeded")] {
        let output = Command::new("bash").args(["-c", &line]).current_dir(repository()).output().unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(answer.contains(expected), "{line}: {answer}{}", String::from_utf8_lossy(&output.stderr));
    }
    let group = Pid::from_raw(i32::try_from(make.0.id()).unwrap());
    killpg(group, Signal::SIGINT).unwrap();
    make.0.wait().unwrap();
    let start = std::time::Instant::now();
    while killpg(group, None).is_ok() {
        assert!(start.elapsed() < PATIENCE, "something of make run still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}
