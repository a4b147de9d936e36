//! Inputs and changed files, also of programs that try to hand back what is not theirs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::{fs, os::unix::process::CommandExt as _};

use common::{Answer, Executor, UID, python};
use protocol::{End, ExecuteRequest, InputFile, SkipReason};

fn with_inputs(code: &str, inputs: &[(&str, &[u8])]) -> ExecuteRequest {
    let input = |(path, bytes): &(&str, &[u8])| InputFile {
        path: (*path).to_owned(),
        size_bytes: bytes.len() as u64,
        sha256: None,
    };
    ExecuteRequest { inputs: inputs.iter().map(input).collect(), ..python(code) }
}

async fn run(executor: &Executor, code: &str, inputs: &[(&str, &[u8])]) -> Answer {
    let bytes: Vec<&[u8]> = inputs.iter().map(|(_, bytes)| *bytes).collect();
    executor.put_as(UID, &with_inputs(code, inputs), &bytes).await
}

fn paths(answer: &Answer) -> Vec<String> {
    answer.outcome().files.into_iter().map(|file| file.path).collect()
}

fn skipped(answer: &Answer) -> Vec<(String, SkipReason)> {
    answer.outcome().files_skipped.into_iter().map(|file| (file.path, file.reason)).collect()
}

#[tokio::test]
async fn inputs_are_there_and_only_what_changed_comes_back() {
    let executor = Executor::start().await;
    let code = "import os\nassert open('d/in.txt').read() == 'input'\n\
                assert oct(os.stat('d/in.txt').st_mode) == '0o100644'\n\
                assert oct(os.stat('d').st_mode) == '0o40755'\n\
                open('rewritten', 'w').write('same')\nopen('changed', 'r+').write('X')\nos.chmod('kept', 0o600)\n\
                os.makedirs('.new/e'); open('.new/e/ü.bin', 'wb').write(bytes(range(256)))\n\
                os.rename('moved', 'moved2')";
    let inputs: [(&str, &[u8]); 5] = [
        ("d/in.txt", b"input"),
        ("rewritten", b"same"),
        ("changed", b"old"),
        ("kept", b"k"),
        ("moved", b"m"),
    ];
    let answer = run(&executor, code, &inputs).await.ok();
    assert_eq!(paths(&answer), [".new/e/ü.bin", "changed", "moved2"]);
    let whole: Vec<u8> = (0..=255).collect();
    assert_eq!(executor.file(UID, 0).await.body, whole);
    assert_eq!(executor.file(UID, 1).await.body, "Xld");
    assert_eq!(executor.file(UID, 3).await.refusal().0, 404);
}

#[tokio::test]
async fn a_large_file_comes_back_whole() {
    let executor = Executor::start().await;
    let code =
        "import os\nwith open('big', 'wb') as f:\n  for i in range(64): f.write(bytes([i]) * (1 << 20))";
    let answer = executor.run(code).await.ok();
    assert_eq!(answer.outcome().files[0].size_bytes, 64 << 20);
    let file = executor.file(UID, 0).await;
    assert_eq!(file.body.len(), 64 << 20);
    assert!((0..64_usize).all(|at| usize::from(file.body[at << 20]) == at));
}

#[tokio::test]
async fn links_fifos_and_sockets_are_not_followed_and_not_waited_for() {
    let executor = Executor::start().await;
    let code = "import os, socket\nos.symlink('/etc/passwd', 'passwd')\nos.symlink('/proc/self/environ', 'environ')\n\
                os.symlink('/etc', 'etc')\nos.symlink('.', 'loop')\nos.mkfifo('fifo')\n\
                socket.socket(socket.AF_UNIX).bind('sock')\nopen('real', 'w').write('r')";
    let answer = executor.run(code).await.ok();
    assert_eq!(paths(&answer), ["real"]);
    assert!(skipped(&answer).is_empty());
}

#[tokio::test]
async fn a_link_that_replaces_a_listed_file_is_not_served() {
    let executor = Executor::start().await;
    executor.run("import os\nos.mkdir('d')\nopen('d/f', 'w').write('mine')").await.ok();
    assert_eq!(executor.file(UID, 0).await.body, "mine");
    let secret = executor.dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("f"), "not yours").unwrap();
    let folder = executor.workspace().join("d");
    fs::rename(&folder, executor.workspace().join("was")).unwrap();
    std::os::unix::fs::symlink(&secret, &folder).unwrap();
    assert_eq!(executor.file(UID, 0).await.refusal().0, 500);
}

#[tokio::test]
async fn a_tree_swapped_all_the_time_never_gives_a_foreign_file() {
    let executor = Executor::start().await;
    let secret = executor.dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("f"), "not yours").unwrap();
    // The swapping goes on until it is killed.
    let code = format!(
        "import os, sys\nos.mkdir('a'); open('a/f', 'w').write('mine'); os.symlink({secret:?}, 'b')\n\
         if os.fork() == 0:\n  os.setsid()\n  while True: os.rename('a', 'c'); os.rename('b', 'a'); \
         os.rename('a', 'b'); os.rename('c', 'a')\n"
    );
    let answer = executor.run(&code).await.ok();
    for (index, file) in answer.outcome().files.iter().enumerate() {
        assert!(file.path.ends_with("/f"), "{file:?}");
        assert_eq!(executor.file(UID, index).await.body, "mine");
    }
}

