//! What a program sees and what its outcome says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::{Executor, python};
use protocol::{End, EnvVariable, ExecuteRequest, Frame, Interpreter, Stream};

fn bash(code: &str) -> ExecuteRequest {
    ExecuteRequest { interpreter: Interpreter::Bash, ..python(code) }
}

fn env(name: &str, value: &str) -> EnvVariable {
    EnvVariable { name: name.to_owned(), value: value.to_owned() }
}

#[tokio::test]
async fn hello_is_started_written_and_ended() {
    let executor = Executor::start().await;
    let answer = executor.run("print('hello')").await;
    let frames = answer.frames();
    assert!(matches!(frames[0], Frame::Started { .. }));
    assert!(matches!(frames[1], Frame::Output { stream: Stream::Stdout, .. }));
    assert_eq!((answer.stdout().as_str(), answer.stderr().as_str()), ("hello\n", ""));
    let outcome = answer.outcome();
    assert_eq!(outcome.end, End::Exited { code: 0 });
    assert_eq!((outcome.stdout.size_bytes, outcome.stdout.truncated), (6, false));
    assert!(outcome.usage.peak_memory_bytes > 1 << 20);
    assert!(outcome.files.is_empty() && outcome.files_skipped.is_empty());
}

#[tokio::test]
async fn args_stdin_and_env_arrive_as_given() {
    let executor = Executor::start().await;
    let request = ExecuteRequest {
        args: vec!["a b".to_owned(), String::new(), "é".to_owned()],
        stdin: "one\ntwo".to_owned(),
        env: vec![env("MY_name", "v=1\n"), env("HOME", "/elsewhere")],
        ..python(
            "import sys, os\nprint(sys.argv[1:], input(), input(), [os.environ[k] for k in ('MY_name','HOME')])\n\
             try: input()\nexcept EOFError: print('eof')",
        )
    };
    let answer = executor.put(&request).await.ok();
    assert_eq!(answer.stdout(), "['a b', '', 'é'] one two ['v=1\\n', '/elsewhere']\neof\n");
}

#[tokio::test]
async fn without_stdin_there_is_an_end_of_file_at_once() {
    let executor = Executor::start().await;
    let answer = executor.run("input()").await;
    assert_eq!(answer.end(), End::Exited { code: 1 });
    assert!(answer.stderr().contains("EOFError"), "{}", answer.stderr());
}

#[tokio::test]
async fn the_environment_is_ours_and_not_the_executors() {
    let executor = Executor::start_with(|command| {
        command.env("CARREL_ENV_NLTK_DATA", "/data").env("CARREL_ENV_HOME", "/elsewhere");
    })
    .await;
    let code = "import os, json; print(json.dumps(dict(os.environ))); print(os.getcwd())";
    let answer = executor.run(code).await.ok();
    let stdout = answer.stdout();
    let (json, folder) = stdout.split_once('\n').unwrap();
    let seen: std::collections::BTreeMap<String, String> = serde_json::from_str(json).unwrap();
    let names: Vec<&str> = seen.keys().map(String::as_str).filter(|name| *name != "LC_CTYPE").collect();
    let expected = [
        "HOME",
        "LANG",
        "MPLBACKEND",
        "MPLCONFIGDIR",
        "NLTK_DATA",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONIOENCODING",
        "PYTHONUNBUFFERED",
        "TMPDIR",
    ];
    assert_eq!(names, expected);
    assert_eq!(seen["NLTK_DATA"], "/data");
    for (name, folder) in [("HOME", "home"), ("TMPDIR", "tmp"), ("MPLCONFIGDIR", "matplotlib")] {
        assert!(seen[name].ends_with(&format!("/uid-1/{folder}")), "{seen:?}");
    }
    assert!(folder.trim_end().ends_with("/uid-1/workspace"));
}

#[tokio::test]
async fn a_program_is_not_chosen_by_the_path_its_caller_gives() {
    let executor = Executor::start().await;
    let request = ExecuteRequest { env: vec![env("PATH", "/nowhere")], ..python("print(1)") };
    assert_eq!(executor.put(&request).await.ok().stdout(), "1\n");
}

#[tokio::test]
async fn exit_codes_are_the_programs() {
    for (code, expected) in
        [("import sys; sys.exit(3)", 3), ("raise SystemExit(300)", 44), ("1/0", 1), ("(", 1)]
    {
        let executor = Executor::start().await;
        assert_eq!(executor.run(code).await.end(), End::Exited { code: expected }, "{code}");
    }
}

