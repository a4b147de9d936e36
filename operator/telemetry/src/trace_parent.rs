//! `traceparent`, the context of a trace as it travels (W3C Trace Context): the only place where one is read or written.

use std::fmt;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The length of what version 00 consists of, with which each later version begins.
const LENGTH: usize = 55;

/// Which trace something belongs to, and which span of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: TraceId,
    span: SpanId,
    flags: TraceFlags,
}

impl TraceParent {
    /// Reads `version-trace-parent-flags` in lower-case hex, as strictly as the standard wants it. Later versions than 00
    /// may have more behind them, which is left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut fields = known.split('-');
        let fields = [fields.next()?, fields.next()?, fields.next()?, fields.next()?];
        let hex = |field: &str| field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if fields.map(str::len) != [2, 32, 16, 2] || !fields.into_iter().all(hex) {
            return None;
        }
        let [version, trace, span, flags] = fields;
        let of_version = match version {
            "00" => more.is_empty(),
            "ff" => false,
            _ => more.is_empty() || more.starts_with('-'),
        };
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
        let valid = of_version && trace != TraceId::INVALID && span != SpanId::INVALID;
        valid.then_some(Self { trace, span, flags })
    }

    /// Of a span; nothing while spans are not sent.
    pub(crate) fn of(span: &SpanContext) -> Option<Self> {
        let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags() & TraceFlags::SAMPLED);
        span.is_valid().then_some(Self { trace, span: id, flags })
    }

    /// As somebody else's span.
    pub(crate) fn remote(self) -> SpanContext {
        SpanContext::new(self.trace, self.span, self.flags, true, TraceState::default())
    }
}

/// In the form of version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags.to_u8())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(text: &str) -> Option<String> {
        TraceParent::parse(text).map(|context| context.to_string())
    }

    #[test]
    fn a_context_is_read_as_it_was_sent() {
        assert_eq!(read(SENT).as_deref(), Some(SENT));
        let unsampled = SENT.replace("-01", "-00");
        assert_eq!(read(&unsampled).as_deref(), Some(&*unsampled));
        assert_eq!(read(&SENT.replace("-01", "-03")).as_deref(), Some(SENT), "a flag that is not known");
        let context = TraceParent::parse(SENT).unwrap().remote();
        assert!(context.is_valid() && context.is_sampled() && context.is_remote());
    }

    #[test]
    fn of_later_versions_what_is_known_is_read_and_goes_on_as_the_version_that_is_known() {
        let later = SENT.replacen("00-", "01-", 1);
        assert_eq!(read(&later).as_deref(), Some(SENT));
        assert_eq!(read(&format!("{later}-more")).as_deref(), Some(SENT));
        assert_eq!(read(&format!("{later}more")), None);
    }

    #[test]
    fn nothing_else_is_read() {
        for wrong in [
            "",
            "00",
            "00-0af7-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",
            "+0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c8031-9c-b7ad6b716920333-01",
            "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
