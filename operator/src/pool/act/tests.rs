//! What is sent after a failure, and what a refusal is called.

use std::cell::Cell;

use super::*;

#[tokio::test]
async fn after_a_failure_no_more_is_sent_and_what_is_under_way_goes_to_its_end() {
    let (begun, ended) = (Cell::new(0), Cell::new(0));
    let request = |number: u32| {
        let (begun, ended) = (&begun, &ended);
        async move {
            begun.set(begun.get() + 1);
            // The first one is slower than the one that fails.
            for _ in 0..if number == 0 { 5 } else { 0 } {
                tokio::task::yield_now().await;
            }
            ended.set(ended.get() + 1);
            if number == 2 { Err(number) } else { Ok(()) }
        }
    };
    assert_eq!(until_failure((0..10).map(request).collect(), 2).await, Some(2));
    assert_eq!((begun.get(), ended.get()), (3, 3));
    begun.set(0);
    assert_eq!(until_failure((3..10).map(request).collect(), 2).await, None);
    assert_eq!(begun.get(), 7);
}

#[test]
fn a_refusal_is_called_by_its_kind_and_not_by_its_text() {
    let refused = |code, message: &str| {
        let status =
            kube::core::Status { code, message: message.to_owned(), ..kube::core::Status::default() };
        kube::Error::Api(status.boxed())
    };
    for (error, quota, reason, cause) in [
        (refused(403, "x"), true, Reason::Quota, Some(FailureCause::QuotaExceeded)),
        (
            refused(403, "exceeded quota: but nothing is used up"),
            false,
            Reason::Forbidden,
            Some(FailureCause::CannotStart),
        ),
        (
            refused(
                403,
                "pods \"x\" is forbidden: User \"o\" cannot create resource \"pods\" in API group \"\"",
            ),
            false,
            Reason::Forbidden,
            None,
        ),
        (refused(422, "x"), false, Reason::Invalid, Some(FailureCause::CannotStart)),
        (refused(500, "exceeded quota"), false, Reason::ApiUnavailable, None),
        (refused(429, "x"), false, Reason::ApiUnavailable, None),
    ] {
        let trouble = trouble(&error, quota);
        assert_eq!((trouble.reason, trouble.cause), (reason, cause), "{error}");
    }
}
