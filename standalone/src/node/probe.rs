//! The readiness probe of a pod, as its spec describes it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

/// How often a pod that has never been ready is asked. A kubelet asks once a second at best; here an executor
/// is up in milliseconds, and the difference is the pool's refill rate.
pub(super) const FIRST_PERIOD: Duration = Duration::from_millis(5);
/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How often a pod that has been ready is asked again.
pub(super) fn period(pod: &Pod) -> Duration {
    let probe = pod.spec.as_ref().and_then(|s| s.containers.first()).and_then(|c| c.readiness_probe.as_ref());
    let seconds = probe.and_then(|p| p.period_seconds).and_then(|s| u64::try_from(s).ok()).unwrap_or(10);
    Duration::from_secs(seconds.max(1))
}

/// Whether the pod says that it is ready.
pub(super) async fn ready(http: &reqwest::Client, pod_ip: &str, port: u16) -> bool {
    let answer = http.get(format!("http://{pod_ip}:{port}/readyz")).timeout(TIMEOUT).send().await;
    answer.is_ok_and(|a| a.status().is_success())
}
