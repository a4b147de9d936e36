//! The string formats that the API server checks. Unknown formats are not checked, as there.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, NaiveDate};

/// Whether `text` has the named format.
pub(crate) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => DateTime::parse_from_rfc3339(text).is_ok(),
        "date" => NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok(),
        "byte" => STANDARD.decode(text).is_ok(),
        "uuid" | "uuid4" | "uuid5" => uuid::Uuid::parse_str(text).is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "duration" => duration(text),
        "uri" => text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some()),
        _ => true,
    }
}

/// A Go duration such as `1h30m` or `1.5s`.
fn duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        let Some(unit) = ["ns", "us", "µs", "ms", "s", "m", "h"].iter().find(|unit| {
            after.strip_prefix(**unit).is_some_and(|next| {
                next.is_empty() || next.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            })
        }) else {
            return false;
        };
        if digits.parse::<f64>().is_err() {
            return false;
        }
        rest = after.strip_prefix(*unit).unwrap_or_default();
        parts += 1;
    }
    parts > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_tell_right_from_wrong() {
        for (format, right, wrong) in [
            ("date-time", "2026-01-02T03:04:05Z", "2026-01-02"),
            ("date", "2026-01-02", "02.01.2026"),
            ("duration", "1h30m1.5s", "1x"),
            ("byte", "aGk=", "%"),
            ("uuid", "67e55044-10b1-426f-9247-bb680e5fe0c8", "67e5"),
            ("ipv4", "127.0.0.1", "::1"),
        ] {
            assert!(fits(format, right), "{format}");
            assert!(!fits(format, wrong), "{format}");
        }
        assert!(fits("anything-else", "x"));
    }
}
