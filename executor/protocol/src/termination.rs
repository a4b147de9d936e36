//! What a pod still tells when it is dead: its container's termination message.
//!
//! Kubernetes keeps it in the pod's status. An executor writes it at its start and again when it accepts an
//! execution, so a message that names none proves that nothing was started, and no message proves nothing.

use serde::{Deserialize, Serialize};

/// Where Kubernetes reads a container's termination message, unless the pod says otherwise.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// The last inventory of an executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminationMessage {
    /// The execution that it has accepted, and so may have started.
    pub execution_uid: Option<String>,
}

impl TerminationMessage {
    /// Reads a message; `None` when it is not one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text.trim()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_message_is_believed() {
        let none = TerminationMessage { execution_uid: None };
        assert_eq!(TerminationMessage::parse("{\"executionUid\":null}\n"), Some(none));
        let one = TerminationMessage { execution_uid: Some("u".into()) };
        assert_eq!(TerminationMessage::parse(&serde_json::to_string(&one).unwrap()), Some(one));
        for text in ["", "OOM", "{", "[]", "null"] {
            assert_eq!(TerminationMessage::parse(text), None, "{text}");
        }
    }
}
