//! helm itself, with a home of its own so that nothing of the user's is read or written.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::repository;

/// helm for one release of the chart in one namespace.
#[derive(Debug)]
pub struct Helm {
    kubeconfig: PathBuf,
    namespace: String,
    home: TempDir,
    /// Each overrides the ones before it.
    values: Vec<PathBuf>,
}

/// The name of the release, and so of what is in it.
pub const RELEASE: &str = "carrel";

impl Helm {
    pub(crate) fn new(kubeconfig: PathBuf, namespace: &str, values: &Value) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut helm = Self { kubeconfig, namespace: namespace.to_owned(), home, values: Vec::new() };
        helm.add_values(values);
        helm
    }

    /// Values that win over the ones before them.
    pub fn add_values(&mut self, values: &Value) {
        let file = self.home.path().join(format!("values-{}.yaml", self.values.len()));
        std::fs::write(&file, values.to_string()).expect("values are written");
        self.values.push(file);
    }

    /// The one that the harness builds, else that of PATH; `HELM` names another one.
    fn program() -> PathBuf {
        let own = repository().join("target/cluster/bin/helm");
        let found = if own.exists() { own } else { PathBuf::from("helm") };
        std::env::var_os("HELM").map_or(found, PathBuf::from)
    }

    fn output(&self, args: &[&str]) -> Output {
        Command::new(Self::program())
            .args(args)
            .args(["--namespace", &self.namespace])
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .expect("helm can be run")
    }

    /// Runs helm, which must succeed, and gives its stdout.
    fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "helm {args:?} failed: {said}{stderr}");
        said
    }

    fn apply(&self, verb: &str) {
        let chart = repository().join("charts/carrel");
        let chart = chart.to_str().expect("a path in UTF-8");
        // Other tests and other installations bring the same definitions.
        let mut args = vec![verb, RELEASE, chart, "--take-ownership", "--wait", "--timeout", "2m"];
        for file in &self.values {
            args.extend(["--values", file.to_str().expect("a path in UTF-8")]);
        }
        let _ = self.run(&args);
    }

    /// Installs the chart as people are told to.
    pub fn install(&self) {
        self.apply("install");
    }

    /// Upgrades to the chart with the values as they are now.
    pub fn upgrade(&self) {
        self.apply("upgrade");
    }

    /// Uninstalls as people do: hooks run, and what was made is waited for.
    pub fn uninstall(&self) {
        let _ = self.run(&["uninstall", RELEASE, "--wait", "--timeout", "3m"]);
    }

    /// Removes whatever there is, quickly.
    pub fn remove(&self) {
        let _ = self.output(&["uninstall", RELEASE, "--no-hooks", "--ignore-not-found"]);
    }

    /// What the installation has told its admin.
    #[must_use]
    pub fn notes(&self) -> String {
        self.run(&["get", "notes", RELEASE])
    }

    /// What the chart's own tests print; they must pass.
    #[must_use]
    pub fn test(&self) -> String {
        self.run(&["test", RELEASE, "--logs", "--timeout", "4m"])
    }
}
