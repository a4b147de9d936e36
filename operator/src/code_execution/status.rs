//! An execution's status: pure. What is written is made here and nowhere else.

use chrono::{DateTime, Utc};
use crds::{
    CodeExecutionStatus, Condition, ConditionStatus, ExecutionPhase, Reason,
    code_execution::{
        CONDITION_COMPLETE, CONDITION_FAILED, CONDITION_FINISHED, Failure, FailureCause, OutputFile,
        OutputText, ResultPart, SkippedFile, Timings, Usage,
    },
    limits,
};
use protocol::{End, StartFailure};
use serde_json::{Value, json};

use crate::pool::facts::PodFacts;

/// Where a run took place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodPlace {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) node: Option<String>,
    pub(crate) image: Option<String>,
}

impl PodPlace {
    pub(crate) fn of(facts: &PodFacts) -> Self {
        Self {
            name: facts.key.name.to_string(),
            uid: facts.uid.to_string(),
            node: facts.node.clone(),
            image: facts.image.clone(),
        }
    }
}

/// What came of a run, ready to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Collected {
    pub(crate) stdout: OutputText,
    pub(crate) stderr: OutputText,
    pub(crate) results: Vec<ResultPart>,
    pub(crate) files: Vec<OutputFile>,
    pub(crate) files_stored_as: Option<String>,
    pub(crate) files_count: i32,
    pub(crate) files_skipped: Vec<SkippedFile>,
    pub(crate) files_skipped_count: i32,
    pub(crate) timings: Timings,
    pub(crate) usage: Usage,
    pub(crate) isolation: Vec<String>,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ending {
    pub(crate) reason: Reason,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) failure: Option<Failure>,
    pub(crate) started: Option<DateTime<Utc>>,
    pub(crate) place: Option<PodPlace>,
    pub(crate) collected: Option<Collected>,
}

impl Ending {
    /// An end without a run.
    pub(crate) fn without_run(reason: Reason, failure: Failure) -> Self {
        let failure = Some(failure);
        Self { reason, exit_code: None, signal: None, failure, started: None, place: None, collected: None }
    }
}

/// What an executor's word for the end means.
pub(crate) fn meaning(end: &End) -> (Reason, Option<i32>, Option<i32>, Option<Failure>) {
    match end {
        End::Exited { code: 0 } => (Reason::Completed, Some(0), None, None),
        End::Exited { code } => (Reason::NonZeroExit, Some(*code), None, None),
        End::Signalled { signal } => (Reason::Signalled, None, Some(*signal), None),
        End::TimedOut => (Reason::TimedOut, None, None, None),
        End::OutOfMemory => (Reason::OutOfMemory, None, None, None),
        End::Cancelled => (Reason::Cancelled, None, None, None),
        End::NeverStarted { cause, field, message } => {
            let (reason, cause) = match cause {
                StartFailure::DiskFull => (Reason::DiskFull, None),
                StartFailure::InvalidInput | StartFailure::InterpreterMissing => (Reason::Invalid, None),
                // It certainly did not run, so it may be tried again; the sandbox was not able to.
                StartFailure::Interpreter => (Reason::CapacityUnavailable, Some(FailureCause::CannotStart)),
                StartFailure::Transfer | StartFailure::Internal => (Reason::CapacityUnavailable, None),
            };
            (reason, None, None, Some(Failure { cause, ..failure(field.clone(), message) }))
        }
    }
}

/// A failure.
pub(crate) fn failure(field: Option<String>, message: &str) -> Failure {
    Failure { cause: None, field, value: None, message: message.to_owned() }
}

/// The lengths of the schema, in characters. A status that breaks one would be refused for ever.
const MESSAGE: usize = 4096;
const FIELD: usize = 1024;
const NAME: usize = 253;
const POD_UID: usize = 64;
const ISOLATION: (usize, usize) = (32, 64);

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// Fits what others said into the schema.
fn fitting(status: CodeExecutionStatus) -> CodeExecutionStatus {
    let short = |text: Option<String>, characters| text.map(|text: String| cut(&text, characters));
    let failure = status.failure.map(|Failure { cause, field, value, message }| Failure {
        cause,
        field: short(field, FIELD),
        value: short(value, FIELD),
        message: cut(&message, MESSAGE),
    });
    let (layers, layer) = ISOLATION;
    CodeExecutionStatus {
        failure,
        exit_code: status.exit_code.map(|code| code.clamp(0, 255)),
        signal: status.signal.map(|signal| signal.clamp(1, 64)),
        pod_name: short(status.pod_name, NAME),
        pod_uid: short(status.pod_uid, POD_UID),
        node_name: short(status.node_name, NAME),
        image_id: short(status.image_id, FIELD),
        isolation: status.isolation.iter().take(layers).map(|name| cut(name, layer)).collect(),
        ..status
    }
}

