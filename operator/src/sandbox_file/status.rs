//! A file's status: pure.

use chrono::{DateTime, Utc};
use crds::{
    Condition, FilePhase, SandboxFile, SandboxFileStatus,
    conditions::set_condition,
    sandbox_file::{CONDITION_EXPIRED, CONDITION_READY},
};

/// The bytes are in the store.
pub(crate) fn ready(file: &SandboxFile, sha256: &str, size: u64, now: DateTime<Utc>) -> SandboxFileStatus {
    let mut status = of_phase(file, FilePhase::Ready, "Stored", "", now);
    status.sha256 = Some(sha256.to_owned());
    status.size_bytes = Some(i64::try_from(size).unwrap_or(i64::MAX));
    status.remaining_downloads = file.spec.max_downloads;
    status.observed_registration = file.spec.registration;
    status.registration_time = Some(now);
    status
}

/// The bytes could not be had.
pub(crate) fn failed(file: &SandboxFile, message: &str, now: DateTime<Utc>) -> SandboxFileStatus {
    of_phase(file, FilePhase::Failed, "NotStored", message, now)
}

/// Its time is over.
pub(crate) fn expired(file: &SandboxFile, now: DateTime<Utc>) -> SandboxFileStatus {
    of_phase(file, FilePhase::Expired, "Expired", "", now)
}

fn of_phase(
    file: &SandboxFile,
    phase: FilePhase,
    reason: &str,
    message: &str,
    now: DateTime<Utc>,
) -> SandboxFileStatus {
    let mut status = file.status.clone().unwrap_or_default();
    status.phase = phase;
    status.observed_generation = file.metadata.generation;
    let marks = [(CONDITION_READY, FilePhase::Ready), (CONDITION_EXPIRED, FilePhase::Expired)];
    for (type_, when) in marks {
        let condition = Condition {
            type_: type_.to_owned(),
            status: (phase == when).into(),
            reason: reason.to_owned(),
            message: message.chars().take(1024).collect(),
            last_transition_time: now,
            observed_generation: file.metadata.generation,
        };
        set_condition(&mut status.conditions, condition);
    }
    status
}
