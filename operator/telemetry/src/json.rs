//! Log lines as JSON: `timestamp`, `level`, `logger`, `message`, `service`, and every further field of the
//! event and of the spans around it at the top level.
//!
//! `tracing-subscriber` has a JSON form too, but it calls the logger `target` and nests the fields of spans.

use std::{
    fmt::{Debug, Write as _},
    io::Write as _,
};

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    fmt::MakeWriter,
    layer::Context,
    registry::{LookupSpan, Scope},
};

/// Names that say what a line is. A field of such a name gets a `_` behind it.
const RESERVED: [&str; 4] = ["timestamp", "level", "logger", "service"];

/// The target of events that come through the `log` crate; their real one is a field.
const LOG_CRATE: &str = "log";

/// Writes one JSON object per event.
pub(crate) struct JsonLines<W> {
    service: &'static str,
    writer: W,
}

impl<W> JsonLines<W> {
    pub(crate) fn new(service: &'static str, writer: W) -> Self {
        Self { service, writer }
    }

    fn line<S>(&self, event: &Event<'_>, scope: Option<Scope<'_, S>>) -> Map<String, Value>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let metadata = event.metadata();
        let mut line = Map::new();
        // From the outermost span inwards, so that the nearest value of a name stays.
        for span in scope.into_iter().flat_map(Scope::from_root) {
            if let Some(Fields(fields)) = span.extensions().get::<Fields>() {
                line.extend(fields.clone());
            }
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut logger = Value::from(metadata.target());
        if metadata.target() == LOG_CRATE {
            logger = fields.0.remove("log.target").unwrap_or(logger);
            fields.0.retain(|name, _| !name.starts_with("log."));
        }
        line.extend(fields.0);
        line.entry("message").or_insert_with(|| Value::from(""));
        line.insert("timestamp".to_owned(), Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true).into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("logger".to_owned(), logger);
        line.insert("service".to_owned(), self.service.into());
        line
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Value::Object(self.line(event, context.event_scope(event))).to_string();
        line.push('\n');
        // One write for the whole line, so that lines of several threads do not mix. There is nowhere
        // to report that a log line could not be written.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(line.as_bytes());
    }
}

/// The fields of one span or event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        let mut name = field.name().to_owned();
        if RESERVED.contains(&field.name()) {
            name.push('_');
        }
        self.0.insert(name, value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity and no NaN.
        let number = serde_json::Number::from_f64(value);
        self.set(field, number.map_or_else(|| Value::from(value.to_string()), Value::Number));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut chain = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            // Writing to a `String` does not fail.
            let _ = write!(chain, ": {cause}");
            source = cause.source();
        }
        self.set(field, chain.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{io, sync::Arc};

    use chrono::DateTime;
    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, content: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(content);
            Ok(content.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `work` logs.
    pub(crate) fn lines(work: impl FnOnce()) -> Vec<Value> {
        let memory = Memory::default();
        let writer = memory.clone();
        let layer = JsonLines::new("test", move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let content = memory.0.lock().clone();
        assert!(content.is_empty() || content.ends_with(b"\n"));
        String::from_utf8(content).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_four_names_and_the_service() {
        let [line] = lines(|| tracing::warn!("disk is {}", "full")).try_into().unwrap();
        assert_eq!(line["message"], "disk is full");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["logger"], "telemetry::json::tests");
        assert_eq!(line["service"], "test");
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.ends_with('Z'));
        DateTime::parse_from_rfc3339(timestamp).unwrap();
        assert_eq!(line.as_object().unwrap().len(), 5);
    }

    #[test]
    fn fields_keep_their_types_at_the_top_level() {
        let line = &lines(|| {
            tracing::info!(code = -3, size = 7_u64, ok = true, rate = 0.5, never = f64::NAN, path = ?Some(1), "x");
        })[0];
        assert_eq!(line["code"], -3);
        assert_eq!(line["size"], 7);
        assert_eq!(line["ok"], true);
        assert_eq!(line["rate"], 0.5);
        assert_eq!(line["never"], "NaN");
        assert_eq!(line["path"], "Some(1)");
    }

    #[test]
    fn fields_of_spans_are_there_too_and_the_nearest_value_wins() {
        let line = &lines(|| {
            let _outer = tracing::info_span!("outer", request_id = "r1", step = 1).entered();
            let inner = tracing::info_span!("inner", step = 2, uid = tracing::field::Empty).entered();
            inner.record("uid", "u1");
            tracing::info!(step = 3, "x");
        })[0];
        assert_eq!(line["request_id"], "r1");
        assert_eq!(line["uid"], "u1");
        assert_eq!(line["step"], 3);
    }

    #[test]
    fn a_field_cannot_take_the_place_of_what_a_line_is() {
        let line = &lines(|| tracing::info!(level = "FAKE", logger = "fake", service = "fake", "x"))[0];
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["level_"], "FAKE");
        assert_eq!(line["logger"], "telemetry::json::tests");
        assert_eq!(line["service"], "test");
    }

    #[test]
    fn text_with_line_breaks_and_controls_stays_one_line() {
        let lines = lines(|| tracing::info!(text = "a\n\u{1b}[31mb\u{2028}", "c\nd"));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["text"], "a\n\u{1b}[31mb\u{2028}");
        assert_eq!(lines[0]["message"], "c\nd");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);

        let error = Outer(io::Error::other("inner"));
        let line = &lines(|| tracing::error!(error = &error as &dyn std::error::Error, "x"))[0];
        assert_eq!(line["error"], "outer: inner");
    }

    #[test]
    fn an_event_without_a_message_still_has_the_name() {
        assert_eq!(lines(|| tracing::info!(a = 1))[0]["message"], "");
    }
}
