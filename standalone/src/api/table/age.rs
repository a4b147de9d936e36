//! How long ago, in the words kubectl users know: `5s`, `3m10s`, `2h`, `4d`.

use chrono::{DateTime, Utc};

/// The time since an RFC 3339 timestamp.
pub(crate) fn since(timestamp: &str, now: DateTime<Utc>) -> String {
    DateTime::parse_from_rfc3339(timestamp)
        .map_or_else(|_| "<invalid>".to_owned(), |then| human((now - then.with_timezone(&Utc)).num_seconds()))
}

fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair = |big: i64, unit: &str, small: i64, sub: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{sub}") }
    };
    match seconds {
        i64::MIN..=-2 => "<invalid>".to_owned(),
        -1 | 0 => "0s".to_owned(),
        1..=119 => format!("{seconds}s"),
        120..=599 => pair(minutes, "m", seconds % 60, "s"),
        600..=10_799 => format!("{minutes}m"),
        10_800..=28_799 => pair(hours, "h", minutes % 60, "m"),
        28_800..=172_799 => format!("{hours}h"),
        172_800..=691_199 => pair(days, "d", hours % 24, "h"),
        691_200..=63_071_999 => format!("{days}d"),
        _ => pair(days / 365, "y", days % 365, "d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_like_kubectl() {
        let cases = [(0, "0s"), (119, "119s"), (120, "2m"), (190, "3m10s"), (3600, "60m"), (11_000, "3h3m")];
        for (seconds, text) in cases.into_iter().chain([(90_000, "25h"), (180_000, "2d2h"), (864_000, "10d")])
        {
            assert_eq!(human(seconds), text);
        }
    }
}
