//! The example that `--demo` runs against the service itself, and the lines to try next.

use std::{io::Write, path::Path};

use anyhow::Context;
use api_shim::auth::Tokens;
use serde_json::{Value, json};

use crate::endpoints::{Endpoints, kubeconfig_file};

const SOURCE: &str = "import pandas as pd\n\
                      sales = pd.DataFrame({'region': ['EU', 'US', 'EU'], 'total': [1200, 900, 3010]})\n\
                      sales.groupby('region').total.sum()";

/// The example, before it is run.
#[derive(Debug)]
pub(super) struct Demo {
    /// A token of its own, because of those that were set only hashes are kept.
    token: Option<String>,
}

impl Demo {
    /// Gives the example a token among `tokens`, when one is needed. It is good for this process and told nobody.
    pub(super) fn new(tokens: &mut Tokens) -> Self {
        let token = tokens.required().then(|| uuid::Uuid::new_v4().simple().to_string());
        if let Some(token) = &token {
            tokens.add_single(token);
        }
        Self { token }
    }

    /// Runs the example over HTTP and prints its output, a curl line and a kubectl line. A service whose example
    /// fails still serves.
    pub(super) async fn run(self, endpoints: &Endpoints, data_dir: &Path) {
        let url = format!("{}/v1/execute", endpoints.http);
        let shown = self.send(&url).await.and_then(|answer| {
            let text = self.text(&url, &answer, data_dir);
            Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
        });
        if let Err(error) = shown {
            eprintln!("carrel: the example could not be run: {error:#}");
        }
    }

    async fn send(&self, url: &str) -> anyhow::Result<Value> {
        let body = json!({ "code": SOURCE, "timeout_ms": 30_000 });
        let mut request = reqwest::Client::new().post(url).json(&body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.context("cannot reach the service")?;
        answer.error_for_status()?.json().await.context("the answer is no JSON")
    }

    fn text(&self, url: &str, answer: &Value, data_dir: &Path) -> String {
        let header = if self.token.is_some() { " -H \"Authorization: Bearer $AUTH_TOKEN\"" } else { "" };
        format!(
            "\nAn example, sent to this service:\n\n{source}\n\nIts output:\n\n{output}\n\
             Try it yourself:\n\n  \
             curl -s {url}{header} -d '{{\"code\": \"6 * 7\"}}'\n  \
             kubectl --kubeconfig {kubeconfig} get cex\n\nCtrl-C ends the service.\n",
            source = indent(SOURCE),
            output = indent(&shown(answer)),
            kubeconfig = kubeconfig_file(data_dir).display(),
        )
    }
}

/// stdout, and stderr when there is one: an example that fails must show why.
fn shown(answer: &Value) -> String {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    text("stdout") + &text("stderr")
}

fn indent(text: &str) -> String {
    text.lines().map(|line| ["    ", line, "\n"].concat()).collect()
}
