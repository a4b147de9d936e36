//! What an API server has counted: requests by verb and resource, in the metric that every one has.

use std::{collections::BTreeMap, time::Duration};

use kube::Client;

use crate::Times;

/// The resources that an execution has to do with. Others belong to the cluster.
const OURS: [&str; 6] = ["codeexecutions", "events", "pods", "sandboxfiles", "sandboxpools", "secrets"];
/// A benchmark looks at pools, nobody else does; and an execution is deleted after its time to live, when something
/// else is being measured.
const LEFT_OUT: [&str; 2] = ["GET sandboxpools", "DELETE codeexecutions"];
/// What writes an execution itself.
const HOT: [&str; 2] = ["POST codeexecutions", "PATCH codeexecutions/status"];
/// A longer execution is shown as running too.
const SHOWN_AFTER: Duration = Duration::from_millis(150);

/// Requests by verb and resource, for instance `PATCH codeexecutions/status`.
#[derive(Debug, Clone, Default)]
pub struct Counts(BTreeMap<String, f64>);

impl Counts {
    /// Reads `apiserver_request_total`.
    pub async fn read(client: &Client) -> Self {
        let request = http::Request::get("/metrics").body(Vec::new()).expect("a request");
        let text = client.request_text(request).await.expect("metrics");
        let mut counts = Self::default();
        for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
            let label = |name: &str| {
                let rest = line.split_once(&format!(",{name}=\"")).map_or("", |(_, rest)| rest);
                rest.split('"').next().unwrap_or_default()
            };
            let (verb, resource, subresource) = (label("verb"), label("resource"), label("subresource"));
            let slash = if subresource.is_empty() { "" } else { "/" };
            let name = format!("{verb} {resource}{slash}{subresource}");
            if OURS.contains(&resource) && !LEFT_OUT.contains(&name.as_str()) {
                let count = line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok());
                *counts.0.entry(name).or_default() += count.expect("a number");
            }
        }
        counts
    }

    /// Adds what was counted from `before` to `after`.
    pub fn add(&mut self, before: &Self, after: &Self) {
        for (name, count) in &after.0 {
            let old = before.0.get(name).copied().unwrap_or_default();
            *self.0.entry(name.clone()).or_default() += count - old;
        }
    }

    /// How many there were for each of so many executions, by verb, and how many of them wrote the execution itself.
    #[must_use]
    pub fn rates(&self, executions: u32) -> String {
        let rates = self.0.iter().map(|(name, count)| (name, count / f64::from(executions)));
        let rates = rates.filter(|(_, rate)| *rate > 0.005);
        let rates: Vec<String> = rates.map(|(name, rate)| format!("{name} {rate:.2}")).collect();
        format!(
            "API writes of an execution itself (create, terminal status): {:.2}\n  \
             API requests per execution: {}",
            self.hot() / f64::from(executions),
            rates.join(", ")
        )
    }

    fn hot(&self) -> f64 {
        HOT.iter().filter_map(|name| self.0.get(*name)).sum()
    }

    /// None of these executions may have cost more writes of its own than it must: it is created, and its outcome is
    /// written.
    ///
    /// # Panics
    /// When there were more, or somebody else was served too.
    pub fn check(&self, executions: &Times) {
        let (hot, least) = (self.hot(), f64::from(2 * executions.count()));
        let most = least + f64::from(executions.longer_than(SHOWN_AFTER));
        assert!(
            (least..=most).contains(&hot),
            "{hot} writes of executions themselves, and not {least} to {most}"
        );
    }
}
