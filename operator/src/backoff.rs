//! How long to wait before an object is looked at again after a failure: doubling, with jitter, per object.

use std::{collections::HashMap, hash::Hash, time::Duration};

use parking_lot::Mutex;

/// Whether trying again can help, and how soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// What was decided on has changed: look again at once.
    AtOnce,
    /// The API or the network failed.
    Soon,
    /// It will fail again until somebody changes something.
    Seldom,
}

impl Retry {
    /// The class of an error of the API.
    pub(crate) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                409 => Self::AtOnce,
                // An API server that has just started knows no roles for a second, and refuses everybody.
                403 if missing_right(status) => Self::Soon,
                400 | 403 | 405 | 413 | 415 | 422 => Self::Seldom,
                _ => Self::Soon,
            },
            _ => Self::Soon,
        }
    }

    fn first(self) -> Duration {
        match self {
            Self::AtOnce => Duration::from_millis(5),
            Self::Soon => Duration::from_millis(100),
            Self::Seldom => Duration::from_secs(5),
        }
    }

    fn longest(self) -> Duration {
        match self {
            Self::AtOnce => Duration::from_secs(1),
            Self::Soon => Duration::from_secs(30),
            Self::Seldom => Duration::from_mins(5),
        }
    }
}

/// Whether the operator itself is refused, and not what it asks for. Only the text tells that from what an admission
/// policy or a quota refuses.
pub(crate) fn missing_right(status: &kube::core::Status) -> bool {
    let cannot = status.message.split_once("\" cannot ").map_or("", |(_, rest)| rest);
    status.code == 403 && cannot.contains(" resource \"")
}

/// Failures in a row, per object.
#[derive(Debug)]
pub(crate) struct Backoff<K>(Mutex<HashMap<K, u32>>);

impl<K: Eq + Hash> Backoff<K> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The object was looked at without an error, or is gone.
    pub(crate) fn forget(&self, key: &K) {
        let mut failures = self.0.lock();
        if !failures.is_empty() {
            failures.remove(key);
        }
    }

    /// The wait after one more failure.
    pub(crate) fn next(&self, key: K, retry: Retry) -> Duration {
        let failures = {
            let mut all = self.0.lock();
            let count = all.entry(key).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        delay(retry, failures, random_fraction())
    }
}

/// The wait after `failures` in a row, for those who count themselves.
pub(crate) fn delay_after(retry: Retry, failures: u32) -> Duration {
    delay(retry, failures, random_fraction())
}

/// The wait after `failures` in a row; `fraction` in 0..1 spreads it over the upper half.
fn delay(retry: Retry, failures: u32, fraction: f64) -> Duration {
    let doubled = retry.first().saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(20)));
    doubled.min(retry.longest()).mul_f64(0.5 + fraction / 2.0)
}

/// A random number in 0..1. Without randomness from the system there is no jitter, which is no failure.
pub(crate) fn random_fraction() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_longest_and_is_spread() {
        assert_eq!(delay(Retry::Soon, 1, 1.0), Duration::from_millis(100));
        assert_eq!(delay(Retry::Soon, 1, 0.0), Duration::from_millis(50));
        assert_eq!(delay(Retry::Soon, 3, 1.0), Duration::from_millis(400));
        assert_eq!(delay(Retry::Soon, 1000, 1.0), Duration::from_secs(30));
    }

    #[test]
    fn a_success_starts_again_from_the_shortest_wait() {
        let backoff = Backoff::new();
        for _ in 0..10 {
            backoff.next("a", Retry::Soon);
        }
        assert!(backoff.next("a", Retry::Soon) > Duration::from_secs(10));
        backoff.forget(&"a");
        assert!(backoff.next("a", Retry::Soon) <= Duration::from_millis(100));
        assert!(backoff.next("b", Retry::Soon) <= Duration::from_millis(100), "each object has its own");
    }
}
