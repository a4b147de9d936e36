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
    /// The program gave more results than these.
    pub(crate) results_truncated: bool,
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

/// The executor's name of a field → the name of the same field in the spec.
pub(crate) fn renamed(failure: Failure) -> Failure {
    const NAMES: [(&str, &str); 6] = [
        ("inputs", "files"),
        ("toolInputJson", "tool.inputJSON"),
        ("variablesJson", "variablesJSON"),
        ("limits.memoryBytes", "limits.memory"),
        ("limits.fileBytes", "limits.outputFileBytes"),
        ("limits.filesTotalBytes", "limits.outputFilesBytes"),
    ];
    let field = failure.field.map(|field| {
        let known =
            NAMES.iter().find_map(|(theirs, ours)| field.strip_prefix(theirs).map(|rest| (ours, rest)));
        match known {
            Some((ours, rest)) => format!("{ours}{rest}"),
            None => field,
        }
    });
    Failure { field, ..failure }
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
        results_truncated: collected.results_truncated,
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
        status.results_truncated |= !status.results.is_empty();
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

/// The patch that shows a wait, in no pod any more if one was named. Nothing of it stays when the execution ends.
pub(crate) fn queued(message: &str, generation: Option<i64>, now: DateTime<Utc>) -> Value {
    json!({
        "phase": ExecutionPhase::Queued,
        "observedGeneration": generation,
        "startTime": null,
        "podName": null,
        "podUID": null,
        "nodeName": null,
        "imageID": null,
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
mod tests;
