//! Pod statuses as a kubelet writes them. Pure.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use serde_json::{Value, json};

/// The name of the one container.
const CONTAINER: &str = "executor";

/// The process runs and has this readiness.
pub(super) fn running(pod_ip: &str, image: &str, ready: bool, now: &str) -> Value {
    json!({ "status": {
        "phase": "Running",
        "podIP": pod_ip,
        "podIPs": [{ "ip": pod_ip }],
        "hostIP": "127.0.0.1",
        "startTime": now,
        "conditions": conditions(ready, now),
        "containerStatuses": [{
            "name": CONTAINER, "image": image, "imageID": image, "ready": ready, "started": true, "restartCount": 0,
            "state": { "running": { "startedAt": now } },
        }],
    } })
}

/// Only the readiness of a running pod has changed.
pub(super) fn readiness(ready: bool, now: &str) -> Value {
    json!({ "status": { "conditions": conditions(ready, now) } })
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// The exit code, or 128 + the signal.
    pub(super) code: i32,
    /// The signal, when one ended it.
    pub(super) signal: Option<i32>,
    /// One word.
    pub(super) reason: &'static str,
    /// What the container left in its termination log.
    pub(super) message: String,
}

impl Ended {
    /// What a process that was waited for says of its end.
    pub(super) fn of(status: ExitStatus, message: String) -> Self {
        let signal = status.signal();
        let code = status.code().or_else(|| signal.map(|s| 128 + s)).unwrap_or(255);
        Self { code, signal, reason: if code == 0 { "Completed" } else { "Error" }, message }
    }

    /// A process that this node cannot know the end of.
    pub(super) fn unknown(message: String) -> Self {
        Self { code: 137, signal: Some(9), reason: "ContainerStatusUnknown", message }
    }

    /// A process that was killed because the node itself failed over it.
    pub(super) fn node_error(message: String) -> Self {
        Self { reason: "NodeError", ..Self::unknown(message) }
    }
}

/// The process has ended.
pub(super) fn ended(image: &str, end: &Ended, now: &str) -> Value {
    let phase = if end.code == 0 { "Succeeded" } else { "Failed" };
    json!({ "status": {
        "phase": phase,
        "reason": end.reason,
        "conditions": conditions(false, now),
        "containerStatuses": [{
            "name": CONTAINER, "image": image, "imageID": image, "ready": false, "started": false, "restartCount": 0,
            "state": { "terminated": {
                "exitCode": end.code, "signal": end.signal, "reason": end.reason, "message": end.message, "finishedAt": now,
            } },
        }],
    } })
}

/// The process could not be started at all.
pub(super) fn failed_to_start(message: &str, now: &str) -> Value {
    json!({ "status": { "phase": "Failed", "reason": "StartError", "message": message, "conditions": conditions(false, now) } })
}

fn conditions(ready: bool, now: &str) -> Value {
    let of = |type_: &str, holds: bool| json!({ "type": type_, "status": if holds { "True" } else { "False" }, "lastTransitionTime": now });
    json!([
        of("PodScheduled", true),
        of("Initialized", true),
        of("ContainersReady", ready),
        of("Ready", ready)
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_says_code_and_signal_as_a_kubelet_does() {
        let clean = Ended::of(ExitStatus::from_raw(0), String::new());
        assert_eq!((clean.code, clean.signal, clean.reason), (0, None, "Completed"));
        let failed = Ended::of(ExitStatus::from_raw(3 << 8), String::new());
        assert_eq!((failed.code, failed.signal, failed.reason), (3, None, "Error"));
        let killed = Ended::of(ExitStatus::from_raw(9), String::new());
        assert_eq!((killed.code, killed.signal, killed.reason), (137, Some(9), "Error"));
    }

    #[test]
    fn only_exit_code_zero_is_a_success() {
        let phase = |end: &Ended| ended("i", end, "t")["status"]["phase"].clone();
        assert_eq!(phase(&Ended::of(ExitStatus::from_raw(0), String::new())), "Succeeded");
        assert_eq!(phase(&Ended::unknown(String::new())), "Failed");
    }
}