/// The terminal status.
pub(crate) fn terminal(
    ending: &Ending,
    generation: Option<i64>,
    queued_milliseconds: i64,
    now: DateTime<Utc>,
) -> CodeExecutionStatus {
    let Ending { reason, exit_code, signal, failure, started, place, collected } = ending.clone();
    let succeeded = reason == Reason::Completed;
    let ran = collected.is_some();
    let collected = collected.unwrap_or_default();
    let place = place.map_or((None, None, None, None), |p| (Some(p.name), Some(p.uid), p.node, p.image));
    let (pod_name, pod_uid, node_name, image_id) = place;
    fitting(CodeExecutionStatus {
        phase: if succeeded { ExecutionPhase::Succeeded } else { ExecutionPhase::Failed },
        reason: Some(reason),
        exit_code,
        signal,
        stdout: ran.then_some(collected.stdout),
        stderr: ran.then_some(collected.stderr),
        results: collected.results,
        files: collected.files,
        files_stored_as: collected.files_stored_as,
        files_count: (collected.files_count > 0).then_some(collected.files_count),
        files_skipped: collected.files_skipped,
        files_skipped_count: (collected.files_skipped_count > 0).then_some(collected.files_skipped_count),
        packages: Vec::new(),
        failure,
        start_time: started,
        completion_time: Some(now),
        timings: ran.then_some(Timings { queued_milliseconds, ..collected.timings }),
        usage: ran.then_some(collected.usage),
        pod_name,
        pod_uid,
        node_name,
        image_id,
        isolation: collected.isolation,
        conditions: conditions(reason, generation, now),
        observed_generation: generation,
    })
}

/// A terminal status that is too large in spite of every budget loses what can be had elsewhere.
pub(crate) fn within_budget(mut status: CodeExecutionStatus) -> CodeExecutionStatus {
    if crds::size::check_status(&status).is_ok() {
        return status;
    }
    status.files_skipped = Vec::new();
    status.isolation.truncate(16);
    if crds::size::check_status(&status).is_err() {
        status.results = Vec::new();
        status.files = Vec::new();
        let failure = status.failure.take().unwrap_or_default();
        let message = "parts of the status were too large and left out".to_owned();
        status.failure = Some(Failure { message, ..failure });
    }
    status
}

fn conditions(reason: Reason, generation: Option<i64>, now: DateTime<Utc>) -> Vec<Condition> {
    let succeeded = reason == Reason::Completed;
    [(CONDITION_FINISHED, true), (CONDITION_COMPLETE, succeeded), (CONDITION_FAILED, !succeeded)]
        .into_iter()
        .map(|(type_, holds)| Condition {
            type_: type_.to_owned(),
            status: ConditionStatus::from(holds),
            reason: reason.as_str().to_owned(),
            message: String::new(),
            last_transition_time: now,
            observed_generation: generation,
        })
        .collect()
}

/// The patch that shows a wait. Nothing of it stays when the execution ends.
pub(crate) fn queued(message: &str, generation: Option<i64>, now: DateTime<Utc>) -> Value {
    json!({
        "phase": ExecutionPhase::Queued,
        "observedGeneration": generation,
        "conditions": unfinished("Queued", message, generation, now),
    })
}

/// The patch that shows that it runs, or is about to.
pub(crate) fn running(place: &PodPlace, generation: Option<i64>, now: DateTime<Utc>) -> Value {
    let PodPlace { name, uid, node, image } = place;
    json!({
        "phase": ExecutionPhase::Running,
        "observedGeneration": generation,
        "startTime": now,
        "podName": name,
        "podUID": uid,
        "nodeName": node,
        "imageID": image,
        "conditions": unfinished("Running", "", generation, now),
    })
}

fn unfinished(reason: &str, message: &str, generation: Option<i64>, now: DateTime<Utc>) -> Vec<Condition> {
    [CONDITION_FINISHED, CONDITION_COMPLETE, CONDITION_FAILED]
        .into_iter()
        .map(|type_| Condition {
            type_: type_.to_owned(),
            status: ConditionStatus::False,
            reason: reason.to_owned(),
            message: cut(message, MESSAGE),
            last_transition_time: now,
            observed_generation: generation,
        })
        .collect()
}

/// How long the record of skipped files may be, in encoded bytes.
const SKIPPED_BYTES: usize = 16 * 1024;

/// The first skipped files, as many as fit.
pub(crate) fn skipped(files: Vec<SkippedFile>) -> Vec<SkippedFile> {
    let mut used = 0;
    files
        .into_iter()
        .take(limits::SKIPPED_FILES)
        .take_while(|file| {
            used += crds::size::encoded_bytes(file) + 1;
            used <= SKIPPED_BYTES
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crds::conditions::condition;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn ended(end: &End) -> CodeExecutionStatus {
        let (reason, exit_code, signal, failure) = meaning(end);
        let collected = Some(Collected::default());
        let ending =
            Ending { reason, exit_code, signal, failure, started: Some(at(1)), place: None, collected };
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
            assert_eq!(
                (status.reason, status.exit_code, status.signal),
                (Some(reason), code, signal),
                "{end:?}"
            );
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
        let ending =
            Ending { reason: Reason::Lost, exit_code, signal, failure, started: None, place, collected };
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
}
