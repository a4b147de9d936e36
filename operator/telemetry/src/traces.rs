//! Spans for a collector: OTLP over HTTP, when `OTEL_EXPORTER_OTLP_ENDPOINT` says where one is. Without it nothing of
//! this runs. What is traced is decided where it happens; a context travels as the text of `traceparent`.
//!
//! The other `OTEL_` variables that the exporter knows (headers, sampler, attributes of the resource) count too.

use std::{
    env,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue, global,
    trace::{Span as _, TraceContextExt as _, Tracer, TracerProvider as _},
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::{otlp_client::OtlpClient, trace_parent::TraceParent};

/// The collector, as a base of URLs.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// What is appended to it for spans.
const PATH: &str = "/v1/traces";
/// Who makes the spans, for the collector.
const SCOPE: &str = "carrel";
/// How long the last spans may take to be sent.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// There is no TLS in this client.
    #[error("{ENDPOINT} is `{0}`; it must begin with http://")]
    Endpoint(String),
    /// The exporter refuses its settings.
    #[error("spans cannot be exported")]
    Exporter(#[from] ExporterBuildError),
}

/// Sends spans while it lives; the last ones when it is dropped.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// As the environment says.
    pub(crate) fn from_env(service: &'static str) -> Result<Option<Self>, TraceError> {
        let endpoint = env::var_os(ENDPOINT).map(|value| value.to_string_lossy().into_owned());
        endpoint.filter(|value| !value.is_empty()).map(|endpoint| Self::start(service, &endpoint)).transpose()
    }

    fn start(service: &'static str, endpoint: &str) -> Result<Self, TraceError> {
        if !endpoint.starts_with("http://") {
            return Err(TraceError::Endpoint(endpoint.to_owned()));
        }
        let url = format!("{}{PATH}", endpoint.trim_end_matches('/'));
        let exporter =
            SpanExporter::builder().with_http().with_http_client(OtlpClient).with_endpoint(url).build()?;
        let resource = Resource::builder().with_service_name(service).build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// For the spans of `tracing`.
    pub(crate) fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        // Files, lines and threads are for those who read the source.
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(SCOPE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
    }

    /// For [`record`].
    pub(crate) fn make_global(&self) {
        global::set_tracer_provider(self.0.clone());
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_PATIENCE) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The context of a span, to be sent on; nothing while spans are not sent.
#[must_use]
pub fn trace_parent(span: &Span) -> Option<TraceParent> {
    TraceParent::of(span.context().span().span_context())
}

/// Makes a span a part of what sent this `traceparent`.
pub fn continue_trace(span: &Span, trace_parent: TraceParent) {
    // Without a collector there is nothing that could have a parent.
    let _ = span.set_parent(context(trace_parent));
}

fn context(trace_parent: TraceParent) -> Context {
    Context::new().with_remote_span_context(trace_parent.remote())
}

/// Work that is told when it is over, because no task of ours was there all the time.
#[derive(Debug)]
pub struct Past<'a> {
    /// What it is called.
    pub name: &'static str,
    /// The `traceparent` that it belongs to. A text that is none counts as none.
    pub trace_parent: Option<&'a str>,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What is known of it.
    pub fields: Vec<(&'static str, String)>,
    /// What it consisted of, one after another from its beginning.
    pub parts: Vec<(&'static str, Duration)>,
}

/// Sends work that is over as a span, and its parts as spans below it.
pub fn record(past: Past<'_>) {
    record_with(&global::tracer(SCOPE), past);
}

fn record_with<T: Tracer>(tracer: &T, past: Past<'_>)
where
    T::Span: Send + Sync + 'static,
{
    let Past { name, trace_parent, began, took, fields, parts } = past;
    let parent = trace_parent.and_then(TraceParent::parse).map(context).unwrap_or_default();
    let fields = fields.into_iter().map(|(key, value)| KeyValue::new(key, value));
    let builder = tracer.span_builder(name).with_start_time(began).with_attributes(fields);
    let context = parent.with_span(tracer.build_with_context(builder, &parent));
    let mut at = began;
    for (name, took) in parts {
        let builder = tracer.span_builder(name).with_start_time(at);
        at += took;
        tracer.build_with_context(builder, &context).end_with_timestamp(at);
    }
    context.span().end_with_timestamp(began + took);
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use axum::{Router, body::Bytes, routing::post};
    use tokio::{net::TcpListener, sync::mpsc};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// A collector: its address, and what it is sent.
    async fn collector() -> (String, mpsc::UnboundedReceiver<Bytes>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let take = post(async move |body: Bytes| sender.send(body).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, Router::new().route("/v1/traces", take)).await });
        (address, receiver)
    }

    fn contains(body: &[u8], part: &[u8]) -> bool {
        body.windows(part.len()).any(|window| window == part)
    }

    /// What a collector got that was told of by `work`.
    async fn sent(work: impl FnOnce(&Traces) + Send + 'static) -> Bytes {
        let (address, mut bodies) = collector().await;
        tokio::task::spawn_blocking(move || {
            let traces = Traces::start("test-service", &address).unwrap();
            work(&traces);
        })
        .await
        .unwrap();
        bodies.recv().await.unwrap()
    }

    #[tokio::test]
    async fn a_span_reaches_the_collector_with_its_fields_and_its_trace() {
        let body = sent(|traces| {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), || {
                let span = tracing::info_span!("request", request_id = "r-17");
                continue_trace(&span, TraceParent::parse(SENT).unwrap());
                // The context goes on in the same trace, from this span.
                let onward = trace_parent(&span).unwrap().to_string();
                assert!(onward.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{onward}");
                assert_ne!(onward, SENT);
                span.in_scope(|| tracing::info!("an event"));
            });
        })
        .await;
        for text in ["request", "request_id", "r-17", "test-service"] {
            assert!(contains(&body, text.as_bytes()), "{text} is not in {body:?}");
        }
        assert!(contains(&body, &0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes()));
    }

    #[tokio::test]
    async fn work_that_is_over_reaches_the_collector_with_its_parts() {
        let body = sent(|traces| {
            let past = Past {
                name: "execution",
                trace_parent: Some(SENT),
                began: UNIX_EPOCH + Duration::from_secs(1),
                took: Duration::from_secs(3),
                fields: vec![("request_id", "r-18".to_owned())],
                parts: vec![("queue", Duration::from_secs(1)), ("run", Duration::from_secs(2))],
            };
            record_with(&traces.0.tracer(SCOPE), past);
        })
        .await;
        for text in ["execution", "r-18", "queue", "run"] {
            assert!(contains(&body, text.as_bytes()), "{text} is not in {body:?}");
        }
        // Times are in nanoseconds, as little-endian numbers.
        for seconds in [1_u64, 2, 4] {
            assert!(contains(&body, &(seconds * 1_000_000_000).to_le_bytes()), "{seconds} s");
        }
    }

    #[test]
    fn without_a_collector_no_context_is_sent_on() {
        let span = tracing::info_span!("request");
        continue_trace(&span, TraceParent::parse(SENT).unwrap());
        assert_eq!(trace_parent(&span), None);
    }

    #[test]
    fn an_endpoint_that_cannot_be_reached_without_tls_stops_the_start() {
        let error = Traces::start("test", "https://collector:4318").unwrap_err().to_string();
        assert_eq!(
            error,
            "OTEL_EXPORTER_OTLP_ENDPOINT is `https://collector:4318`; it must begin with http://"
        );
    }
}
