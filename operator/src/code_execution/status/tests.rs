//! What is written about each end, and that it fits the schema.

use crds::conditions::condition;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn ended(end: &End) -> CodeExecutionStatus {
    let (reason, exit_code, signal, failure) = meaning(end);
    let collected = Some(Collected::default());
    let ending = Ending { reason, exit_code, signal, failure, started: Some(at(1)), place: None, collected };
    terminal(&ending, Some(1), 0, at(2))
}

#[test]
fn each_end_has_its_phase_reason_and_code() {
    let never = |cause: StartFailure| End::NeverStarted {
        cause,
        field: None,
        message: "No space left on device".to_owned(),
    };
    for (end, reason, code, signal) in [
        (End::Exited { code: 0 }, Reason::Completed, Some(0), None),
        (End::Exited { code: 3 }, Reason::NonZeroExit, Some(3), None),
        (End::Signalled { signal: 9 }, Reason::Signalled, None, Some(9)),
        (End::TimedOut, Reason::TimedOut, None, None),
        (End::OutOfMemory, Reason::OutOfMemory, None, None),
        (End::Cancelled, Reason::Cancelled, None, None),
        (never(StartFailure::InvalidInput), Reason::Invalid, None, None),
        (never(StartFailure::InterpreterMissing), Reason::Invalid, None, None),
        (never(StartFailure::DiskFull), Reason::DiskFull, None, None),
        (never(StartFailure::Interpreter), Reason::CapacityUnavailable, None, None),
        (never(StartFailure::Transfer), Reason::CapacityUnavailable, None, None),
        (never(StartFailure::Internal), Reason::CapacityUnavailable, None, None),
    ] {
        let status = ended(&end);
        assert_eq!((status.reason, status.exit_code, status.signal), (Some(reason), code, signal), "{end:?}");
        assert_eq!(status.phase == ExecutionPhase::Succeeded, reason == Reason::Completed, "{end:?}");
        let holds = |type_: &str| condition(&status.conditions, type_).unwrap().status;
        assert_eq!(holds(CONDITION_FINISHED), ConditionStatus::True);
        assert_eq!(holds(CONDITION_COMPLETE), (reason == Reason::Completed).into());
        assert_eq!(holds(CONDITION_FAILED), (reason != Reason::Completed).into());
    }
}

#[test]
fn an_end_without_a_run_has_no_output_and_a_completion_time() {
    let ending = Ending::without_run(Reason::Cancelled, failure(None, "cancelled"));
    let status = terminal(&ending, None, 0, at(5));
    assert!(status.stdout.is_none() && status.timings.is_none());
    assert_eq!(status.completion_time, Some(at(5)));
}

#[test]
fn what_others_said_is_cut_to_the_schema() {
    let long = "é".repeat(10_000);
    let value = Some(long.clone());
    let failure = Some(Failure { value, ..failure(Some(long.clone()), &long) });
    let collected = Some(Collected { isolation: vec![long.clone(); 100], ..Collected::default() });
    let place = PodPlace { image: Some(long.clone()), ..PodPlace::default() };
    let (exit_code, signal, place) = (Some(-1), Some(1000), Some(place));
    let ending = Ending { reason: Reason::Lost, exit_code, signal, failure, started: None, place, collected };
    let status = terminal(&ending, None, 0, at(1));
    let lengths = status.failure.map(|f| {
        [f.field.unwrap().chars().count(), f.value.unwrap().chars().count(), f.message.chars().count()]
    });
    assert_eq!(lengths, Some([1024, 1024, 4096]));
    assert_eq!((status.exit_code, status.signal), (Some(0), Some(64)));
    assert_eq!(status.image_id.unwrap().chars().count(), 1024);
    assert_eq!((status.isolation.len(), status.isolation[0].chars().count()), (32, 64));
    let queued = queued(&long, None, at(1));
    assert_eq!(queued["conditions"][0]["message"].as_str().unwrap().chars().count(), 4096);
}

#[test]
fn the_largest_status_is_within_its_budget() {
    let text = OutputText { text: "a".repeat(65_534), ..OutputText::default() };
    let file = OutputFile {
        path: "x".repeat(4000),
        file_ref: crds::LocalReference::new("n"),
        sha256: "a".repeat(64),
        size_bytes: 1,
    };
    let collected =
        Collected { stdout: text.clone(), stderr: text, files: vec![file; 200], ..Collected::default() };
    let ending =
        Ending { collected: Some(collected), ..Ending::without_run(Reason::Lost, failure(None, "")) };
    let status = within_budget(terminal(&ending, None, 0, at(1)));
    assert!(crds::size::check_status(&status).is_ok());
}

#[test]
fn the_record_of_skipped_files_is_bounded() {
    let file = |length: usize| SkippedFile {
        path: "x".repeat(length),
        reason: crds::code_execution::SkipReason::TooLarge,
    };
    assert_eq!(skipped(vec![file(10); 100]).len(), limits::SKIPPED_FILES);
    assert!(skipped(vec![file(4000); 64]).len() < 5);
}

#[test]
fn a_field_is_called_what_the_user_wrote() {
    for (theirs, ours) in [
        ("inputs[3].path", "files[3].path"),
        ("toolInputJson", "tool.inputJSON"),
        ("args[0]", "args[0]"),
        ("limits.memoryBytes", "limits.memory"),
    ] {
        let failure = Failure { field: Some(theirs.to_owned()), ..Failure::default() };
        assert_eq!(renamed(failure).field.as_deref(), Some(ours));
    }
}

#[test]
fn results_that_are_missing_are_said_to_be() {
    let part = ResultPart {
        name: "a".to_owned(),
        media_type: "b".to_owned(),
        data: "x".repeat(2 * 1024 * 1024),
        stored_as: None,
    };
    let ended = |collected| {
        let ending =
            Ending { collected: Some(collected), ..Ending::without_run(Reason::Lost, failure(None, "")) };
        within_budget(terminal(&ending, None, 0, at(1)))
    };
    assert!(!ended(Collected::default()).results_truncated);
    assert!(ended(Collected { results_truncated: true, ..Collected::default() }).results_truncated);
    let too_large = ended(Collected { results: vec![part], ..Collected::default() });
    assert!(too_large.results.is_empty() && too_large.results_truncated);
}
