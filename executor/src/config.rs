//! Flags and environment, read once; everything after this sees a [`Config`].

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::{KeyError, PublicKeys};

/// Where programs are looked for when the executor itself has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What an executor is told at its start.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address to serve on.
    #[arg(long, env = "CARREL_LISTEN", default_value = "0.0.0.0:8700")]
    pub listen: SocketAddr,
    /// The uid of the pod this executor is in; tokens for another pod are refused.
    #[arg(long, env = "CARREL_POD_UID")]
    pub pod_uid: String,
    /// Public keys of the operator, `id:base64,id2:base64`.
    #[arg(long, env = "CARREL_PUBLIC_KEYS")]
    pub public_keys: String,
    /// An empty directory for the runner and the run.
    #[arg(long, env = "CARREL_STATE_DIR")]
    pub state_dir: PathBuf,
    /// The Python interpreter of the programs.
    #[arg(long, env = "CARREL_PYTHON", default_value = "python3")]
    pub python: PathBuf,
    /// A directory with warm caches of Matplotlib; each program finds them in a MPLCONFIGDIR of its own.
    #[arg(long, env = "CARREL_MPLCONFIGDIR")]
    pub mpl_config_dir: Option<PathBuf>,
    /// The file that becomes the container's termination message; written only where it exists.
    #[arg(long, env = "CARREL_TERMINATION_LOG", default_value = protocol::TERMINATION_LOG)]
    pub termination_log: PathBuf,
    /// How long a draining executor keeps a finished outcome that nobody asks for.
    #[arg(long, env = "CARREL_OUTCOME_PATIENCE_MILLISECONDS", default_value_t = protocol::OUTCOME_PATIENCE_MILLISECONDS)]
    pub outcome_patience_milliseconds: u64,
    /// Standard input is a pipe held by the parent: at its end kill everything and exit.
    #[arg(long)]
    pub lifeline: bool,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The pod uid is missing.
    #[error("CARREL_POD_UID must not be empty")]
    PodUid,
    /// The keys cannot be used.
    #[error("CARREL_PUBLIC_KEYS")]
    Keys(#[source] KeyError),
    /// There is no such interpreter.
    #[error("CARREL_PYTHON: no program {0:?} on PATH")]
    Python(PathBuf),
    /// The caches cannot be listed.
    #[error("CARREL_MPLCONFIGDIR {path:?}")]
    MatplotlibCaches {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state directory cannot be made.
    #[error("CARREL_STATE_DIR {path:?}")]
    StateDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The checked configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub listen: SocketAddr,
    pub pod_uid: String,
    pub keys: PublicKeys,
    /// Absolute, without symbolic links.
    pub state_dir: PathBuf,
    /// Absolute; what to ask for the real interpreter (see `probe.rs`). A symbolic link stays one, for a
    /// virtual environment is found through it.
    pub python: PathBuf,
    /// Absolute, when the system has one.
    pub bash: Option<PathBuf>,
    /// `PATH` of the executor, which programs get too.
    pub path: OsString,
    /// What the image has for its programs.
    pub program_env: Vec<(OsString, OsString)>,
    /// Absolute.
    pub matplotlib_caches: Vec<PathBuf>,
    /// As the state directory, when it exists.
    pub termination_log: PathBuf,
    pub outcome_patience: Duration,
    pub lifeline: bool,
}

impl Config {
    pub(crate) fn new(args: Args) -> Result<Self, ConfigError> {
        let Args {
            listen,
            pod_uid,
            public_keys,
            state_dir,
            python,
            mpl_config_dir,
            termination_log,
            outcome_patience_milliseconds,
            lifeline,
        } = args;
        if pod_uid.is_empty() {
            return Err(ConfigError::PodUid);
        }
        let keys = public_keys.parse().map_err(ConfigError::Keys)?;
        let failed = |source| ConfigError::StateDir { path: state_dir.clone(), source };
        fs::create_dir_all(&state_dir).map_err(failed)?;
        let state_dir = state_dir.canonicalize().map_err(failed)?;
        let search = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        let python = find_program(&python, &search).ok_or(ConfigError::Python(python))?;
        let bash = find_program(Path::new("bash"), &search);
        Ok(Self {
            listen,
            pod_uid,
            keys,
            state_dir,
            python,
            bash,
            path: search,
            program_env: program_env(env::vars_os()),
            matplotlib_caches: mpl_config_dir.map_or(Ok(Vec::new()), matplotlib_caches)?,
            termination_log: termination_log.canonicalize().unwrap_or(termination_log),
            outcome_patience: Duration::from_millis(outcome_patience_milliseconds),
            lifeline,
        })
    }
}

/// `CARREL_ENV_NAME` of the executor is `NAME` of each program.
fn program_env(own: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let named = |(name, value): (OsString, OsString)| {
        let name = name.to_str()?.strip_prefix("CARREL_ENV_")?;
        (!name.is_empty()).then(|| (name.into(), value))
    };
    own.filter_map(named).collect()
}

fn matplotlib_caches(path: PathBuf) -> Result<Vec<PathBuf>, ConfigError> {
    let listed = path.canonicalize().and_then(fs::read_dir);
    let paths = listed.and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    paths.map_err(|source| ConfigError::MatplotlibCaches { path, source })
}

/// An absolute path of the program, so that the `PATH` of a run cannot choose another one.
fn find_program(name: &Path, search: &OsStr) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return std::path::absolute(name).ok().filter(|path| is_program(path));
    }
    let found = env::split_paths(search).map(|folder| folder.join(name)).find(|path| is_program(path))?;
    std::path::absolute(found).ok()
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn args(state: &Path) -> Args {
        let key = protocol::SigningKey::from_seed("k", &[1; 32]).unwrap();
        Args {
            listen: "127.0.0.1:0".parse().unwrap(),
            pod_uid: "p".to_owned(),
            public_keys: key.public(),
            state_dir: state.join("new"),
            python: "python3".into(),
            mpl_config_dir: None,
            termination_log: state.join("none"),
            outcome_patience_milliseconds: 1,
            lifeline: false,
        }
    }

    #[test]
    fn programs_become_absolute() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::new(args(dir.path())).unwrap();
        assert!(config.python.is_absolute() && config.state_dir.is_absolute());
        assert!(find_program(Path::new("no-such-program"), &config.path).is_none());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_variable() {
        let dir = tempfile::tempdir().unwrap();
        let error = |change: fn(&mut Args)| {
            let mut args = args(dir.path());
            change(&mut args);
            Config::new(args).unwrap_err().to_string()
        };
        assert!(error(|a| a.pod_uid.clear()).contains("CARREL_POD_UID"));
        assert!(error(|a| a.public_keys = "x".to_owned()).contains("CARREL_PUBLIC_KEYS"));
        assert!(error(|a| a.python = "/no/such/python".into()).contains("CARREL_PYTHON"));
        assert!(error(|a| a.mpl_config_dir = Some("/no/such".into())).contains("CARREL_MPLCONFIGDIR"));
        assert!(error(|a| a.state_dir = "/proc/no/such".into()).contains("CARREL_STATE_DIR"));
    }
}
