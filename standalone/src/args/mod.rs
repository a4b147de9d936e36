//! The command line of `carrel`. Each setting is also an environment variable; a flag wins.

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable};

mod front;

pub use front::FrontFlags;

/// The exit code for a command line or a setting that is wrong, as clap has it.
pub const WRONG_USAGE: u8 = 2;

/// Run programs in sandboxes on this machine: over HTTP, with kubectl, or from a shell.
#[derive(Debug, Parser)]
#[command(name = "carrel", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "Examples:
  carrel serve                                  serve on 127.0.0.1:8000
  carrel run hello.py                           run a program, against the service or by itself
  echo 'print(6 * 7)' | carrel run -            run a program from stdin
  curl -d '{\"code\": \"6 * 7\"}' http://127.0.0.1:8000/v1/execute";

/// What `carrel` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve HTTP and a Kubernetes API until Ctrl-C.
    Serve(ServeArgs),
    /// Run one program and exit with its code.
    Run(RunArgs),
    /// The process inside a sandbox; started by the service.
    #[command(hide = true)]
    Executor(executor::Args),
}

/// Settings of `carrel serve`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// Where everything is kept: objects, files, keys. Nothing is written elsewhere.
    #[arg(long, env = "CARREL_DATA_DIR", default_value_os_t = default_data_dir())]
    pub data_dir: PathBuf,
    /// Address of the Kubernetes API; port 0 takes a free one.
    #[arg(long, env = "CARREL_KUBE_LISTEN", default_value = "127.0.0.1:6443")]
    pub kube_listen: SocketAddr,
    /// The Python that programs run with, with whatever packages they shall have.
    #[arg(long, env = "CARREL_PYTHON")]
    pub python: Option<PathBuf>,
    /// How many sandboxes wait for programs; without it what the default pool has, 4 at first.
    #[arg(long, env = "CARREL_WARM_SANDBOXES", value_name = "N")]
    pub warm_sandboxes: Option<u16>,
    /// Run one example once everything is up, and show how to run more.
    #[arg(long)]
    pub demo: bool,
    /// Settings of the HTTP front.
    #[command(flatten)]
    pub front: FrontFlags,
}

const SERVE_EXAMPLES: &str = "Examples:
  AUTH_TOKEN=secret carrel serve --max-concurrent-executions 4
  carrel serve --http-listen 127.0.0.1:8000,127.0.0.1:50081
  carrel serve --data-dir ./state --http-listen 127.0.0.1:0 --kube-listen 127.0.0.1:0
  kubectl --kubeconfig ./state/kubeconfig get cex";

impl Cli {
    /// Reads the command line. A variable that is empty counts as not set.
    #[must_use]
    pub fn read() -> Self {
        let command = without_empty(Self::command(), |name| std::env::var_os(name));
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

fn without_empty(
    command: clap::Command,
    variable: impl Fn(&OsStr) -> Option<OsString> + Copy,
) -> clap::Command {
    command.mut_subcommands(|command| {
        command.mut_args(|arg| {
            let empty = arg.get_env().and_then(variable).is_some_and(|value| value.is_empty());
            if empty { arg.env(Resettable::Reset) } else { arg }
        })
    })
}

/// Settings of `carrel run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// The program, or - for stdin. A name that ends in .sh runs with bash, any other with Python.
    pub file: PathBuf,
    /// The program's arguments.
    #[arg(last = true)]
    pub args: Vec<String>,
    /// A file that the program reads as its stdin; - passes ours on.
    #[arg(long, value_name = "FILE")]
    pub stdin_file: Option<PathBuf>,
    /// An environment variable of the program; may be repeated.
    #[arg(long = "env", value_name = "KEY=VALUE")]
    pub env: Vec<EnvPair>,
    /// How long the program may run, e.g. 500ms, 30s, 5m.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// The data folder of the service to use. When none runs there, the program runs by itself.
    #[arg(long, env = "CARREL_DATA_DIR", default_value_os_t = default_data_dir())]
    pub data_dir: PathBuf,
    /// The Python to use when the program runs by itself.
    #[arg(long, env = "CARREL_PYTHON")]
    pub python: Option<PathBuf>,
}

const RUN_EXAMPLES: &str = "Examples:
  carrel run report.py --env REGION=EU --timeout 2m
  carrel run filter.py --stdin-file data.txt -- --column total
  echo 'print(6 * 7)' | carrel run -

Exit codes: the program's own; 128 + N when signal N ended it; 124 when its time was up;
125 when it could not be run; 130 when Ctrl-C ended it, 143 when SIGTERM did; 2 when the command line is wrong.";

/// `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvPair {
    /// Before the first `=`.
    pub name: String,
    /// After it.
    pub value: String,
}

impl FromStr for EnvPair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("expected KEY=VALUE with a key that is not empty".to_owned()),
        }
    }
}

/// The units of a duration on the command line, in milliseconds. `ms` is tried before `m` and `s`.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

fn parse_duration(text: &str) -> Result<Duration, String> {
    let usage = || "expected a number above 0 and a unit, e.g. 500ms, 30s, 5m or 1h".to_owned();
    let (number, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|n| (n, factor)))
        .ok_or_else(usage)?;
    let number: u64 = number.trim().parse().map_err(|_| usage())?;
    match number.checked_mul(*factor) {
        Some(0) | None => Err(usage()),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
    }
}

/// The folder for a user's data, as the XDG base directory specification has it.
fn default_data_dir() -> PathBuf {
    let home =
        || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from).join(".local/share");
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    base.unwrap_or_else(home).join("carrel")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit() {
        for (text, milliseconds) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1.5s", "1d", "0s", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_environment_pair_is_cut_at_its_first_equals_sign() {
        assert_eq!("A=b=c".parse(), Ok(EnvPair { name: "A".into(), value: "b=c".into() }));
        assert!("=b".parse::<EnvPair>().is_err());
        assert!("A".parse::<EnvPair>().is_err());
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let bare = |empty: &'static [&str]| {
            let command = without_empty(Cli::command(), |name| {
                empty.iter().any(|known| name == *known).then(OsString::new)
            });
            let serve = command.find_subcommand("serve").unwrap().clone();
            serve.get_arguments().filter(|arg| arg.get_env().is_some()).count()
        };
        assert_eq!(bare(&["CARREL_DATA_DIR", "CARREL_PYTHON"]) + 2, bare(&[]));
    }

    #[test]
    fn help_shows_what_works_here_and_its_short_form_little_of_that() {
        let command = Cli::command();
        let mut serve = command.find_subcommand("serve").unwrap().clone();
        let (short, long) = (serve.render_help().to_string(), serve.render_long_help().to_string());
        for text in [&short, &long] {
            assert!(text.contains("--http-listen") && text.contains("[default: 127.0.0.1:8000]"), "{text}");
            assert!(!text.contains("--executor-image") && !text.contains("--grpc-listen"), "{text}");
        }
        assert!(long.contains("--max-output-bytes") && long.contains("AUTH_TOKEN"), "{long}");
        assert!(!short.contains("--max-output-bytes"), "{short}");
    }
}
