//! The settings of the HTTP front as `carrel serve` understands them: flags and variables → values, and a warning
//! for each that is given and has no effect here. Pure but for the file of tokens.
//!
//! What a setting is called and how it is read is the front's own business (`api_shim::config`).

use std::net::SocketAddr;

use api_shim::{
    ShimConfig,
    config::{self, ConfigError, Environment, Flags, Loaded, Place, load, settings::ALL},
};
use telemetry::LogSettings;

use super::checks;
use crate::args::ServeArgs;

/// What the service is started with, beside its own flags.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The front.
    pub front: ShimConfig,
    /// Where it listens.
    pub http_listen: Vec<SocketAddr>,
    /// How many sandboxes wait; `None` leaves it to the pool.
    pub warm_sandboxes: Option<u16>,
    /// What is logged.
    pub logs: LogSettings,
    /// What to log at the start, once each.
    pub warnings: Vec<String>,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A setting cannot be read, or is refused.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// A setting of the logs cannot be read.
    #[error(transparent)]
    Logs(#[from] telemetry::InitError),
    /// An address that others can reach.
    #[error(transparent)]
    Address(#[from] checks::Refusal),
    /// Programs were to run elsewhere.
    #[error(
        "EXECUTOR_BACKEND: \"kubernetes\": carrel serve runs programs on this machine; set it to standalone or leave \
         it unset"
    )]
    Backend,
}

/// What the front is to believe where nothing is set: this machine, and nobody else's.
const DEFAULTS: [(&str, &str); 2] = [("HOST", "127.0.0.1"), ("EXECUTOR_BACKEND", "standalone")];

/// Reads and checks all settings.
pub(crate) fn read(args: &ServeArgs, environment: Environment<'_>) -> Result<Settings, SettingsError> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let with_defaults = |name: &str| {
        let default =
            || DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        set(name).or_else(default)
    };
    let Loaded { shim, pool, other, warnings } = load(args.front.flags(), &with_defaults)?;
    if shim.health.backend != "standalone" {
        return Err(SettingsError::Backend);
    }
    let http_listen = shim.http_listen();
    checks::addresses(&listen_name(args.front.flags(), &set), &http_listen, args.kube_listen)?;
    let without_effect = config::warnings(args.front.flags(), &set, Place::OneMachine);
    let warm = pool.replicas.and_then(|replicas| u16::try_from(replicas).ok());
    Ok(Settings {
        front: shim,
        http_listen,
        warm_sandboxes: args.warm_sandboxes.or(warm),
        logs: LogSettings::parse(other.log_level.as_deref(), other.log_format)?,
        warnings: warnings.into_iter().chain(without_effect).collect(),
    })
}

