//! How long a run is waited for, and when its program started: pure, the clock is an argument.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// Files are brought into a pod at least so fast, in bytes per second.
const SLOWEST_STAGING: u64 = 1024 * 1024;
/// No program that still runs began longer ago: the longest timeout is a day.
const LONGEST_AGO: TimeDelta = TimeDelta::days(7);

/// How far a run has come.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    patience: Duration,
    /// Nothing is waited for any longer then.
    pub(super) give_up: Instant,
    /// When the program started, as soon as that is known.
    pub(super) started: Option<DateTime<Utc>>,
}

impl Progress {
    /// `patience` is how long a program may take to its end, and a good while longer.
    pub(super) fn new(patience: Duration, now: Instant) -> Self {
        Self { began: now, patience, give_up: now + patience, started: None }
    }

    /// So many bytes go to the pod before the program can start.
    pub(super) fn sends(&mut self, bytes: u64) {
        self.give_up = self.began + self.patience + Duration::from_secs(bytes / SLOWEST_STAGING);
    }

    /// The program runs: from here on it has its whole time, however long its files took. Only the first word
    /// counts. The executor's clock is not trusted.
    pub(super) fn starts(&mut self, unix_milliseconds: i64, now: Instant, clock: DateTime<Utc>) {
        if self.started.is_none() {
            let told = DateTime::from_timestamp_millis(unix_milliseconds).unwrap_or(clock);
            self.started = Some(told.clamp(clock - LONGEST_AGO, clock));
            self.give_up = now + self.patience;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(100);

    #[test]
    fn a_program_has_its_whole_time_however_long_its_files_took() {
        let (began, clock) = (Instant::now(), DateTime::UNIX_EPOCH + TimeDelta::days(100));
        let mut progress = Progress::new(PATIENCE, began);
        progress.sends(50 * SLOWEST_STAGING);
        assert_eq!(progress.give_up, began + PATIENCE + Duration::from_secs(50));
        let started = began + Duration::from_secs(140);
        progress.starts(clock.timestamp_millis(), started, clock);
        assert_eq!(progress.give_up, started + PATIENCE);
        progress.starts(0, started + PATIENCE, clock);
        assert_eq!((progress.give_up, progress.started), (started + PATIENCE, Some(clock)), "said twice");
    }

    #[test]
    fn a_start_that_cannot_be_is_moved_to_one_that_can() {
        let clock = DateTime::UNIX_EPOCH + TimeDelta::days(100);
        for (told, believed) in [(i64::MAX, clock), (8_000_000_000_000_000, clock), (0, clock - LONGEST_AGO)]
        {
            let mut progress = Progress::new(PATIENCE, Instant::now());
            progress.starts(told, Instant::now(), clock);
            assert_eq!(progress.started, Some(believed));
        }
    }
}
