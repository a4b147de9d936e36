//! When a run has to end. Pure, on the monotonic clock: setting the wall clock moves no deadline.

use std::time::{Duration, Instant};

/// The moment at which a run that began at `start` is killed.
pub(crate) fn at(start: Instant, timeout_milliseconds: u64) -> Instant {
    // No clock reaches what overflows here; a day is as good as never.
    let never = Duration::from_hours(24);
    start.checked_add(Duration::from_millis(timeout_milliseconds)).unwrap_or_else(|| start + never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_counts_from_the_start() {
        let start = Instant::now();
        assert_eq!(at(start, 1500) - start, Duration::from_millis(1500));
    }

    #[test]
    fn a_deadline_beyond_the_clock_does_not_overflow() {
        let start = Instant::now();
        assert!(at(start, u64::MAX) > start);
    }
}
