//! Where log lines go and which of them: standard error, in one of two forms.
//!
//! Standard output is never used: there it is the output of programs that counts.

use std::{
    env, fmt,
    io::{self, IsTerminal},
    panic,
    sync::Arc,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

use crate::{
    json::JsonLines,
    traces::{TraceError, Traces},
};

/// Our own crates. Libraries below them log at INFO even when we log at DEBUG: what they say there is
/// much, and may hold headers and bodies of requests.
const OWN_TARGETS: [&str; 8] =
    ["api_shim", "blobs", "carrel", "executor", "operator", "protocol", "standalone", "telemetry"];

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Plain,
    /// One JSON object per line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// The least important level that is logged.
    pub level: LevelFilter,
    /// How a line looks.
    pub format: LogFormat,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is no such format.
    #[error("{name} is `{value}`; it must be plain or json")]
    Format {
        /// The variable.
        name: String,
        /// What it says.
        value: String,
    },
    /// There is a collector, and spans cannot be sent to it.
    #[error("traces")]
    Traces(#[from] TraceError),
    /// Something in this process logs already.
    #[error("logging is set up already")]
    Installed(#[from] TryInitError),
}

impl LogSettings {
    /// Reads the values of `LOG_LEVEL` and `LOG_FORMAT`. An empty value counts as absent. A level that does
    /// not exist is INFO: the inherited services did so, and a typing error must not stop a service.
    pub fn parse(level: Option<&str>, format: Option<&str>) -> Result<Self, InitError> {
        let format = parse_format("LOG_FORMAT", format.unwrap_or_default())?;
        Ok(Self { level: parse_level(level.unwrap_or_default()), format })
    }

    /// A name of our own, with `CARREL_` before it, wins. What loses is checked too.
    fn from_env() -> Result<Self, InitError> {
        let read = |name: &str| {
            let names = [format!("CARREL_{name}"), name.to_owned()];
            let value = |name: &String| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
            let set = names.into_iter().filter_map(|name| value(&name).map(|value| (name, value)));
            set.filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>()
        };
        let (levels, formats) = (read("LOG_LEVEL"), read("LOG_FORMAT"));
        let formats: Vec<_> =
            formats.iter().map(|(name, value)| parse_format(name, value)).collect::<Result<_, _>>()?;
        let level = levels.first().map_or("", |(_, value)| value);
        Ok(Self { level: parse_level(level), format: formats.first().copied().unwrap_or_default() })
    }

    /// Which spans are sent, whatever is logged: ours.
    fn traced() -> Targets {
        Targets::new().with_targets(OWN_TARGETS.map(|name| (name, LevelFilter::INFO)))
    }

    fn targets(self) -> Targets {
        let others =
            if self.level == LevelFilter::TRACE { self.level } else { self.level.min(LevelFilter::INFO) };
        Targets::new().with_default(others).with_targets(OWN_TARGETS.map(|name| (name, self.level)))
    }
}

fn parse_format(name: &str, text: &str) -> Result<LogFormat, InitError> {
    match text {
        text if text.is_empty() || text.eq_ignore_ascii_case("plain") => Ok(LogFormat::Plain),
        text if text.eq_ignore_ascii_case("json") => Ok(LogFormat::Json),
        text => Err(InitError::Format { name: name.to_owned(), value: text.to_owned() }),
    }
}

/// The names of Python's levels are known too, because the variable is inherited from Python services.
fn parse_level(text: &str) -> LevelFilter {
    match text.to_ascii_uppercase().as_str() {
        "OFF" => LevelFilter::OFF,
        "ERROR" | "CRITICAL" | "FATAL" => LevelFilter::ERROR,
        "WARN" | "WARNING" => LevelFilter::WARN,
        "DEBUG" => LevelFilter::DEBUG,
        "TRACE" => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    }
}

type Hook = Arc<dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync>;

/// While it lives, a panic is a log line and not loose text between the lines. Dropping it puts the
/// former panic hook back, and sends the last spans.
#[must_use = "panics are logged while the guard lives"]
pub struct Guard {
    former: Hook,
    _traces: Option<Traces>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The hook cannot be changed by a thread that panics; the process is about to end anyway.
        if !std::thread::panicking() {
            let former = Arc::clone(&self.former);
            panic::set_hook(Box::new(move |info| former(info)));
        }
    }
}

/// Starts logging for this process as `LOG_LEVEL` and `LOG_FORMAT` say, and sends spans when
/// `OTEL_EXPORTER_OTLP_ENDPOINT` says where to. `service` is named in JSON lines and spans.
pub fn init(service: &'static str) -> Result<Guard, InitError> {
    init_with(service, LogSettings::from_env()?)
}

/// As [`init`], with settings that were read elsewhere.
pub fn init_with(service: &'static str, settings: LogSettings) -> Result<Guard, InitError> {
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => JsonLines::new(service, io::stderr).boxed(),
        LogFormat::Plain => tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .boxed(),
    };
    let traces = Traces::from_env(service)?;
    let spans = traces.as_ref().map(|traces| traces.layer().with_filter(LogSettings::traced()));
    tracing_subscriber::registry().with(lines.with_filter(settings.targets())).with(spans).try_init()?;
    if let Some(traces) = &traces {
        traces.make_global();
    }
    let former = Hook::from(panic::take_hook());
    panic::set_hook(Box::new(log_panic));
    Ok(Guard { former, _traces: traces })
}

fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a panic without text");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(location, thread = thread.name(), "panic: {message}");
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::json::tests::lines;

    fn level(text: &str) -> LevelFilter {
        LogSettings::parse(Some(text), None).unwrap().level
    }

    #[test]
    fn an_unknown_or_empty_level_is_info() {
        for text in ["", "LOUD", "7", "info "] {
            assert_eq!(level(text), LevelFilter::INFO, "{text}");
        }
        assert_eq!(LogSettings::parse(None, None).unwrap().level, LevelFilter::INFO);
    }

    #[test]
    fn levels_are_known_by_their_rust_and_their_python_names_in_any_case() {
        assert_eq!(level("debug"), LevelFilter::DEBUG);
        assert_eq!(level("WARNING"), LevelFilter::WARN);
        assert_eq!(level("Warn"), LevelFilter::WARN);
        assert_eq!(level("CRITICAL"), LevelFilter::ERROR);
        assert_eq!(level("trace"), LevelFilter::TRACE);
    }

    #[test]
    fn a_format_is_plain_or_json_and_anything_else_stops_the_service() {
        let format = |text| LogSettings::parse(None, text).map(|settings| settings.format);
        assert_eq!(format(None).unwrap(), LogFormat::Plain);
        assert_eq!(format(Some("")).unwrap(), LogFormat::Plain);
        assert_eq!(format(Some("JSON")).unwrap(), LogFormat::Json);
        let error = format(Some("xml")).unwrap_err().to_string();
        assert_eq!(error, "LOG_FORMAT is `xml`; it must be plain or json");
    }

    #[test]
    fn libraries_stay_at_info_while_we_debug() {
        let targets = LogSettings::parse(Some("DEBUG"), None).unwrap().targets();
        assert!(targets.would_enable("operator::pool", &Level::DEBUG));
        assert!(targets.would_enable("hyper", &Level::INFO));
        assert!(!targets.would_enable("hyper", &Level::DEBUG));
        let targets = LogSettings::parse(Some("ERROR"), None).unwrap().targets();
        assert!(!targets.would_enable("hyper", &Level::WARN));
        let targets = LogSettings::parse(Some("TRACE"), None).unwrap().targets();
        assert!(targets.would_enable("hyper", &Level::TRACE));
    }

    #[test]
    fn logging_starts_once_and_a_panic_is_logged_until_the_guard_is_dropped() {
        let settings = LogSettings::parse(Some("OFF"), Some("json")).unwrap();
        let guard = init_with("test", settings).unwrap();
        assert!(matches!(init_with("test", settings), Err(InitError::Installed(_))));
        let panic = || assert!(panic::catch_unwind(|| panic!("on {}", "purpose")).is_err());
        let logged = lines(panic);
        assert_eq!(logged.len(), 1);
        assert_eq!(logged[0]["message"], "panic: on purpose");
        assert!(logged[0]["location"].as_str().unwrap().contains("logs.rs"));
        drop(guard);
        assert!(lines(panic).is_empty());
    }
}