/// What the HTTP addresses were set by.
fn listen_name(flags: &Flags, set: Environment<'_>) -> String {
    let of_setting = ALL.iter().find(|setting| setting.flag == "http-listen");
    let mut names = of_setting.map(|setting| flags.names(setting, set)).unwrap_or_default().into_iter();
    names.next().unwrap_or_else(|| "HOST".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn settings(flags: &[&str], variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let cli = Cli::try_parse_from(["carrel", "serve"].iter().chain(flags)).unwrap();
        let Command::Serve(args) = cli.command else { panic!("not serve") };
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        read(&args, &lookup)
    }

    fn listens(flags: &[&str], variables: &[(&str, &str)]) -> String {
        settings(flags, variables)
            .unwrap()
            .http_listen
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    }

    #[test]
    fn every_way_to_set_the_address_works_and_the_nearest_wins() {
        let inherited = ("APP_HTTP_LISTEN_ADDR", "127.0.0.1:2");
        let own = ("CARREL_HTTP_LISTEN", "127.0.0.1:3,[::1]:3");
        assert_eq!(listens(&[], &[]), "127.0.0.1:8000");
        assert_eq!(listens(&[], &[("PORT", "9000")]), "127.0.0.1:9000");
        assert_eq!(listens(&[], &[("HOST", "::1"), ("PORT", "")]), "[::1]:8000");
        assert_eq!(listens(&[], &[("PORT", "9000"), inherited]), "127.0.0.1:2");
        assert_eq!(listens(&[], &[own, inherited]), "127.0.0.1:3,[::1]:3");
        assert_eq!(listens(&["--http-listen", "127.0.0.1:4"], &[own, inherited]), "127.0.0.1:4");
    }

    #[test]
    fn an_address_that_others_reach_is_refused_under_the_name_it_was_set_by() {
        for (flags, variable, name) in [
            (&["--http-listen", "0.0.0.0:1"][..], None, "--http-listen 0.0.0.0:1"),
            (&[], Some(("APP_HTTP_LISTEN_ADDR", "0.0.0.0:1")), "APP_HTTP_LISTEN_ADDR 0.0.0.0:1"),
            (&[], Some(("HOST", "0.0.0.0")), "HOST 0.0.0.0:8000"),
        ] {
            let error = settings(flags, variable.as_slice()).unwrap_err().to_string();
            assert!(error.starts_with(name) && error.contains("use 127.0.0.1:"), "{error}");
        }
    }

    #[test]
    fn what_has_no_effect_is_named_once_and_what_has_is_not() {
        let flags = ["--executor-run-as-user", "7", "--max-output-bytes", "5"];
        let variables = [
            ("KUBERNETES_EXECUTOR_RUN_AS_USER", "8"),
            ("APP_EXECUTOR_IMAGE", "x"),
            ("KUBERNETES_EXECUTOR_FS_GROUP", ""),
            ("APP_LOGGING_CONFIG", "{}"),
            ("EXECUTOR_BACKEND", "standalone"),
            ("APP_EXECUTOR_POD_QUEUE_TARGET_LENGTH", "2"),
            ("MAX_CONCURRENT_EXECUTIONS", "3"),
            ("CARREL_LOG_LEVEL", "debug"),
        ];
        let settings = settings(&flags, &variables).unwrap();
        let starts =
            |text: &str| settings.warnings.iter().filter(|warning| warning.starts_with(text)).count();
        assert_eq!(settings.warnings.len(), 3, "{:?}", settings.warnings);
        assert_eq!(
            starts("--executor-run-as-user, KUBERNETES_EXECUTOR_RUN_AS_USER are set and have no effect"),
            1
        );
        assert_eq!(starts("APP_EXECUTOR_IMAGE is set and has no effect in carrel serve: "), 1);
        assert_eq!(starts("APP_LOGGING_CONFIG"), 1);
        assert_eq!((settings.front.spec.output_bytes, settings.front.admission.slots), (5, 3));
        assert_eq!(settings.warm_sandboxes, Some(2));
        assert_eq!(settings.logs.level.to_string(), "debug");
    }

    #[test]
    fn our_own_number_of_sandboxes_wins() {
        let inherited = [("APP_EXECUTOR_POD_QUEUE_TARGET_LENGTH", "2")];
        assert_eq!(settings(&["--warm-sandboxes", "0"], &inherited).unwrap().warm_sandboxes, Some(0));
        assert_eq!(settings(&[], &[]).unwrap().warm_sandboxes, None);
    }

    #[test]
    fn what_cannot_be_meant_here_stops_the_start() {
        for (variable, value, text) in [
            ("EXECUTOR_BACKEND", "kubernetes", "runs programs on this machine"),
            ("CARREL_EXECUTOR_BACKEND", "kubernetes", "runs programs on this machine"),
            ("EXECUTOR_BACKEND", "docker", "there is no Docker backend"),
            ("PYTHON_EXECUTOR_DOCKER_RUN_ARGS", "--read-only", "isolation options"),
            ("PYTHON_EXECUTOR_DOCKER_NETWORK", "bridge", "only none can be set"),
            ("KUBERNETES_EXECUTOR_RUN_AS_USER", "me", "KUBERNETES_EXECUTOR_RUN_AS_USER: \"me\""),
            ("LOG_FORMAT", "xml", "plain, json"),
        ] {
            let error = settings(&[], &[(variable, value)]).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
