use crds::{LocalReference, code_execution::Timings};
use serde_json::{Value, json};

use super::*;

fn finished(ending: Ending) -> Finished {
    let file = OutputFile {
        path: "d/e.txt".to_owned(),
        file_ref: LocalReference::new("9d2f"),
        sha256: "ab".repeat(32),
        size_bytes: 4,
    };
    let status = CodeExecutionStatus {
        timings: Some(Timings {
            queued_milliseconds: 1,
            start_milliseconds: 2,
            run_milliseconds: 30,
            collect_milliseconds: 4,
        }),
        ..CodeExecutionStatus::default()
    };
    Finished { ending, status, stdout: "out\n".to_owned(), stderr: "err".to_owned(), files: vec![file] }
}

fn cut(text: &str) -> OutputText {
    OutputText { text: text.to_owned(), size_bytes: 1_000_000, truncated: true, stored_as: None }
}

fn json_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("JSON")
}

#[test]
fn bee_has_exactly_four_keys() {
    let answer = json_of(&bee_answer(&finished(Ending::Exited(0)), 1_000_000, None));
    let expected = json!({"stdout": "out\n", "stderr": "err", "exit_code": 0, "files": {"/workspace/d/e.txt": "ab".repeat(32)}});
    assert_eq!(answer, expected);
}

#[test]
fn tgpt_has_six_and_naive_times() {
    let extras = TgptExtras {
        chat_id: "c1".to_owned(),
        max_downloads: Some(2),
        expires_at: Some("2026-11-21T04:04:48.943258".parse().expect("a time")),
    };
    let answer = json_of(&bee_answer(&finished(Ending::Exited(0)), 1_000_000, Some(extras.clone())));
    assert_eq!(answer["chat_id"], "c1");
    let metadata =
        json!({"/workspace/d/e.txt": {"remaining_downloads": 2, "expires_at": "2026-11-21T04:04:48.943258"}});
    assert_eq!(answer["files_metadata"], metadata);
    assert_eq!(answer.as_object().expect("an object").len(), 6);

    let forever = TgptExtras { max_downloads: None, expires_at: None, ..extras.clone() };
    let answer = json_of(&bee_answer(&finished(Ending::Exited(0)), 1_000_000, Some(forever)));
    assert_eq!(
        answer["files_metadata"]["/workspace/d/e.txt"],
        json!({"remaining_downloads": null, "expires_at": null})
    );

    let without_files = Finished { files: vec![], ..finished(Ending::Exited(0)) };
    assert_eq!(json_of(&bee_answer(&without_files, 1_000_000, Some(extras)))["files_metadata"], json!({}));
}

#[test]
fn a_whole_second_has_six_digits_of_microseconds() {
    let extras = TgptExtras {
        chat_id: String::new(),
        max_downloads: None,
        expires_at: Some("2026-11-21T04:04:48".parse().expect("a time")),
    };
    assert_eq!(file_metadata(&extras).expires_at.as_deref(), Some("2026-11-21T04:04:48.000000"));
}

#[test]
fn a_deadline_is_told_after_the_cut() {
    let mut run = finished(Ending::TimedOut);
    run.stderr = "e".repeat(40);
    run.status.stderr = Some(cut(&run.stderr));
    let answer = bee_answer(&run, 40, None);
    assert_eq!(answer.stderr, format!("{}\n...[truncated]\nExecution timed out", "e".repeat(8)));
    assert_eq!((answer.exit_code, answer.stdout.as_str()), (-1, "out\n"));
    let answer = onyx_answer(&run, 40);
    assert_eq!((answer.exit_code, answer.timed_out), (None, true));
    assert_eq!(answer.stderr, format!("{}\n...[truncated]", "e".repeat(8)));
}

#[test]
fn onyx_has_its_keys() {
    let answer = json_of(&onyx_answer(&finished(Ending::Killed(9)), 1_000_000));
    let expected = json!({"stdout": "out\n", "stderr": "err", "exit_code": 137, "timed_out": false, "duration_ms": 34,
        "files": [{"path": "d/e.txt", "kind": "file", "file_id": "9d2f"}]});
    assert_eq!(answer, expected);
}

#[test]
fn a_stream_says_that_it_was_cut_and_only_then() {
    let mut run = finished(Ending::Exited(3));
    let result = json_of(&stream_result(&run));
    let files = json!([{"path": "d/e.txt", "kind": "file", "file_id": "9d2f"}]);
    assert_eq!(result, json!({"exit_code": 3, "timed_out": false, "duration_ms": 34, "files": files}));
    run.status.stdout = Some(cut("out"));
    assert_eq!(json_of(&stream_result(&run))["truncated"], true);
}

#[test]
fn skipped_files_are_listed_with_one_word() {
    let mut run = finished(Ending::Exited(0));
    run.status.files_skipped = vec![SkippedFile { path: "a".to_owned(), reason: SkipReason::NameNotUtf8 }];
    assert_eq!(
        json_of(&bee_answer(&run, 10, None))["files_skipped"],
        json!([{"path": "/workspace/a", "reason": "name_not_utf8"}])
    );
    assert_eq!(
        json_of(&onyx_answer(&run, 10))["files_skipped"],
        json!([{"path": "a", "reason": "name_not_utf8"}])
    );
}
