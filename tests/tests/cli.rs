//! `carrel run` and `carrel serve` as a person at a shell uses them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall stop with the reason")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Instant,
};

use e2e::{Carrel, Options, carrel_binary, eventually};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Runs `carrel run` with `args`, the data folder and `input`.
fn run(data_dir: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(carrel_binary())
        .arg("run")
        .arg("--data-dir")
        .arg(data_dir)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn run_prints_output_and_exits_with_the_programs_code() {
    let carrel = Carrel::start();
    for (program, args, stdout, code) in [
        ("print('hi')", &[][..], "hi\n", 0),
        ("import sys; print(sys.argv[1:]); sys.exit(7)", &["--", "a", "--b"][..], "['a', '--b']\n", 7),
        ("import os; print(os.environ['K'])", &["--env", "K=v=w"][..], "v=w\n", 0),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", &[][..], "", 143),
        ("print('x', flush=True)\nwhile True: pass", &["--timeout", "700ms"][..], "x\n", 124),
    ] {
        let output = run(carrel.dir(), &[&["-"], args].concat(), program);
        assert_eq!(text(&output.stdout), stdout, "{program}: {}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{program}: {}", text(&output.stderr));
    }
}

#[test]
fn run_works_without_a_service_and_leaves_nothing_behind() {
    let nowhere = tempfile::tempdir().unwrap();
    let data_dir = nowhere.path().join("none");
    let output =
        run(&data_dir, &["-"], "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)");
    assert_eq!(
        (text(&output.stdout).as_str(), output.status.code()),
        ("out\n", Some(3)),
        "{}",
        text(&output.stderr)
    );
    assert!(text(&output.stderr).contains("err\n"));
    assert!(!data_dir.exists(), "nothing is written where no service is");
}

#[test]
fn run_reads_program_and_stdin_from_files() {
    let carrel = Carrel::start();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("upper.py"),
        "import sys\nprint(sys.stdin.read().upper())\nraise ValueError('x')",
    )
    .unwrap();
    std::fs::write(dir.path().join("data.txt"), "some text").unwrap();
    std::fs::write(dir.path().join("job.sh"), "echo from bash $1").unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let python = run(carrel.dir(), &[&path("upper.py"), "--stdin-file", &path("data.txt")], "");
    assert_eq!(text(&python.stdout), "SOME TEXT\n");
    assert!(text(&python.stderr).contains("upper.py\", line 3"), "{}", text(&python.stderr));
    assert_eq!(python.status.code(), Some(1));
    let bash = run(carrel.dir(), &[&path("job.sh"), "--", "one"], "");
    assert_eq!((text(&bash.stdout).as_str(), bash.status.code()), ("from bash one\n", Some(0)));
}

