//! Whether the API answers, for those who wait for it before they lead. An operator that ended each time that the API
//! is started again would itself be started ever later.

use std::{sync::Arc, time::Duration};

use parking_lot::RwLock;
use tokio::time::{sleep, timeout};

use crate::backoff::{self, Retry};

/// Nobody waits longer than this between two questions.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A connection may swallow a question without a word.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// What the last question came to. Clones know the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reach(Arc<RwLock<Option<String>>>);

impl Reach {
    /// For readiness.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.0.read().clone().map_or(Ok(()), |error| Err(format!("the API does not answer: {error}")))
    }

    /// Asks until there is an answer. A refusal for a missing right is none: an API server that has just started refuses
    /// everybody for a moment.
    pub(crate) async fn patiently<T, E, Fut>(&self, mut ask: impl FnMut() -> Fut) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
        E: OfApi,
    {
        let mut failures = 0;
        loop {
            let why = match timeout(ANSWERS_WITHIN, ask()).await {
                Err(_) => "it takes too long".to_owned(),
                Ok(answer) => {
                    let Some(error) = answer.as_ref().err().and_then(OfApi::unanswered) else {
                        *self.0.write() = None;
                        return answer;
                    };
                    telemetry::with_causes(error)
                }
            };
            if failures == 0 {
                tracing::warn!(why, "the API does not answer; it is asked until it does");
            }
            *self.0.write() = Some(why);
            failures += 1;
            sleep(backoff::delay_after(Retry::Soon, failures).min(LONGEST_WAIT)).await;
        }
    }
}

/// An error that may come from the API.
pub(crate) trait OfApi {
    /// The error, when the API did not answer or could not.
    fn unanswered(&self) -> Option<&kube::Error>;
}

impl OfApi for kube::Error {
    fn unanswered(&self) -> Option<&kube::Error> {
        let unanswered = match self {
            Self::Api(status) => matches!(status.code, 401 | 403 | 408 | 429 | 500..),
            Self::SerdeError(_) => false,
            _ => true,
        };
        unanswered.then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::Status;

    use super::*;

    fn error(code: u16) -> kube::Error {
        kube::Error::Api(Status { code, message: "why".to_owned(), ..Status::default() }.boxed())
    }

    #[tokio::test]
    async fn it_asks_until_there_is_an_answer_and_is_not_ready_meanwhile() {
        let (reach, asked) = (Reach::default(), Cell::new(0));
        let ask = || {
            asked.set(asked.get() + 1);
            let answer = match asked.get() {
                1 => Err(error(503)),
                2 => Err(error(403)),
                third => Ok(third),
            };
            let unready = asked.get() > 1 && reach.check().is_err();
            assert_eq!(unready, asked.get() > 1);
            std::future::ready(answer)
        };
        assert_eq!(reach.patiently(ask).await.unwrap(), 3);
        assert_eq!(reach.check(), Ok(()));
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer() {
        for code in [404, 409, 422] {
            let reach = Reach::default();
            let refused = reach.patiently(|| std::future::ready(Err::<(), _>(error(code)))).await;
            assert!(matches!(refused, Err(kube::Error::Api(status)) if status.code == code));
            assert_eq!(reach.check(), Ok(()));
        }
    }
}
