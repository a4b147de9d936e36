//! kubectl itself, with a home of its own so that nothing of the user's is read or written.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// kubectl for one kubeconfig.
#[derive(Debug)]
pub struct Kubectl {
    kubeconfig: PathBuf,
    home: TempDir,
    user: Option<String>,
}

impl Kubectl {
    pub(crate) fn new(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig, home: tempfile::tempdir().expect("a temporary folder"), user: None }
    }

    /// The same for another person, who has the rights of this name alone.
    #[must_use]
    pub fn acting_as(&self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..Self::new(self.kubeconfig.clone()) }
    }

    /// The command, ready for arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("kubectl");
        command.env("HOME", self.home.path()).env("KUBECONFIG", &self.kubeconfig);
        command.arg("--cache-dir").arg(self.home.path().join("cache"));
        command.args(self.user.iter().flat_map(|user| ["--as", user]));
        command
    }

    /// A client of the same API, without kubectl.
    pub async fn client(&self) -> kube::Client {
        crate::front::client(&self.kubeconfig).await
    }

    /// Runs kubectl with `args` and `input` as its stdin.
    #[must_use]
    pub fn output(&self, args: &[&str], input: &str) -> Output {
        let mut child = self
            .command()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl is on PATH");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // kubectl may end without reading all of it, which is for the caller to see in its output.
            let _ = stdin.write_all(input.as_bytes());
        });
        let output = child.wait_with_output().expect("kubectl ends");
        writer.join().expect("the writer does not panic");
        output
    }

    /// Runs kubectl, which must succeed, and gives its stdout.
    #[must_use]
    pub fn run(&self, args: &[&str], input: &str) -> String {
        let output = self.output(args, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {args:?} failed: {stderr}");
        String::from_utf8(output.stdout).expect("kubectl prints UTF-8")
    }

    /// Runs kubectl, which must fail, and gives its stderr.
    #[must_use]
    pub fn fail(&self, args: &[&str], input: &str) -> String {
        let output = self.output(args, input);
        assert!(!output.status.success(), "kubectl {args:?} succeeded");
        String::from_utf8(output.stderr).expect("kubectl prints UTF-8")
    }

    /// Creates `object` and gives its name.
    #[must_use]
    pub fn create(&self, object: &Value) -> String {
        let name = self.run(&["create", "-f", "-", "-o", "jsonpath={.metadata.name}"], &object.to_string());
        name.trim().to_owned()
    }

    /// What is asked for as a list of objects, for instance of `cex -l group=one`.
    #[must_use]
    pub fn list(&self, args: &[&str]) -> Vec<Value> {
        let words: Vec<&str> = ["get", "-o", "json"].iter().chain(args).copied().collect();
        let mut list: Value = serde_json::from_str(&self.run(&words, "")).expect("kubectl prints JSON");
        list["items"].as_array_mut().map(std::mem::take).unwrap_or_default()
    }

    /// An object as JSON.
    #[must_use]
    pub fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.run(&["get", kind, name, "-o", "json"], "")).expect("kubectl prints JSON")
    }

    /// Creates a `CodeExecution` with this spec, waits for its end, and gives the finished object.
    #[must_use]
    pub fn execute(&self, spec: &Value) -> Value {
        let name = self.create(&execution(spec));
        let target = format!("codeexecution/{name}");
        let _ = self.run(&["wait", "--for=condition=Finished", &target, "--timeout=120s"], "");
        self.get("codeexecution", &name)
    }
}

/// A `CodeExecution` object with this spec.
#[must_use]
pub fn execution(spec: &Value) -> Value {
    serde_json::json!({
        "apiVersion": "carrel.dev/v1alpha1", "kind": "CodeExecution", "metadata": {"generateName": "test-"}, "spec": spec,
    })
}
