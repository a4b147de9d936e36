//! What is kept of a program's output, and what of it stands in the status: pure.

use crds::{limits, size::encoded_bytes};

/// The kept text of a stream. One that was cut ends with the marker (contract 5.6).
pub(crate) fn kept(mut text: String, cut: bool, limit: usize) -> String {
    if cut {
        truncate(&mut text, limit.saturating_sub(limits::TRUNCATION_RESERVE_BYTES));
        text.push_str(limits::TRUNCATION_MARKER);
    }
    text
}

/// Cuts a text to at most `bytes`, back to a whole character.
pub(crate) fn truncate(text: &mut String, bytes: usize) {
    text.truncate(beginning(text, bytes).len());
}

/// `limits.outputBytes` as a length.
pub(crate) fn limit(output_bytes: impl TryInto<usize>) -> usize {
    output_bytes.try_into().unwrap_or(usize::MAX)
}

/// How many bytes of a stream are buffered at most: each byte that is no UTF-8 becomes a replacement character of
/// three, and what is longer must be seen to be so.
pub(crate) fn most(limit: usize) -> usize {
    limit.saturating_mul(3).saturating_add(4)
}

/// Whether so many buffered bytes are more than an executor may have sent, so that they were cut here.
pub(crate) fn was_cut(bytes: usize, limit: usize) -> bool {
    bytes > limit.saturating_mul(3)
}

/// The beginning of a text with at most `bytes`, back to a whole character.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The longest beginning of `text` whose JSON has at most `budget` bytes; all of it when it fits.
pub(crate) fn inline_part(text: &str, budget: usize) -> &str {
    if encoded_bytes(&text) <= budget {
        return text;
    }
    let quotes = 2;
    let mut used = quotes;
    for (at, character) in text.char_indices() {
        used += escaped_bytes(character);
        if used > budget {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// The bytes of a character in JSON as our encoder writes it.
fn escaped_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_within_the_limit_is_unchanged() {
        assert_eq!(kept("hello".to_owned(), false, 5), "hello");
    }

    #[test]
    fn a_cut_text_keeps_its_beginning_and_ends_with_the_marker() {
        let kept_of = |text: &str, limit| kept(text.to_owned(), true, limit);
        assert_eq!(kept_of(&"a".repeat(100), 100), format!("{}\n...[truncated]", "a".repeat(68)));
        assert_eq!(kept_of("hello", 5), "\n...[truncated]");
        assert_eq!(kept_of("", 0), "\n...[truncated]");
    }

    #[test]
    fn a_text_is_never_cut_inside_a_character() {
        let text = "é".repeat(100);
        assert_eq!(kept(text, true, 101), format!("{}\n...[truncated]", "é".repeat(34)));
    }

    #[test]
    fn the_inline_part_is_counted_as_json_and_as_long_as_it_can_be() {
        for unit in ["a", "é", "\n", "\"", "\u{1}", "😀", "\u{7f}", "\u{8}"] {
            let text = unit.repeat(100);
            let part = inline_part(&text, 102);
            assert!(encoded_bytes(&part) <= 102, "{unit:?}");
            let longer: String = text.chars().take(part.chars().count() + 1).collect();
            assert!(part == text || encoded_bytes(&longer) > 102, "{unit:?}");
        }
    }

    #[test]
    fn a_text_that_fits_is_inline_as_a_whole() {
        assert_eq!(inline_part("abc", 5), "abc");
        assert_eq!(inline_part("abc", 4), "ab");
    }
}
