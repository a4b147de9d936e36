//! How long pods take from being asked for to being usable: what is asked for now. Pure.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// What takes longer is not counted. It may never have been made.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// The pods of one pool that have been asked for and were not usable yet, by name.
#[derive(Debug, Default)]
pub(crate) struct Refill(HashMap<String, Instant>);

impl Refill {
    /// A pod is asked for.
    pub(crate) fn asked(&mut self, name: &str, now: Instant) {
        self.0.retain(|_, since| now.duration_since(*since) < FORGOTTEN_AFTER);
        self.0.insert(name.to_owned(), now);
    }

    /// It was refused, or is gone.
    pub(crate) fn gone(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// It is usable. The answer is how long that took, the first time only.
    pub(crate) fn usable(&mut self, name: &str, now: Instant) -> Option<Duration> {
        self.0.remove(name).map(|since| now.duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_counted_once_and_only_if_it_was_asked_for_and_came() {
        let (mut refill, start) = (Refill::default(), Instant::now());
        for name in ["a", "b"] {
            refill.asked(name, start);
        }
        let later = start + Duration::from_secs(3);
        assert_eq!(refill.usable("a", later), Some(Duration::from_secs(3)));
        assert_eq!(refill.usable("a", later), None, "it was not ready for a moment");
        refill.gone("b");
        assert_eq!(refill.usable("b", later), None);
        assert_eq!(refill.usable("of an earlier leader", later), None);
        refill.asked("c", start);
        refill.asked("d", start + FORGOTTEN_AFTER);
        assert_eq!(refill.usable("c", start + FORGOTTEN_AFTER), None);
    }
}
