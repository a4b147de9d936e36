//! The example that `--demo` runs against the service itself, and the lines to try next.

use std::{io::Write, path::Path};

use anyhow::Context;
use serde_json::{Value, json};

use super::Service;

const SOURCE: &str = "import pandas as pd\n\
                      sales = pd.DataFrame({'region': ['EU', 'US', 'EU'], 'total': [1200, 900, 3010]})\n\
                      sales.groupby('region').total.sum()";

/// Runs the example over HTTP and prints its output, a curl line and a kubectl line.
pub(super) async fn run(service: &Service, data_dir: &Path) -> anyhow::Result<()> {
    let url = format!("{}/v1/execute", service.endpoints().http);
    let body = json!({ "code": SOURCE, "timeout_ms": 30_000 });
    let answer =
        reqwest::Client::new().post(&url).json(&body).send().await.context("cannot reach the service")?;
    let answer: Value = answer.error_for_status()?.json().await.context("the answer is no JSON")?;
    let kubeconfig = crate::endpoints::kubeconfig_file(data_dir);
    let text = format!(
        "\nAn example, sent to this service:\n\n{source}\n\nIts output:\n\n{output}\n\
         Try it yourself:\n\n  \
         curl -s {url} -d '{{\"code\": \"6 * 7\"}}'\n  \
         kubectl --kubeconfig {kubeconfig} get cex\n\nCtrl-C ends the service.\n",
        source = indent(SOURCE),
        output = indent(&shown(&answer)),
        kubeconfig = kubeconfig.display(),
    );
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// stdout, and stderr when there is one: an example that fails must show why.
fn shown(answer: &Value) -> String {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    text("stdout") + &text("stderr")
}

fn indent(text: &str) -> String {
    text.lines().map(|line| ["    ", line, "\n"].concat()).collect()
}
