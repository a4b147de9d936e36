//! Typed results: JSON lines on a pipe of their own, written by the runner. Pure.
//!
//! The program shares a process with the runner and could write here itself. It can only lie about its
//! own results, so what does not parse is passed over, and the sum is bounded.

use protocol::{MAX_RESULTS_BYTES, ResultPart};

/// The lines so far.
#[derive(Debug, Default)]
pub(crate) struct Results {
    bytes: Vec<u8>,
    truncated: bool,
}

impl Results {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = MAX_RESULTS_BYTES.saturating_sub(self.bytes.len());
        self.truncated |= bytes.len() > room;
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// The results, and whether some were dropped.
    pub(crate) fn end(self) -> (Vec<ResultPart>, bool) {
        let parts =
            self.bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        (parts.collect(), self.truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"{"name":"tool_output","mediaType":"application/json","data":"1"}"#;

    #[test]
    fn lines_are_read_however_they_are_cut_and_nonsense_is_passed_over() {
        let mut results = Results::default();
        let text = [LINE, b"\nnonsense\n\xff\n\n", LINE].concat();
        text.chunks(7).for_each(|piece| results.push(piece));
        let (parts, truncated) = results.end();
        assert_eq!((parts.len(), truncated), (2, false));
        assert_eq!(parts[0].name, "tool_output");
    }

    #[test]
    fn what_is_beyond_the_bound_is_dropped_and_said() {
        let mut results = Results::default();
        results.push(LINE);
        results.push(b"\n");
        for _ in 0..10 {
            results.push(&vec![b'x'; MAX_RESULTS_BYTES / 4]);
        }
        assert_eq!(results.bytes.len(), MAX_RESULTS_BYTES);
        let (parts, truncated) = results.end();
        assert_eq!((parts.len(), truncated), (1, true));
    }
}
