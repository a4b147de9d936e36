//! How an error looks in a log line.

use std::error::Error;

/// An error with all its sources, outermost first.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the pod did not answer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("the connection broke")]
    struct Inner(#[source] std::io::Error);

    #[test]
    fn every_cause_is_named_once_in_order() {
        let error = Outer(Inner(std::io::Error::other("reset")));
        assert_eq!(with_causes(&error), "the pod did not answer: the connection broke: reset");
    }
}
