//! A real `carrel serve` in a folder of its own.

use std::{
    ffi::OsString,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Front, PATIENCE, carrel_binary};

/// How a service is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Further arguments.
    pub args: Vec<String>,
    /// Further environment variables.
    pub env: Vec<(String, String)>,
    /// A program that starts the service, with its own arguments; without one it is started as it is.
    pub starter: Vec<String>,
}

/// A running service. Dropping it ends it and everything it started.
#[derive(Debug)]
pub struct Carrel {
    child: Child,
    dir: PathBuf,
    endpoints: Value,
    front: Front,
    own_dir: Option<TempDir>,
}

impl Deref for Carrel {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.front
    }
}

impl Carrel {
    /// Starts a service in a new folder and waits until it answers.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    /// As [`Self::start`], with options.
    #[must_use]
    pub fn start_with(options: &Options) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut carrel = Self::start_in(dir.path(), options);
        carrel.own_dir = Some(dir);
        carrel
    }

    /// Starts a service in `dir`, which outlives it.
    #[must_use]
    pub fn start_in(dir: &Path, options: &Options) -> Self {
        let endpoints_file = dir.join("endpoints.json");
        let _ = std::fs::remove_file(&endpoints_file);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join("test.log"))
            .expect("a log file in the data folder");
        let mut words = options.starter.iter().map(OsString::from).chain([carrel_binary().into_os_string()]);
        let child = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["serve", "--http-listen", "127.0.0.1:0", "--kube-listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .args(&options.args)
            .envs(options.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .expect("carrel starts");
        let front =
            Front { http: String::new(), kubeconfig: dir.join("kubeconfig"), blobs: dir.join("blobs") };
        let mut carrel = Self { child, dir: dir.to_owned(), endpoints: Value::Null, front, own_dir: None };
        carrel.endpoints = carrel.await_endpoints(&endpoints_file);
        carrel.front.http = carrel.endpoints["http"].as_str().expect("an HTTP address").to_owned();
        carrel
    }

    /// The file is written last, so a service that has written it answers.
    fn await_endpoints(&mut self, file: &Path) -> Value {
        let start = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(file) {
                return serde_json::from_str(&text).expect("endpoints.json is JSON");
            }
            if let Some(status) = self.child.try_wait().expect("the service can be waited for") {
                panic!("carrel serve ended with {status}:\n{}", self.log());
            }
            assert!(start.elapsed() < PATIENCE, "carrel serve does not come up:\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// The data folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the service has printed.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("test.log")).unwrap_or_default()
    }

    /// The addresses it wrote.
    #[must_use]
    pub fn endpoints(&self) -> &Value {
        &self.endpoints
    }

    /// The process id of the service.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    /// Ends it as a power cut would: kill -9, no chance to tidy.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("the service can be waited for");
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the service can be waited for") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "carrel serve does not end:\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Ends it as Ctrl-C does and waits for its end.
    pub fn interrupt(&mut self) -> std::process::ExitStatus {
        self.signal(Signal::SIGINT);
        self.child.wait().expect("the service can be waited for")
    }

    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }
}

impl Drop for Carrel {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of carrel serve ---\n{}", self.log());
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}
