//! How metrics are registered and told. The metrics themselves are declared where they are counted.

use std::fmt;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::text::encode,
    metrics::{histogram::Histogram, info::Info},
    registry::Registry,
};

/// Upper bounds for durations in seconds. They start at one millisecond, where a warm run is, and end at
/// the longest run.
pub const LATENCY_BUCKETS_SECONDS: [f64; 20] = [
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 120.0, 600.0,
];

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A histogram with [`LATENCY_BUCKETS_SECONDS`].
#[must_use]
pub fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_BUCKETS_SECONDS)
}

/// A registry that tells which service it is, and of which version, as `carrel_build_info`.
#[must_use]
pub fn new_registry(service: &'static str, version: &'static str) -> Registry {
    let mut registry = Registry::default();
    let build = Info::new(vec![("service", service), ("version", version)]);
    registry.register("carrel_build", "Which service this is, and of which version", build);
    registry
}

/// The answer to `GET /metrics`.
#[must_use]
pub fn exposition(registry: &Registry) -> Response {
    match text(registry) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::{counter::Counter, family::Family};

    use super::*;

    #[test]
    fn buckets_start_at_a_millisecond_and_rise() {
        assert!((LATENCY_BUCKETS_SECONDS[0] - 0.001).abs() < f64::EPSILON);
        assert!(LATENCY_BUCKETS_SECONDS.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn the_text_has_every_series_with_its_labels() {
        let mut registry = new_registry("operator", "1.2.3");
        let outcomes = Family::<Vec<(String, String)>, Counter>::default();
        registry.register("carrel_outcomes", "How runs ended", outcomes.clone());
        let latency = latency_histogram();
        registry.register("carrel_wait_seconds", "Time until a pod was there", latency.clone());
        outcomes.get_or_create(&vec![("reason".to_owned(), "Completed".to_owned())]).inc();
        latency.observe(0.0015);

        let text = text(&registry).unwrap();
        for line in [
            r#"carrel_build_info{service="operator",version="1.2.3"} 1"#,
            r#"carrel_outcomes_total{reason="Completed"} 1"#,
            r#"carrel_wait_seconds_bucket{le="0.001"} 0"#,
            r#"carrel_wait_seconds_bucket{le="0.002"} 1"#,
            r#"carrel_wait_seconds_bucket{le="+Inf"} 1"#,
            "carrel_wait_seconds_count 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }
}
