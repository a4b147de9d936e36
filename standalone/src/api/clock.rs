//! Time as a handle that a test can own. Nothing else in the API reads the clock.

use std::{fmt::Debug, sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};

/// Where the API takes the time from.
pub trait Clock: Debug + Send + Sync {
    /// The current time.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A time as `metav1.Time` writes it: UTC, whole seconds.
pub(crate) fn seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What a test may own: time, the cost of a commit, the size of the history.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where timestamps come from.
    pub clock: Arc<dyn Clock>,
    /// How long each commit takes on top of its real cost.
    pub commit_delay: Duration,
    /// How many events of each resource a watch can resume over.
    pub history_events: usize,
    /// How often a watch that allows them gets a bookmark.
    pub bookmark_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            commit_delay: Duration::ZERO,
            history_events: 10_000,
            bookmark_interval: Duration::from_secs(30),
        }
    }
}
