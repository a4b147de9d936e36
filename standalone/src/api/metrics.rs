//! Counters of requests under the API server's own name, in the Prometheus text format.

use std::{collections::BTreeMap, fmt::Write};

use parking_lot::Mutex;

/// verb, group, resource, subresource, code. Clients choose none of them: what is in a path counts only as the
/// resource or subresource that it is known as.
type Labels = (&'static str, String, String, &'static str, u16);

/// All subresources that there are.
const SUBRESOURCES: [&str; 3] = ["finalize", "scale", "status"];

/// The label for what a path has in the place of a subresource.
pub(crate) fn subresource(asked: Option<&str>) -> &'static str {
    match asked {
        None => "",
        Some(asked) => SUBRESOURCES.iter().find(|known| **known == asked).copied().unwrap_or("other"),
    }
}

/// Counts answers.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<Labels, u64>>,
}

impl Metrics {
    pub(crate) fn count(
        &self,
        verb: &'static str,
        group: &str,
        resource: &str,
        subresource: &'static str,
        code: u16,
    ) {
        let labels = (verb, group.to_owned(), resource.to_owned(), subresource, code);
        *self.requests.lock().entry(labels).or_insert(0) += 1;
    }

    pub(crate) fn render(&self) -> String {
        let mut text = String::from(
            "# HELP apiserver_request_total Counter of apiserver requests broken out for each verb, group, \
             resource, subresource and HTTP response code.\n# TYPE apiserver_request_total counter\n",
        );
        for ((verb, group, resource, subresource, code), count) in &*self.requests.lock() {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "apiserver_request_total{{code=\"{code}\",group=\"{group}\",resource=\"{resource}\",\
                 subresource=\"{subresource}\",verb=\"{verb}\"}} {count}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_makes_up_is_no_label() {
        for (asked, label) in
            [(None, ""), (Some("status"), "status"), (Some("x-1"), "other"), (Some(""), "other")]
        {
            assert_eq!(subresource(asked), label);
        }
    }

    #[test]
    fn answers_are_counted_by_their_labels() {
        let metrics = Metrics::default();
        metrics.count("PATCH", "carrel.dev", "codeexecutions", "status", 200);
        metrics.count("PATCH", "carrel.dev", "codeexecutions", "status", 200);
        let line = "apiserver_request_total{code=\"200\",group=\"carrel.dev\",resource=\"codeexecutions\",\
                    subresource=\"status\",verb=\"PATCH\"} 2";
        assert!(metrics.render().contains(line));
    }
}
