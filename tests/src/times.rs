//! How long the same thing took, many times.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// Durations, as they were measured.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds how long `work` takes, and gives its outcome.
    pub async fn measure<T>(&mut self, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let outcome = work.await;
        self.0.push(start.elapsed());
        outcome
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).expect("as many as were waited for")
    }

    /// How many are longer than that.
    #[must_use]
    pub fn longer_than(&self, limit: Duration) -> u32 {
        u32::try_from(self.0.iter().filter(|time| **time > limit).count()).expect("at most all")
    }

    /// What so many of a hundred do not exceed.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
    }
}

/// The figures that are published.
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |percent| self.percentile(percent).as_secs_f64() * 1000.0;
        write!(f, "p50 {:.2} ms   p99 {:.2} ms", of(50), of(99))
    }
}