/// Begins to run a program against a running service, and gives its lines as they come.
fn begin(carrel: &Carrel, program: &str) -> (Child, impl Iterator<Item = std::io::Result<String>>) {
    let mut child = Command::new(carrel_binary())
        .args(["run", "--data-dir"])
        .arg(carrel.dir())
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

#[test]
fn run_prints_output_while_the_program_runs() {
    let carrel = Carrel::start();
    let program = "import time\nfor n in range(3):\n  print(n)\n  time.sleep(1)";
    let (mut child, mut lines) = begin(&carrel, program);
    assert_eq!(lines.next().unwrap().unwrap(), "0");
    let first = Instant::now();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    assert!(child.try_wait().unwrap().is_none(), "the first lines come before the end");
    assert_eq!(lines.next().unwrap().unwrap(), "2");
    // Between the first and the third line the program sleeps twice: they did not come all at once.
    assert!(first.elapsed().as_millis() > 1000);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_wrong_command_line_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let missing = run(dir.path(), &["/nowhere/x.py"], "");
    assert_eq!(missing.status.code(), Some(125));
    assert!(text(&missing.stderr).contains("/nowhere/x.py"), "{}", text(&missing.stderr));
    for (args, expected) in [
        (&["-", "--timeout", "5"][..], "500ms, 30s, 5m"),
        (&["-", "--env", "novalue"][..], "KEY=VALUE"),
        (&["--nonsense"][..], "--nonsense"),
    ] {
        let output = run(dir.path(), args, "");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    }
}

#[test]
fn serve_refuses_what_would_be_unsafe_or_in_the_way() {
    let carrel = Carrel::start();
    let serve = |args: &[&str]| {
        let output =
            Command::new(carrel_binary()).arg("serve").args(args).stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        text(&output.stderr)
    };
    let dir = tempfile::tempdir().unwrap();
    let fresh = dir.path().to_str().unwrap();
    let open = serve(&["--data-dir", fresh, "--http-listen", "0.0.0.0:0", "--kube-listen", "127.0.0.1:0"]);
    assert!(open.contains("NOT ISOLATED") && open.contains("loopback"), "{open}");
    let same = carrel.dir().to_str().unwrap();
    let second = serve(&["--data-dir", same, "--http-listen", "127.0.0.1:0", "--kube-listen", "127.0.0.1:0"]);
    assert!(second.contains("another carrel uses"), "{second}");
    let taken = carrel.endpoints()["http"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let busy = serve(&["--data-dir", fresh, "--http-listen", &taken, "--kube-listen", "127.0.0.1:0"]);
    assert!(busy.contains("cannot listen on") && busy.contains(&taken), "{busy}");
    assert!(carrel.log().contains("NOT ISOLATED"), "{}", carrel.log());
}

#[tokio::test]
async fn a_service_with_a_token_shows_its_example_and_asks_everybody_else_for_it() {
    let options = Options {
        args: vec!["--demo".into()],
        env: vec![("AUTH_TOKEN".into(), "secret".into()), ("APP_EXECUTOR_IMAGE".into(), "x".into())],
        ..Options::default()
    };
    let carrel = Carrel::start_with(&options);
    let body = r#"{"code": "print(6 * 7)", "timeout_ms": 30000}"#;
    assert_eq!(carrel.post("/v1/execute", body).await.0, 401);
    let asked = e2e::http().post(carrel.url("/v1/execute")).bearer_auth("secret").body(body);
    assert_eq!(asked.send().await.unwrap().status(), 200);
    let log = eventually("the example", async || {
        let log = carrel.log();
        (log.contains("Ctrl-C ends the service") || log.contains("could not be run")).then_some(log)
    })
    .await;
    assert!(log.contains("4210") && log.contains("Bearer $AUTH_TOKEN"), "{log}");
    assert!(!log.contains("secret"), "{log}");
    assert_eq!(log.matches("APP_EXECUTOR_IMAGE is set and has no effect").count(), 1, "{log}");
}

#[test]
fn a_setting_that_cannot_be_read_or_meant_stops_the_service() {
    let dir = tempfile::tempdir().unwrap();
    for (name, value, expected) in [
        ("PORT", "many", "PORT: \"many\": expected a port"),
        ("HOST", "0.0.0.0", "HOST 0.0.0.0:8000 is not a loopback address"),
        ("EXECUTOR_BACKEND", "docker", "there is no Docker backend"),
        ("PYTHON_EXECUTOR_DOCKER_RUN_ARGS", "--read-only", "PYTHON_EXECUTOR_DOCKER_RUN_ARGS"),
    ] {
        let mut command = Command::new(carrel_binary());
        command.args(["serve", "--kube-listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path());
        let output = command.env(name, value).stdin(Stdio::null()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected) && said.contains("carrel serve --help"), "{said}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_run_that_is_interrupted_or_cannot_start_says_so_with_its_exit_code() {
    let nowhere = tempfile::tempdir().unwrap();
    let missing = run(nowhere.path(), &["-", "--python", "/does/not/exist"], "print(1)");
    assert_eq!(missing.status.code(), Some(125), "{}", text(&missing.stderr));
    let carrel = Carrel::start();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let program = "import time\nprint('here', flush=True)\ntime.sleep(600)";
        let (mut child, mut lines) = begin(&carrel, program);
        assert_eq!(lines.next().unwrap().unwrap(), "here");
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
    let kubectl = carrel.kubectl();
    let all = ["wait", "--for=condition=Finished", "cex", "--all", "--timeout=60s"];
    let _ = kubectl.run(&all, "");
    let reasons = kubectl.run(&["get", "cex", "-o", "jsonpath={.items[*].status.reason}"], "");
    assert_eq!(reasons, "Cancelled Cancelled");
}

#[test]
fn help_has_examples() {
    for command in [&["--help"][..], &["serve", "--help"], &["run", "--help"]] {
        let output = Command::new(carrel_binary()).args(command).output().unwrap();
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("Examples:"), "{command:?}");
    }
}
