//! A real `carrel serve` in a folder of its own.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Kubectl, PATIENCE, carrel_binary};

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
    own_dir: Option<TempDir>,
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
        let mut carrel = Self { child, dir: dir.to_owned(), endpoints: Value::Null, own_dir: None };
        carrel.endpoints = carrel.await_endpoints(&endpoints_file);
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

    /// A URL of its HTTP address.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoints["http"].as_str().expect("an HTTP address"))
    }

    /// Sends JSON text by POST and gives status and body.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let answer = http().post(self.url(path)).body(body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// `POST /v1/execute`, which must answer 200.
    pub async fn execute(&self, body: &Value) -> Value {
        let (status, answer) = self.post("/v1/execute", body.to_string()).await;
        assert_eq!(status, 200, "{answer}\n{}", self.log());
        answer
    }

    /// kubectl with this service's kubeconfig.
    #[must_use]
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.dir.join("kubeconfig"))
    }

    /// A client of its Kubernetes API.
    pub async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.dir.join("kubeconfig")).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a usable kubeconfig");
        Client::try_from(config).expect("a client")
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

/// An HTTP client. TLS is installed here because the first user of it decides.
#[must_use]
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
