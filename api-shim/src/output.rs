//! The text of a stream as an answer shows it: the limit, the marker, the line of a deadline
//! (contract, sections 5.4 and 5.6). Pure.

use crds::limits::{TRUNCATION_MARKER, TRUNCATION_RESERVE_BYTES};

/// What a bee/tgpt client reads when the deadline has passed.
const TIMED_OUT: &str = "Execution timed out";

/// A kept text, cut and marked when more was written than `limit` bytes.
#[must_use]
pub fn limited(text: &str, was_cut: bool, limit: usize) -> String {
    if !was_cut {
        return text.to_owned();
    }
    let room = limit.saturating_sub(TRUNCATION_RESERVE_BYTES);
    let kept = text.get(..text.floor_char_boundary(room)).unwrap_or_default();
    format!("{kept}{TRUNCATION_MARKER}")
}

/// stderr with the line of a deadline, on a line of its own.
#[must_use]
pub fn with_timeout_line(stderr: String) -> String {
    let separator = if stderr.is_empty() || stderr.ends_with('\n') { "" } else { "\n" };
    stderr + separator + TIMED_OUT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_within_the_limit_is_unchanged() {
        assert_eq!(limited("hello", false, 5), "hello");
        assert_eq!(limited("hello", false, 0), "hello");
    }

    #[test]
    fn a_longer_text_ends_in_the_marker() {
        let kept = "a".repeat(100);
        assert_eq!(limited(&kept, true, 100), format!("{}\n...[truncated]", "a".repeat(68)));
        assert_eq!(limited(&kept, true, 10), "\n...[truncated]");
        assert_eq!(limited("éé", true, 35), "é\n...[truncated]");
    }

    #[test]
    fn the_deadline_has_a_line_of_its_own() {
        assert_eq!(with_timeout_line(String::new()), "Execution timed out");
        assert_eq!(with_timeout_line("a".to_owned()), "a\nExecution timed out");
        assert_eq!(with_timeout_line("a\n".to_owned()), "a\nExecution timed out");
    }

    proptest! {
        #[test]
        fn a_cut_text_is_never_longer_than_its_limit(text in ".{0,80}", limit in 32_usize..200) {
            let shown = limited(&text, true, limit);
            prop_assert!(shown.len() <= limit);
            prop_assert!(text.starts_with(shown.strip_suffix(TRUNCATION_MARKER).expect("the marker")));
        }
    }
}