#[tokio::test]
async fn a_signal_from_elsewhere_is_a_signal() {
    for signal in [9, 11, 40] {
        let executor = Executor::start().await;
        let answer = executor.run(&format!("import os; os.kill(os.getpid(), {signal})")).await;
        assert_eq!(answer.end(), End::Signalled { signal });
    }
}

#[tokio::test]
async fn bash_runs_with_arguments_also_a_script_too_long_for_one() {
    for padding in [0, 300_000] {
        let executor = Executor::start().await;
        let mut request = bash(&format!("echo \"$1-$#\"; cat; exit 7\n#{}", "x".repeat(padding)));
        request.args = vec!["a b".to_owned(), "c".to_owned()];
        request.stdin = "in".to_owned();
        let answer = executor.put(&request).await;
        assert_eq!((answer.stdout().as_str(), answer.end()), ("a b-2\nin", End::Exited { code: 7 }));
    }
}

#[tokio::test]
async fn a_tools_output_comes_back_as_a_typed_result() {
    let executor = Executor::start().await;
    let mut request = python("def double(n: int) -> int:\n    return n * 2\n");
    request.tool_input_json = Some(r#"{"n": 21}"#.to_owned());
    let outcome = executor.put(&request).await.ok().outcome();
    assert_eq!(outcome.results.len(), 1, "{outcome:?}");
    assert_eq!(outcome.results[0].name, "tool_output");
    assert_eq!(outcome.results[0].data, "42");
}

#[tokio::test]
async fn only_the_handles_it_needs_are_open_in_a_program() {
    let executor = Executor::start().await;
    let code = "import os\nfor n in sorted(os.listdir('/proc/self/fd'), key=int):\n  \
                try: print(n, os.readlink('/proc/self/fd/' + n).split(':')[0])\n  except OSError: pass";
    let answer = executor.run(code).await.ok();
    let kinds: Vec<String> =
        answer.stdout().lines().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(&kinds[..3], ["/dev/null", "pipe", "pipe"]);
    let rest: Vec<&str> =
        kinds[3..].iter().map(String::as_str).filter(|kind| !kind.starts_with("/proc")).collect();
    assert!(rest.iter().all(|kind| *kind == "pipe") && rest.len() <= 1, "{kinds:?}");
}

#[tokio::test]
async fn the_processor_time_of_children_counts() {
    let executor = Executor::start().await;
    let burn = "import time\nwhile time.process_time() < 0.3: pass";
    let code =
        format!("import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn:?}], check=True)");
    let outcome = executor.run(&code).await.ok().outcome();
    assert!(outcome.usage.cpu_milliseconds >= 300, "{:?}", outcome.usage);
}

#[tokio::test]
async fn limits_of_memory_and_processor_time_hold() {
    let executor = Executor::start().await;
    let mut request =
        python("try: bytearray(1 << 30)\nexcept MemoryError: print('refused')\nwhile True: pass");
    request.limits.memory_bytes = Some(512 << 20);
    request.limits.cpu_milliseconds = Some(1);
    let answer = executor.put(&request).await;
    assert_eq!(answer.stdout(), "refused\n");
    assert_eq!(answer.end(), End::Signalled { signal: 24 });
}

#[tokio::test]
async fn an_exception_for_memory_is_an_ordinary_exit() {
    let executor = Executor::start().await;
    let mut request = python("bytearray(1 << 40)");
    request.limits.memory_bytes = Some(512 << 20);
    let answer = executor.put(&request).await;
    assert_eq!(answer.end(), End::Exited { code: 1 });
    assert!(answer.stderr().contains("MemoryError"));
}

#[tokio::test]
async fn a_program_cannot_look_into_the_executor() {
    let executor = Executor::start_with(as_nobody).await;
    let code = "import os\nfor name in ('environ', 'mem', 'maps'):\n  \
                try: open(f'/proc/{os.getppid()}/{name}', 'rb').read(1); print('open', name)\n  \
                except OSError as e: print(type(e).__name__)";
    let answer = executor.run(code).await.ok();
    assert_eq!(answer.stdout(), "PermissionError\n".repeat(3));
}

/// Root may read everything; as another user the answer means something.
fn as_nobody(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    if rustix::process::getuid().is_root() {
        // The interpreter of the tests may lie in a home that only its owner enters.
        command.uid(65534).gid(65534).env("CARREL_PYTHON", "/usr/bin/python3");
    }
}
