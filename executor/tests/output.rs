//! Output: never blocks the program, never fills the executor, always whole characters.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use axum::{body::Body, http::Method as Verb};
use common::{Executor, UID, body, python, signed};
use protocol::{End, Method, routes};

#[tokio::test]
async fn a_flood_is_read_to_its_end_and_memory_stays_flat() {
    let executor = Executor::start().await;
    let code = "import os\nline = (b'x' * 1023 + b'\\n') * 64\n\
                for _ in range(1600):\n  os.write(1, line)\n  os.write(2, line)";
    let before = executor.memory_kib("VmHWM");
    let answer = executor.run(code).await.ok();
    let outcome = answer.outcome();
    for stream in [outcome.stdout, outcome.stderr] {
        assert_eq!((stream.size_bytes, stream.truncated), (1600 * 65536, true));
    }
    assert_eq!((answer.stdout().len(), answer.stderr().len()), (1_000_000, 1_000_000));
    let grown = executor.memory_kib("VmHWM") - before;
    assert!(grown < 32 * 1024, "grew by {grown} KiB");
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_block_the_program() {
    let executor = Executor::start().await;
    let mut request = python("import sys\nfor _ in range(400): sys.stdout.write('y' * 100_000)");
    request.limits.output_bytes = 32 << 20;
    let token = signed(Method::Execute, Some(UID));
    let body = Body::from(body(&request, &[]));
    let unread = executor.open(Verb::PUT, &routes::execution(UID), Some(&token), body).await;
    let outcome = executor.attach(UID).await.ok().outcome();
    assert_eq!(outcome.stdout.size_bytes, 40_000_000);
    drop(unread);
}

#[tokio::test]
async fn one_byte_at_a_time_on_both_streams_arrives_whole() {
    let executor = Executor::start().await;
    let code = "import os\nfor i in range(20000):\n  os.write(1, b'a'); os.write(2, b'b')";
    let answer = executor.run(code).await.ok();
    assert_eq!((answer.stdout(), answer.stderr()), ("a".repeat(20_000), "b".repeat(20_000)));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_replaced_and_characters_are_never_split() {
    let executor = Executor::start().await;
    let code = "import os, time\nfor byte in 'é日😀'.encode() + b'\\xff\\xe2\\x82':\n  \
                os.write(1, bytes([byte])); time.sleep(0.002)";
    let answer = executor.run(code).await.ok();
    assert_eq!(answer.stdout(), "é日😀\u{fffd}\u{fffd}");
    assert_eq!(answer.outcome().stdout.size_bytes, 12);
}

#[tokio::test]
async fn the_cut_is_at_the_limit_and_at_a_whole_character() {
    for (limit, expected) in [(5, "hello"), (7, "hello é"), (8, "hello é"), (100, "hello é日")] {
        let executor = Executor::start().await;
        let mut request = python("print('hello é日', end='')");
        request.limits.output_bytes = if limit == 7 { 8 } else { limit };
        let answer = executor.put(&request).await.ok();
        assert_eq!(answer.stdout(), expected, "{limit}");
        assert_eq!(answer.outcome().stdout.truncated, limit != 100);
    }
}

#[tokio::test]
async fn output_before_a_deadline_is_kept() {
    let executor = Executor::start().await;
    let mut request = python("import sys\nprint('out')\nprint('err', file=sys.stderr)\nwhile True: pass");
    request.timeout_milliseconds = 1500;
    let answer = executor.put(&request).await;
    assert_eq!(answer.end(), End::TimedOut);
    assert_eq!((answer.stdout().as_str(), answer.stderr().as_str()), ("out\n", "err\n"));
}

#[tokio::test]
async fn what_programs_write_never_reaches_the_executors_log() {
    let executor = Executor::start().await;
    executor.run("import sys; print('marker-out'); print('marker-err', file=sys.stderr)").await.ok();
    assert!(!executor.log.lock().iter().any(|line| line.contains("marker")));
}
