//! Why a pool has fewer pods than it should: pure. The reasons are a closed set, because events, conditions and metrics
//! carry them; what the kubelet or the API said is in the message.

use std::fmt;

use crds::code_execution::FailureCause;
use k8s_openapi::api::core::v1::PodStatus;

use super::facts;

/// A message is cut there.
const MESSAGE_CHARACTERS: usize = 1024;

/// What kind of trouble. Of several, the first one here is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reason {
    /// The image cannot be had.
    ImageUnavailable,
    /// There is an image, and no container of it.
    ContainerNotCreated,
    /// The kubelet waits for something else.
    PodNotStarted,
    /// No node takes the pod.
    Unschedulable,
    /// A quota of the namespace has no room.
    Quota,
    /// An admission policy refuses the pod.
    Forbidden,
    /// The pool or its pods are not valid.
    Invalid,
    /// The API fails.
    ApiUnavailable,
    /// A node with pods does not answer.
    NodeLost,
    /// Sandboxes die before they are ready.
    SandboxFailsToStart,
    /// Sandboxes run and do not become ready.
    SandboxNotReady,
    /// The executor is of another version.
    ProtocolVersion,
    /// The clock of a node is wrong.
    ClockSkew,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ImageUnavailable => "ImageUnavailable",
            Self::ContainerNotCreated => "ContainerNotCreated",
            Self::PodNotStarted => "PodNotStarted",
            Self::Unschedulable => "Unschedulable",
            Self::Quota => "Quota",
            Self::Forbidden => "Forbidden",
            Self::Invalid => "Invalid",
            Self::ApiUnavailable => "ApiUnavailable",
            Self::NodeLost => "NodeLost",
            Self::SandboxFailsToStart => "SandboxFailsToStart",
            Self::SandboxNotReady => "SandboxNotReady",
            Self::ProtocolVersion => "ProtocolVersion",
            Self::ClockSkew => "ClockSkew",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a pool has fewer pods than it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) reason: Reason,
    /// The sentence for people.
    pub(crate) message: String,
    /// What an execution that cannot start for it is told.
    pub(crate) cause: Option<FailureCause>,
}

impl Trouble {
    pub(crate) fn new(reason: Reason, message: &str, cause: Option<FailureCause>) -> Self {
        Self { reason, message: message.chars().take(MESSAGE_CHARACTERS).collect(), cause }
    }

    /// Why a pod does not come up, when it says so.
    pub(crate) fn of_pod(status: &PodStatus) -> Option<Self> {
        let waiting =
            facts::container(status).and_then(|c| c.state.as_ref()).and_then(|s| s.waiting.as_ref());
        if let Some(waiting) = waiting
            && let Some(word) = &waiting.reason
            && !matches!(word.as_str(), "ContainerCreating" | "PodInitializing")
        {
            let message = format!("{word}: {}", waiting.message.as_deref().unwrap_or_default());
            let reason = of_kubelet(word);
            let cause = (reason != Reason::PodNotStarted).then_some(FailureCause::CannotStart);
            return Some(Self::new(reason, message.trim_end_matches([':', ' ']), cause));
        }
        let scheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled")?;
        (scheduled.status == "False").then(|| {
            let message = scheduled.message.as_deref().unwrap_or_default();
            Self::new(Reason::Unschedulable, message, Some(FailureCause::Unschedulable))
        })
    }

    /// That of several which is told: always the same one, so that nothing changes to and fro.
    pub(crate) fn first(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        all.into_iter().min_by(|a, b| (a.reason, &a.message).cmp(&(b.reason, &b.message)))
    }

    /// Whether a pool without idle pods will have none, when one that says nothing of trouble comes up or not. Room on
    /// a node may come at any time.
    pub(crate) fn starves(&self, comes_up: bool) -> bool {
        let remains = matches!(self.cause, Some(FailureCause::QuotaExceeded | FailureCause::CannotStart));
        // Those that failed said nothing before either.
        let like_others = matches!(self.reason, Reason::SandboxFailsToStart | Reason::SandboxNotReady);
        remains && (!comes_up || like_others)
    }
}

/// What a word of the kubelet means. An image goes back and forth between two of them while it is tried again.
fn of_kubelet(word: &str) -> Reason {
    match word {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => Reason::ImageUnavailable,
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Reason::ContainerNotCreated
        }
        _ => Reason::PodNotStarted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn waiting(word: &str) -> Option<Trouble> {
        let status = json!({ "phase": "Pending", "containerStatuses": [{
            "name": "executor", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": word, "message": "said so" } },
        }]});
        Trouble::of_pod(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn what_the_kubelet_says_is_told_by_its_kind_with_its_own_words_in_the_message() {
        let never = Some(FailureCause::CannotStart);
        for (word, reason, cause) in [
            ("ErrImagePull", Reason::ImageUnavailable, never),
            ("ImagePullBackOff", Reason::ImageUnavailable, never),
            ("ErrImageNeverPull", Reason::ImageUnavailable, never),
            ("InvalidImageName", Reason::ImageUnavailable, never),
            ("CreateContainerConfigError", Reason::ContainerNotCreated, never),
            ("SomethingNew", Reason::PodNotStarted, None),
        ] {
            let message = format!("{word}: said so");
            assert_eq!(waiting(word), Some(Trouble { reason, message, cause }));
        }
        assert_eq!(waiting("ContainerCreating"), None, "a normal start is no trouble");
    }

    #[test]
    fn a_pod_that_no_node_takes_is_unschedulable_whatever_the_scheduler_calls_it() {
        let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" });
        let status = json!({ "phase": "Pending", "conditions": [condition] });
        let trouble = Trouble::of_pod(&serde_json::from_value(status).unwrap()).unwrap();
        assert_eq!(
            (trouble.reason, trouble.cause),
            (Reason::Unschedulable, Some(FailureCause::Unschedulable))
        );
        assert!(!trouble.starves(false), "room may come at any time");
    }

    #[test]
    fn a_pod_that_comes_up_is_worth_waiting_for_unless_all_before_it_failed() {
        let starves = |reason, cause, comes_up| Trouble::new(reason, "", cause).starves(comes_up);
        let (never, quota) = (Some(FailureCause::CannotStart), Some(FailureCause::QuotaExceeded));
        assert!(starves(Reason::Quota, quota, false) && !starves(Reason::Quota, quota, true));
        assert!(starves(Reason::ImageUnavailable, never, false));
        assert!(!starves(Reason::ImageUnavailable, never, true), "of another template");
        assert!(starves(Reason::SandboxFailsToStart, never, true));
        assert!(!starves(Reason::SandboxFailsToStart, None, false), "the first one may die for any reason");
        assert!(!starves(Reason::ApiUnavailable, None, false));
    }

    #[test]
    fn of_several_troubles_the_same_one_is_told_in_whatever_order_they_are_found() {
        let trouble = |reason, message| Trouble::new(reason, message, None);
        let mut all = vec![
            trouble(Reason::NodeLost, "a"),
            trouble(Reason::Unschedulable, "b"),
            trouble(Reason::Unschedulable, "a"),
        ];
        let told = trouble(Reason::Unschedulable, "a");
        assert_eq!(Trouble::first(all.clone()), Some(told.clone()));
        all.reverse();
        assert_eq!(Trouble::first(all), Some(told));
        assert_eq!(Trouble::first([]), None);
    }
}
