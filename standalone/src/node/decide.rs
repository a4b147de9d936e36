//! What is to be done for a pod, from its object and whether it already has a worker. Pure.

use k8s_openapi::api::core::v1::Pod;

/// The next step for one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is being taken care of.
    Nothing,
    /// Start its executor.
    Start,
    /// Ask its worker to end it.
    Terminate,
    /// Its process is gone although the object says it runs: say so in the status.
    Bury,
    /// It is to be deleted and has no process: remove the object.
    Remove,
}

/// Decides for `pod`; `has_worker` says whether this process started it.
pub(super) fn step(pod: &Pod, has_worker: bool) -> Step {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("Pending");
    let deleting = pod.metadata.deletion_timestamp.is_some();
    match (deleting, has_worker, phase) {
        (true, true, _) => Step::Terminate,
        (true, false, _) => Step::Remove,
        (false, true, _) | (false, false, "Succeeded" | "Failed") => Step::Nothing,
        // Running without a worker: its executor died with an earlier process of ours.
        (false, false, "Running") => Step::Bury,
        (false, false, _) => Step::Start,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::PodStatus, apimachinery::pkg::apis::meta::v1::Time};

    use super::*;

    fn pod(phase: Option<&str>, deleting: bool) -> Pod {
        let status = phase.map(|p| PodStatus { phase: Some(p.to_owned()), ..PodStatus::default() });
        let mut pod = Pod { status, ..Pod::default() };
        pod.metadata.deletion_timestamp = deleting.then_some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
        pod
    }

    #[test]
    fn a_pod_is_started_once() {
        for phase in [None, Some("Pending")] {
            assert_eq!(step(&pod(phase, false), false), Step::Start);
            assert_eq!(step(&pod(phase, false), true), Step::Nothing);
        }
    }

    #[test]
    fn a_pod_whose_process_is_gone_is_buried_and_never_started_again() {
        assert_eq!(step(&pod(Some("Running"), false), false), Step::Bury);
        assert_eq!(step(&pod(Some("Running"), false), true), Step::Nothing);
        for phase in ["Succeeded", "Failed"] {
            assert_eq!(step(&pod(Some(phase), false), false), Step::Nothing);
        }
    }

    #[test]
    fn a_pod_that_is_to_go_is_ended_first_when_it_has_a_process() {
        for phase in ["Pending", "Running", "Failed"] {
            assert_eq!(step(&pod(Some(phase), true), true), Step::Terminate);
            assert_eq!(step(&pod(Some(phase), true), false), Step::Remove);
        }
    }
}
