//! The duration grammar of `expires_in`, and the earliest of several ends (contract, section 4.4).
//! Pure: the present is an argument.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

/// A point in time beyond this year cannot be written by the clients of this dialect.
const LAST_YEAR: i32 = 9999;

/// Not a duration, or one that ends beyond the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unsupported duration")]
pub struct UnsupportedDuration;

/// The seconds that a text means; nothing when it means no expiry.
pub fn parse_duration(text: &str, now: DateTime<Utc>) -> Result<Option<i64>, UnsupportedDuration> {
    if text.is_empty() {
        return Ok(None);
    }
    let trimmed = text.trim_matches(' ');
    let digits_end =
        trimmed.find(|character: char| !character.is_ascii_digit()).ok_or(UnsupportedDuration)?;
    let (digits, rest) = trimmed.split_at(digits_end);
    let unit = match rest.trim_start_matches(' ') {
        "s" | "S" => 1,
        "m" | "M" => 60,
        "h" | "H" => 3600,
        "d" | "D" => 86_400,
        "w" | "W" => 604_800,
        _ => return Err(UnsupportedDuration),
    };
    let count: i64 = digits.parse().map_err(|_| UnsupportedDuration)?;
    seconds(count, unit, now)
}

/// `count` units of seconds from now; zero and less mean no expiry.
pub fn seconds(count: i64, unit: i64, now: DateTime<Utc>) -> Result<Option<i64>, UnsupportedDuration> {
    if count <= 0 {
        return Ok(None);
    }
    let seconds = count.checked_mul(unit).ok_or(UnsupportedDuration)?;
    let delta = TimeDelta::try_seconds(seconds).ok_or(UnsupportedDuration)?;
    let end = now.checked_add_signed(delta).ok_or(UnsupportedDuration)?;
    if end.year() > LAST_YEAR { Err(UnsupportedDuration) } else { Ok(Some(seconds)) }
}

/// The earliest of those that are set.
#[must_use]
pub fn earliest(ends: [Option<i64>; 3]) -> Option<i64> {
    ends.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T00:00:00Z".parse().expect("a time")
    }

    #[test]
    fn the_grammar_of_the_contract() {
        for (text, expected) in [
            ("3s", Some(3)),
            ("3S", Some(3)),
            (" 3 s ", Some(3)),
            ("5m", Some(300)),
            ("2h", Some(7200)),
            ("7d", Some(604_800)),
            ("1w", Some(604_800)),
            ("0s", None),
            ("0d", None),
            ("", None),
            ("007s", Some(7)),
        ] {
            assert_eq!(parse_duration(text, now()), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "10",
            "1h30m",
            "1y",
            "1.5h",
            "-1d",
            "abc",
            " ",
            "s",
            "١s",
            "1\ts",
            "9999999w",
            "99999999999999999999s",
        ] {
            assert_eq!(parse_duration(text, now()), Err(UnsupportedDuration), "{text:?}");
        }
    }

    #[test]
    fn the_older_fields_ignore_zero_and_less_and_refuse_overflow() {
        assert_eq!(seconds(0, 86_400, now()), Ok(None));
        assert_eq!(seconds(-5, 86_400, now()), Ok(None));
        assert_eq!(seconds(2, 86_400, now()), Ok(Some(172_800)));
        assert_eq!(seconds(i64::MAX, 86_400, now()), Err(UnsupportedDuration));
    }

    #[test]
    fn the_earliest_end_wins() {
        assert_eq!(earliest([Some(5), None, Some(3)]), Some(3));
        assert_eq!(earliest([None, None, None]), None);
    }

    proptest! {
        #[test]
        fn any_text_ends_in_an_answer(text in ".{0,12}") {
            let _either = parse_duration(&text, now());
        }
    }
}
