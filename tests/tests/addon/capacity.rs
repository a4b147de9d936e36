//! What HTTP says when a tenant can have no more pods.

use e2e::{Addon, Counter};
use serde_json::json;

use crate::{
    batch::in_flight,
    pools::degraded,
    shared::{WARM, alone},
};

/// Gives the first tenant another bound on its pods, and its own one back at the end.
struct Bound<'a> {
    addon: &'a Addon,
    before: String,
}

impl<'a> Bound<'a> {
    fn set(addon: &'a Addon, pods: usize) -> Self {
        let path = "jsonpath={.spec.hard.pods}";
        let before = addon.tenant("a").run(&["get", "resourcequota", "carrel", "-o", path], "");
        let bound = Self { addon, before };
        bound.write(&pods.to_string());
        bound
    }

    fn write(&self, pods: &str) {
        let patch = json!({"spec": {"hard": {"pods": pods}}}).to_string();
        let args = ["patch", "resourcequota", "carrel", "--type=merge", "-p", &patch];
        let _ = self.addon.tenant("a").output(&args, "");
    }
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        self.write(&self.before);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn http_says_that_a_quota_is_used_up_and_when_to_come_again() {
    let addon = alone().await;
    let bound = Bound::set(&addon, WARM);
    let (door, counter) = (addon.door("a").await, Counter::start());
    let requests = in_flight(&[&door; WARM], &counter, 20.0).await;
    assert_eq!(degraded(addon.tenant("a"), "default"), "Quota");
    let answer = door.try_execute(&json!({"source_code": "1"})).await;
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(
        answer.status == 503 && detail.starts_with("Executor capacity unavailable (quota_exceeded): "),
        "{answer:?}"
    );
    assert_eq!(answer.retry_after.as_deref(), Some("10"));
    for request in requests {
        request.check().await;
    }
    drop(bound);
    addon.await_pools();
}
