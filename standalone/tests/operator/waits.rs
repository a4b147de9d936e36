//! Waiting in tests for what must happen, and not for ever.

use std::time::Duration;

use kube::{Api, runtime::wait::await_condition};
use serde::de::DeserializeOwned;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_mins(1);
/// So long that no test reaches it.
pub(crate) const NEVER: Duration = Duration::from_mins(10);

/// Waits until `holds` of an object.
pub(crate) async fn until<K>(api: Api<K>, name: &str, holds: impl Fn(Option<&K>) -> bool) -> Option<K>
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + DeserializeOwned + 'static,
{
    let coming = tokio::time::timeout(PATIENCE, await_condition(api.clone(), name, holds)).await;
    if coming.is_err() {
        let now = api.get_opt(name).await;
        assert!(coming.is_ok(), "{name} did not become what it should; it is {now:#?}");
    }
    coming.unwrap().unwrap()
}

/// Waits until something holds that cannot be watched.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let became = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(became.await.is_ok(), "never: {what}");
}

/// What does not end in time is a failure and not a test that hangs.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}
