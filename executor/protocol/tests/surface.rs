//! The JSON of every message, frozen. A difference here is a change of the wire protocol: it needs a
//! new `PROTOCOL_VERSION`, or must be readable by the other side as it is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use protocol::{
    Claims, End, EnvVariable, ErrorBody, ErrorCode, ExecuteRequest, FileEntry, Frame, HeldRun, InputFile,
    Interpreter, Inventory, Method, Outcome, PROTOCOL_VERSION, Readiness, ResultPart, RunLimits, RunState,
    SigningKey, SkipReason, SkippedFile, StartFailure, Stream, StreamSummary, Timings, Usage, token,
};
use serde::{Serialize, de::DeserializeOwned};

/// Freezes the JSON and checks that it reads back as the same value.
fn freeze<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value);
    insta::assert_json_snapshot!(name, value);
}

fn request() -> ExecuteRequest {
    ExecuteRequest {
        interpreter: Interpreter::PythonOrShell,
        code: "print(1)".to_owned(),
        interactive: true,
        entry_path: "main.py".to_owned(),
        args: vec!["-v".to_owned()],
        stdin: "in".to_owned(),
        env: vec![EnvVariable { name: "REGION".to_owned(), value: "EU".to_owned() }],
        variables_json: Some(r#"{"n":4}"#.to_owned()),
        tool_input_json: Some("null".to_owned()),
        inputs: vec![InputFile { path: "a/b.csv".to_owned(), size_bytes: 3, sha256: Some("ab".to_owned()) }],
        collect_files: true,
        save_figures: true,
        timeout_milliseconds: 30_000,
        limits: RunLimits {
            memory_bytes: Some(1),
            cpu_milliseconds: Some(2),
            processes: Some(3),
            output_bytes: 4,
            file_bytes: 5,
            files: 6,
            files_total_bytes: 7,
        },
    }
}

fn outcome(end: End) -> Outcome {
    Outcome {
        end,
        stdout: StreamSummary { size_bytes: 5, truncated: false },
        stderr: StreamSummary { size_bytes: 9, truncated: true },
        files: vec![FileEntry { path: "out.txt".to_owned(), size_bytes: 4, sha256: "8c".to_owned() }],
        files_skipped: vec![SkippedFile { path: "x".to_owned(), reason: SkipReason::TooLarge }],
        files_skipped_count: 1,
        results: vec![ResultPart {
            name: "tool_output".to_owned(),
            media_type: "application/json".to_owned(),
            data: "5".to_owned(),
        }],
        results_truncated: false,
        timings: Timings { start_milliseconds: 1, run_milliseconds: 2, collect_milliseconds: 3 },
        usage: Usage { cpu_milliseconds: 9, peak_memory_bytes: 10 },
        isolation: vec!["rlimits".to_owned()],
    }
}

#[test]
fn the_version_of_what_is_frozen_here_is_one() {
    assert_eq!(PROTOCOL_VERSION, 1);
}

#[test]
fn requests_are_frozen() {
    freeze("request", &request());
    let small = r#"{"code":"1","entryPath":"main.py","timeoutMilliseconds":5}"#;
    let read: ExecuteRequest = serde_json::from_str(small).unwrap();
    freeze("request_with_defaults", &read);
}

#[test]
fn a_request_with_a_field_of_a_later_version_is_refused() {
    let text = r#"{"code":"1","entryPath":"main.py","timeoutMilliseconds":5,"sealed":true}"#;
    assert!(serde_json::from_str::<ExecuteRequest>(text).unwrap_err().to_string().contains("sealed"));
}

#[test]
fn frames_are_frozen() {
    freeze("frame_started", &Frame::Started { started_unix_milliseconds: 1_700_000_000_000 });
    freeze("frame_output", &Frame::Output { stream: Stream::Stderr, text: "é\u{0}\n".to_owned() });
    freeze("frame_ended", &Frame::Ended { outcome: Box::new(outcome(End::Exited { code: 0 })) });
}

#[test]
fn every_end_is_frozen() {
    let ends = vec![
        End::Exited { code: 3 },
        End::Signalled { signal: 9 },
        End::TimedOut,
        End::OutOfMemory,
        End::Cancelled,
        End::NeverStarted { cause: StartFailure::Internal, field: None, message: "no".to_owned() },
        End::NeverStarted {
            cause: StartFailure::InvalidInput,
            field: Some("inputs[0].sha256".to_owned()),
            message: "no".to_owned(),
        },
    ];
    freeze("ends", &ends);
    let causes = vec![
        StartFailure::InvalidInput,
        StartFailure::DiskFull,
        StartFailure::InterpreterMissing,
        StartFailure::Interpreter,
        StartFailure::Transfer,
        StartFailure::Internal,
    ];
    freeze("start_failures", &causes);
}

#[test]
fn an_end_of_an_executor_that_names_no_cause_can_be_read() {
    let end: End = serde_json::from_str(r#"{"type":"NeverStarted","message":"no"}"#).unwrap();
    assert!(matches!(end, End::NeverStarted { cause: StartFailure::Internal, .. }));
}

#[test]
fn every_skip_reason_is_frozen() {
    let reasons = vec![
        SkipReason::Unreadable,
        SkipReason::NameNotUtf8,
        SkipReason::TooLarge,
        SkipReason::TooManyFiles,
        SkipReason::TotalTooLarge,
        SkipReason::ChangedWhileReading,
        SkipReason::StoreFailed,
    ];
    freeze("skip_reasons", &reasons);
}

#[test]
fn errors_are_frozen_with_their_status() {
    let table: Vec<(ErrorCode, u16)> = ErrorCode::ALL.iter().map(|code| (*code, code.status())).collect();
    freeze("error_codes", &table);
    let body = ErrorBody {
        code: ErrorCode::InvalidRequest,
        message: "must not contain NUL".to_owned(),
        field: Some("env[0].value".to_owned()),
        epoch: None,
    };
    freeze("error_body", &body);
    let message = "epoch 4 is older than 19".to_owned();
    let old = ErrorBody { code: ErrorCode::OldEpoch, message, field: None, epoch: Some(19) };
    freeze("error_body_old_epoch", &old);
}

#[test]
fn inventory_and_readiness_are_frozen() {
    let inventory = Inventory {
        protocol_version: PROTOCOL_VERSION,
        pod_uid: "p1".to_owned(),
        epoch: 3,
        draining: false,
        vacant: false,
        used: 2,
        clock_unix_milliseconds: 1_700_000_000_000,
        isolation: vec!["rlimits".to_owned()],
        runs: vec![
            HeldRun { uid: "u1".to_owned(), state: RunState::Running },
            HeldRun { uid: "u2".to_owned(), state: RunState::Finished },
        ],
    };
    freeze("inventory", &inventory);
    let readiness = Readiness { ready: false, message: "draining".to_owned(), isolation: Vec::new() };
    freeze("readiness", &readiness);
}

#[test]
fn an_inventory_of_an_executor_that_does_not_count_can_be_read() {
    let old = r#"{"protocolVersion":1,"podUid":"p","epoch":0,"draining":false,"vacant":true,"clockUnixMilliseconds":0}"#;
    assert_eq!(serde_json::from_str::<Inventory>(old).unwrap().used, 0);
}

#[test]
fn tokens_are_frozen() {
    let methods = vec![
        Method::Inventory,
        Method::Execute,
        Method::Attach,
        Method::ReadFile,
        Method::Cancel,
        Method::Acknowledge,
        Method::Reset,
    ];
    freeze("methods", &methods);
    let claims = Claims {
        key_id: "k1".to_owned(),
        method: Method::Execute,
        execution_uid: Some("u1".to_owned()),
        pod_uid: "p1".to_owned(),
        epoch: 7,
        expires_unix_milliseconds: 1_700_000_000_000,
    };
    freeze("claims", &claims);
    let key = SigningKey::from_seed("k1", &[7; 32]).unwrap();
    insta::assert_snapshot!("public_key", key.public());
    insta::assert_snapshot!("token", token::sign(&key, &claims));
}