#[tokio::test]
async fn a_hard_link_to_a_file_from_outside_is_left_out() {
    let executor = Executor::start().await;
    let secret = executor.dir.path().join("secret");
    fs::write(&secret, "not yours").unwrap();
    let code =
        format!("import os\nos.link({secret:?}, 'link')\nopen('a', 'w').write('x'); os.link('a', 'b')");
    let answer = executor.run(&code).await.ok();
    assert_eq!(paths(&answer), ["a", "b"]);
    assert_eq!(skipped(&answer), [("link".to_owned(), SkipReason::Unreadable)]);
}

#[tokio::test]
async fn names_that_are_no_text_and_limits_have_their_reasons() {
    let executor = Executor::start().await;
    let mut request = python(
        "open(b'bad\\xff', 'w').write('x')\nopen('big', 'w').write('x' * 11)\n\
         for name in ('a', 'b', 'c', 'd'): open(name, 'w').write('x' * 6)",
    );
    request.limits.file_bytes = 10;
    request.limits.files_total_bytes = 20;
    let answer = executor.put(&request).await.ok();
    assert_eq!(paths(&answer), ["a", "b", "c"]);
    let expected = [
        ("bad\u{fffd}".to_owned(), SkipReason::NameNotUtf8),
        ("big".to_owned(), SkipReason::TooLarge),
        ("d".to_owned(), SkipReason::TotalTooLarge),
    ];
    assert_eq!(skipped(&answer), expected);
    assert_eq!(answer.outcome().files_skipped_count, 3);
}

#[tokio::test]
async fn a_sparse_giant_and_a_deep_tree_do_not_hold_up_the_answer() {
    let executor = Executor::start().await;
    let code = "import os\nopen('sparse', 'w').truncate(1 << 40)\nopen('ok', 'w').write('x')\n\
                for _ in range(2000): os.mkdir('d'); os.chdir('d')\nopen('deep', 'w').write('x')";
    let answer = executor.run(code).await.ok();
    assert_eq!(paths(&answer), ["ok"]);
    let reasons: Vec<SkipReason> = skipped(&answer).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, [SkipReason::TooManyFiles, SkipReason::TooLarge]);
    executor.acknowledge(UID).await;
    let workspace = executor.workspace();
    executor.until(async || !workspace.exists()).await;
}

#[tokio::test]
async fn locked_files_come_back_also_to_an_executor_that_is_not_root() {
    let executor = Executor::start_with(|command| {
        if rustix::process::getuid().is_root() {
            // The interpreter of the tests may lie in a home that only its owner enters.
            command.uid(65534).gid(65534).env("CARREL_PYTHON", "/usr/bin/python3");
        }
    })
    .await;
    let code = "import os\nos.mkdir('d'); open('d/f', 'w').write('x'); open('g', 'w').write('y')\n\
                os.chmod('d/f', 0); os.chmod('d', 0); os.chmod('g', 0)";
    let answer = executor.run(code).await.ok();
    assert_eq!(paths(&answer), ["d/f", "g"], "{:?}", skipped(&answer));
    assert_eq!(executor.file(UID, 0).await.body, "x");
}

#[tokio::test]
async fn files_changed_before_a_failure_come_back() {
    let executor = Executor::start().await;
    let answer = executor.run("open('f', 'w').write('x')\nraise SystemExit(9)").await;
    assert_eq!((answer.end(), paths(&answer)), (End::Exited { code: 9 }, vec!["f".to_owned()]));
}

#[tokio::test]
async fn without_collecting_nothing_is_listed() {
    let executor = Executor::start().await;
    let request = ExecuteRequest { collect_files: false, ..python("open('f', 'w').write('x')") };
    assert!(paths(&executor.put(&request).await.ok()).is_empty());
}

#[tokio::test]
async fn inputs_that_would_leave_the_workspace_are_refused_before_anything_is_written() {
    for path in ["../x", "/etc/x", "a/../../x", "", "a\0", "d/."] {
        let executor = Executor::start().await;
        let answer = run(&executor, "print(1)", &[(path, b"x")]).await;
        let refused = (400, "InvalidRequest".to_owned(), Some("inputs[0].path".to_owned()));
        assert_eq!(answer.refusal(), refused, "{path:?}");
        assert!(executor.inventory().await.vacant);
    }
}

#[tokio::test]
async fn an_input_with_another_hash_is_never_run() {
    let executor = Executor::start().await;
    let mut request = with_inputs("print(1)", &[("a", b"x")]);
    request.inputs[0].sha256 = Some("0".repeat(64));
    let answer = executor.put_as(UID, &request, &[b"x"]).await;
    assert!(
        matches!(answer.end(), End::NeverStarted { field: Some(field), .. } if field == "inputs[0].sha256"),
        "{:?}",
        answer.body
    );
}
