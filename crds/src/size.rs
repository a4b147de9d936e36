//! Size budgets of encoded objects. A schema bounds characters; etcd and the API bound bytes.

use serde::Serialize;

use crate::{CodeExecutionSpec, CodeExecutionStatus, limits};

/// A part of an object is larger than its budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{part} has {bytes} bytes as JSON, the limit is {limit}; {remedy}")]
pub struct OverBudget {
    /// Which part.
    pub part: &'static str,
    /// Its size.
    pub bytes: usize,
    /// What it may have.
    pub limit: usize,
    /// What to do about it.
    pub remedy: &'static str,
}

/// The bytes of a value as JSON, without building the text.
#[must_use]
pub fn encoded_bytes<T: Serialize>(value: &T) -> usize {
    let mut counter = Counter(0);
    // The counter never fails and our kinds always serialise; a value that does not has no bytes to send.
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

/// Checks an execution's spec against its budget.
pub fn check_spec(spec: &CodeExecutionSpec) -> Result<(), OverBudget> {
    let remedy = "put large sources into a SandboxFile and use codeFrom, stdinFrom or files[].source.fileRef";
    check("spec", encoded_bytes(spec), limits::SPEC_BYTES, remedy)
}

/// Checks an execution's status against its budget.
pub fn check_status(status: &CodeExecutionStatus) -> Result<(), OverBudget> {
    check("status", encoded_bytes(status), limits::STATUS_BYTES, "store the long parts")
}

fn check(part: &'static str, bytes: usize, limit: usize, remedy: &'static str) -> Result<(), OverBudget> {
    if bytes <= limit { Ok(()) } else { Err(OverBudget { part, bytes, limit, remedy }) }
}

/// Counts what is written to it.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(code: &str) -> CodeExecutionSpec {
        serde_json::from_value(serde_json::json!({ "code": code })).unwrap()
    }

    #[test]
    fn the_budget_counts_encoded_bytes_and_not_characters() {
        let room = limits::SPEC_BYTES - encoded_bytes(&spec(""));
        assert_eq!(check_spec(&spec(&"a".repeat(room))), Ok(()));
        assert!(check_spec(&spec(&"a".repeat(room + 1))).is_err());
        assert!(check_spec(&spec(&"é".repeat(room / 2 + 1))).is_err());
        assert!(check_spec(&spec(&"\n".repeat(room / 2 + 1))).is_err(), "an escape takes two bytes");
    }

    #[test]
    fn the_refusal_says_what_to_do() {
        let text = check_spec(&spec(&"a".repeat(600_000))).unwrap_err().to_string();
        assert!(text.contains("spec has") && text.contains("codeFrom"), "{text}");
    }
}
