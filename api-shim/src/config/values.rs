//! How values are written in flags and variables. Each function says what is wrong in a few words. Pure.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use crds::Quantity;
use serde_json::{Map, Value};

use crate::net::{Network, host_name};

type Parsed<T> = Result<T, String>;

/// A boolean in any case.
pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("expected true, false, 1, 0, yes, no, on or off".to_owned()),
    }
}

/// A whole number of a range.
pub(super) fn integer(range: RangeInclusive<i64>) -> impl Fn(&str) -> Parsed<i64> {
    move |text| {
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| match (*range.start(), *range.end()) {
            (least, i64::MAX) => format!("expected a whole number of at least {least}"),
            (least, most) => format!("expected a whole number from {least} to {most}"),
        })
    }
}

/// A time in seconds, fractions allowed, of at most a day.
pub(super) fn seconds(text: &str) -> Parsed<Duration> {
    let seconds = text.trim().parse::<f64>().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds from 0 to 86400".to_owned())
}

/// A time in seconds above 0.
pub(super) fn positive_seconds(text: &str) -> Parsed<Duration> {
    seconds(text)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "expected seconds above 0 and up to 86400".to_owned())
}

/// One word of a closed set.
pub(super) fn one_of(words: &'static [&'static str]) -> impl Fn(&str) -> Parsed<&'static str> {
    move |text| {
        let found = words.iter().copied().find(|word| *word == text);
        found.ok_or_else(|| format!("expected one of: {}", words.join(", ")))
    }
}

/// A list as JSON or with commas.
pub(super) fn list(text: &str) -> Parsed<Vec<String>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text)
            .map_err(|error| format!("expected a JSON list of strings: {error}"));
    }
    Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

/// A list of networks.
pub(super) fn networks(text: &str) -> Parsed<Vec<Network>> {
    list(text)?
        .iter()
        .map(|entry| entry.parse().map_err(|error| format!("entry {entry:?}: {error}")))
        .collect()
}

/// A list of host names, in the form in which they are compared.
pub(super) fn hosts(text: &str) -> Parsed<Vec<String>> {
    let host = |entry: &String| {
        let sound = !entry.is_empty() && !entry.contains(|c: char| c.is_whitespace() || "/,@".contains(c));
        // An IPv6 address without brackets has no port to be cut off.
        let is_address = entry.parse::<std::net::Ipv6Addr>().is_ok();
        let name = if is_address { entry.to_ascii_lowercase() } else { host_name(entry) };
        if sound { Ok(name) } else { Err(format!("entry {entry:?}: expected a host name")) }
    };
    list(text)?.iter().map(host).collect()
}

/// Addresses to listen on.
pub(super) fn listen_addresses(text: &str) -> Parsed<Vec<SocketAddr>> {
    let addresses: Vec<_> =
        list(text)?.iter().map(|entry| listen_address(entry)).collect::<Result<_, _>>()?;
    if addresses.is_empty() { Err("expected at least one address".to_owned()) } else { Ok(addresses) }
}

/// One address, e.g. `0.0.0.0:8000` or `[::]:8000`.
pub(super) fn listen_address(text: &str) -> Parsed<SocketAddr> {
    let text = text.replace("localhost:", "127.0.0.1:");
    text.parse().map_err(|_| {
        format!("entry {text:?}: expected an address and a port, e.g. 0.0.0.0:8000 or [::]:8000")
    })
}

/// An amount of bytes, e.g. `1Gi`.
pub(super) fn quantity(text: &str) -> Parsed<Quantity> {
    let quantity = Quantity::new(text);
    let sound = quantity.bytes().is_some_and(|bytes| bytes > 0);
    if sound {
        Ok(quantity)
    } else {
        Err("expected a Kubernetes quantity of bytes above 0, e.g. 512Mi".to_owned())
    }
}

/// A JSON object.
pub(super) fn object(text: &str) -> Parsed<Map<String, Value>> {
    serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))
}

/// `X.Y.Z`
pub(super) fn version(text: &str) -> Parsed<[u64; 3]> {
    let parts: Option<Vec<u64>> = text.split('.').map(|part| part.parse().ok()).collect();
    parts.and_then(|parts| parts.try_into().ok()).ok_or_else(|| "expected a version such as 0.5.0".to_owned())
}

/// Any text.
#[expect(clippy::unnecessary_wraps, reason = "the shape of all readers here")]
pub(super) fn text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_the_eight_words_in_any_case() {
        for (text, value) in [
            ("TRUE", true),
            ("1", true),
            ("Yes", true),
            ("on", true),
            ("false", false),
            ("0", false),
            ("NO", false),
            ("off", false),
        ] {
            assert_eq!(boolean(text), Ok(value), "{text}");
        }
        for text in ["", "2", "y", " true", "enabled"] {
            assert!(boolean(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_keep_their_range() {
        assert_eq!(integer(1..=600)("600"), Ok(600));
        assert_eq!(integer(1..=600)("601"), Err("expected a whole number from 1 to 600".to_owned()));
        assert_eq!(integer(0..=i64::MAX)("-1"), Err("expected a whole number of at least 0".to_owned()));
        assert!(integer(0..=5)("1.5").is_err());
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        for text in ["-1", "nan", "inf", "soon", "86401"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert!(positive_seconds("0").is_err());
    }

    #[test]
    fn lists_are_json_or_have_commas() {
        for text in ["[\"a\", \"b\"]", "a,b", " a , b ,", "a, b"] {
            assert_eq!(list(text), Ok(vec!["a".to_owned(), "b".to_owned()]), "{text}");
        }
        assert_eq!(list("[]"), Ok(vec![]));
        assert!(list("[1]").is_err());
        assert!(list("[\"a\"").is_err());
    }

    #[test]
    fn a_bad_network_is_named() {
        assert!(networks("10.0.0.0/8,nonsense").expect_err("refused").contains("\"nonsense\""));
        assert_eq!(networks("10.0.0.0/8, ::1").map(|found| found.len()), Ok(2));
    }

    #[test]
    fn hosts_are_kept_in_the_form_in_which_they_are_compared() {
        let expected = vec!["a.example".to_owned(), "::1".to_owned(), "b".to_owned()];
        assert_eq!(hosts("A.Example:8000,::1,b"), Ok(expected));
        assert!(hosts("http://a").is_err());
    }

    #[test]
    fn addresses_have_a_port_and_ipv6_has_brackets() {
        assert_eq!(listen_addresses("0.0.0.0:8000,[::]:8000, localhost:1").map(|found| found.len()), Ok(3));
        for text in ["8000", "0.0.0.0", ":::8000", "", "host:8000"] {
            assert!(listen_addresses(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quantities_and_versions() {
        assert!(
            quantity("1Gi").is_ok()
                && quantity("0").is_err()
                && quantity("1 Gi").is_err()
                && quantity("big").is_err()
        );
        assert_eq!(version("1.20.3"), Ok([1, 20, 3]));
        assert!(version("1.2").is_err() && version("1.2.x").is_err());
    }
}
