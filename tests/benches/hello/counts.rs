//! What the API has counted: requests by verb and resource, as every Kubernetes API server counts them.

use std::collections::BTreeMap;

use e2e::Front;

/// The resources that an execution has to do with. Others belong to the cluster.
const OURS: [&str; 6] = ["codeexecutions", "events", "pods", "sandboxfiles", "sandboxpools", "secrets"];

/// Requests by verb and resource, for instance `PATCH codeexecutions/status`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Reads `apiserver_request_total`.
    pub(crate) async fn read(front: &Front) -> Self {
        let request = http::Request::get("/metrics").body(Vec::new()).expect("a request");
        let text = front.client().await.request_text(request).await.expect("metrics");
        let mut counts = Self::default();
        for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
            let label = |name: &str| {
                let rest = line.split_once(&format!(",{name}=\"")).map_or("", |(_, rest)| rest);
                rest.split('"').next().unwrap_or_default()
            };
            let (verb, resource, subresource) = (label("verb"), label("resource"), label("subresource"));
            if OURS.contains(&resource) {
                let slash = if subresource.is_empty() { "" } else { "/" };
                let verb = if verb == "CREATE" { "POST" } else { verb };
                let name = format!("{verb} {resource}{slash}{subresource}");
                let count = line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or_default();
                *counts.0.entry(name).or_default() += count as u64;
            }
        }
        counts
    }

    /// What was counted since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let made = self.0.iter().map(|(name, count)| {
            (name.clone(), count.saturating_sub(before.0.get(name).copied().unwrap_or_default()))
        });
        Self(made.collect())
    }

    /// The writes that each execution must have: it is created, and its outcome is written.
    pub(crate) fn hot(&self) -> u64 {
        let hot = ["POST codeexecutions", "PATCH codeexecutions/status"];
        hot.iter().filter_map(|name| self.0.get(*name)).sum()
    }

    /// How many there were of each kind for one execution.
    pub(crate) fn rates(&self, executions: usize, wanted: impl Fn(&str) -> bool) -> String {
        let rates = self.0.iter().filter(|(name, _)| wanted(name));
        let rates = rates.map(|(name, count)| (name, *count as f64 / executions as f64));
        let rates = rates.filter(|(_, rate)| *rate > 0.005);
        rates.map(|(name, rate)| format!("{name} {rate:.2}")).collect::<Vec<_>>().join(", ")
    }
}

/// Whether that is a write other than the two of the hot path.
pub(crate) fn is_other_write(name: &str) -> bool {
    let verb = name.split(' ').next().unwrap_or_default();
    let hot = ["POST codeexecutions", "PATCH codeexecutions/status"];
    !["GET", "LIST", "WATCH"].contains(&verb) && !hot.contains(&name)
}
